"""What all pages of the app share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from viewer.corrections import Desk
from viewer.files import Files
from viewer.journal import folder
from viewer.session import Store


@dataclass(frozen=True, eq=False)
class App:
    """Hold what all pages share.

    model: returns the loaded model, it may still be loading; store: sessions; files: what browsers
    fetch; desk: corrections.
    """

    model: Callable[[], Any]
    store: Store
    files: Files = field(default_factory=Files)
    desk: Desk = field(default_factory=lambda: Desk(folder()))

    def close(self, handle: str | None) -> None:
        """Forget a page."""
        self.store.close(handle)
        self.desk.close(handle or "")
