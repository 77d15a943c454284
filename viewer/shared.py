"""What all pages of the app share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from viewer.checkpoints import Checkpoints
from viewer.corrections import Desk
from viewer.files import Files
from viewer.journal import folder
from viewer.session import Store
from viewer.trainer import Trainer, trainings


@dataclass(frozen=True, eq=False)
class App:
    """Hold what all pages share.

    model: returns the loaded model, it may still be loading; store: sessions; files: what browsers
    fetch; desk: corrections; trainer: the training; checkpoints: what pages chose instead of the
    app's own model; source: the file of that, None = the shipped one.
    """

    model: Callable[[], Any]
    store: Store
    files: Files = field(default_factory=Files)
    desk: Desk = field(default_factory=lambda: Desk(folder()))
    trainer: Trainer = field(default_factory=lambda: Trainer(trainings()))
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    source: Path | None = None

    def page(self, handle: str | None) -> App:
        """Return the app as the page that asks has it: with the model that was chosen there."""
        self.desk.hear(handle or "")
        model = self.checkpoints.of(handle or "")
        return self if model is None else replace(self, model=lambda: model)

    def close(self, handle: str | None) -> None:
        """Forget a page."""
        self.store.close(handle)
        self.desk.close(handle or "")
        self.checkpoints.choose(handle or "", None)
