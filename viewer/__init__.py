"""How things look: the web app and the desktop window."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from viewer.access import accounts

# Read by gradio when it is imported, so it has to be here and not in build().
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

__all__ = ["accounts", "build", "launch_options"]


def build(
    model: Callable[[], Any],
    *,
    byte_budget: int = 4 << 30,
    checkpoint: str | Path | None = None,
) -> Any:
    """Build the app as a ``gradio.Blocks``; launch it with ``launch_options()``.

    model: returns the loaded S4Token; called when the first page needs it, so that loading can
    go on while the server starts. byte_budget: memory for the clouds of all sessions together, of
    which one may take half. checkpoint: file of the model, None = the shipped one; trainings can
    begin with it.
    """
    from viewer.layout import build as build_blocks

    return build_blocks(model, byte_budget=byte_budget, checkpoint=checkpoint)


def launch_options() -> dict[str, Any]:
    """Return the safe arguments of ``Blocks.launch``: local, no share, style inlined."""
    from viewer.serving import launch_options as options

    return options()
