"""Which checkpoint answers on which page: the app's own, or one that was trained in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import s4token


def load(path: Path, own: Any) -> Any:
    """Load a checkpoint through the CLIP that is in memory, which it must have learned with."""
    return s4token.load(path, str(own.clip.device), clip=own.clip)


class Checkpoints:
    """Keep models that were loaded, and which of them a page has chosen.

    load: reads a checkpoint, given the app's own model.
    """

    def __init__(self, load: Callable[[Path, Any], Any] = load) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loaded: dict[Path, Any] = {}
        self._chosen: dict[str, Path] = {}

    def model(self, path: Path, own: Any) -> Any:
        """Return the model of a checkpoint, read on the first call."""
        with self._lock:
            if path not in self._loaded:
                self._loaded[path] = self._load(path, own)
            return self._loaded[path]

    def choose(self, handle: str, path: Path | None) -> None:
        """Let a checkpoint that was loaded read a page's next scans; None: the app's own."""
        if path is None:
            self._chosen.pop(handle, None)
        else:
            self._chosen[handle] = path

    def chosen(self, handle: str) -> Path | None:
        """Return the checkpoint that a page has chosen; None: the app's own."""
        return self._chosen.get(handle)

    def of(self, handle: str) -> Any:
        """Return the model that a page has chosen; None: the app's own."""
        path = self._chosen.get(handle)
        return None if path is None else self._loaded[path]
