"""Notice when numba compiles: the first scan after an installation waits for its kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import event

COMPILING = "compiling the code for it first, only this once (up to a minute)"


class _Once(event.Listener):
    def __init__(self, say: Callable[[], object]) -> None:
        self.say, self.said = say, False

    def on_start(self, event: Any) -> None:
        """Speak at the first kernel that is compiled; one that is read from disk is no event."""
        if not self.said:
            self.said = True
            self.say()

    def on_end(self, event: Any) -> None:
        """Say nothing."""


@contextmanager
def compiling(say: Callable[[], object]) -> Iterator[None]:
    """Call ``say`` once if some thread compiles a kernel meanwhile."""
    with event.install_listener("numba:compile", _Once(say)):
        yield


@contextmanager
def stage(say: Callable[[float, str], object], name: str) -> Iterator[None]:
    """Say that a stage begins, the first of its work, and again if kernels are compiled for it."""
    say(0.0, name)
    with compiling(lambda: say(0.0, f"{name}; {COMPILING}")):
        yield
