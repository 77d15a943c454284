"""The one training loop: schedule, log, checkpoints that a killed run resumes from exactly."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

Step = Callable[[int], Mapping[str, torch.Tensor | float]]


@dataclass(frozen=True)
class Loop:
    """Run ``steps`` optimiser steps and keep ``folder`` resumable.

    Step ``n`` must draw its randomness from ``n`` (see ``generator``), so that a resumed run sees
    what the uninterrupted one would have seen.
    """

    folder: Path
    steps: int
    peak_lr: float
    warmup: float = 0.05
    save_seconds: float = 60.0
    log_every: int = 20

    def lr(self, step: int) -> float:
        """Return the learning rate of a step: linear warm-up, then a half cosine to zero."""
        done = step / self.steps
        if done < self.warmup:
            return self.peak_lr * (done / self.warmup + 1 / self.steps)
        return (
            self.peak_lr * 0.5 * (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup)))
        )

    def run(
        self,
        module: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        step: Step,
        progress: Callable[[Iterable[int]], Iterable[int]] = lambda steps: steps,
    ) -> None:
        """Train from the last saved state, if there is one, to the last step.

        step: returns ``loss`` (a scalar tensor with a gradient) and numbers to log.
        Raises FloatingPointError when the loss is not finite; the last saved state stays good.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        start = self._resume(module, optimizer)
        saved = time.monotonic()
        with (self.folder / "log.jsonl").open("a") as log:
            for number in progress(range(start, self.steps)):
                for group in optimizer.param_groups:
                    group["lr"] = self.lr(number)
                values = step(number)
                loss = values["loss"]
                assert isinstance(loss, torch.Tensor)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                parameters = [p for g in optimizer.param_groups for p in g["params"]]
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                if number % self.log_every == 0 or number == self.steps - 1:
                    row = {"step": number, "time": round(time.time(), 1), "lr": self.lr(number)}
                    row |= {k: float(v) for k, v in values.items()}
                    if not math.isfinite(row["loss"]):
                        raise FloatingPointError(
                            f"step {number}: loss is {row['loss']}; the last good state is in "
                            f"{self.folder}; resume with a lower learning rate"
                        )
                    print(json.dumps(row), file=log, flush=True)
                if time.monotonic() - saved > self.save_seconds or number == self.steps - 1:
                    self._save(module, optimizer, number + 1)
                    saved = time.monotonic()

    def _save(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer, done: int) -> None:
        temporary = self.folder / f".state.{os.getpid()}"
        state = {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "done": done}
        try:
            torch.save(state, temporary)
            os.replace(temporary, self.folder / "state.pt")
        finally:
            temporary.unlink(missing_ok=True)

    def _resume(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
        path = self.folder / "state.pt"
        if not path.is_file():
            return 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["done"])


def parameter_groups(module: torch.nn.Module, weight_decay: float) -> list[dict]:
    """Split trainable parameters: matrices decay, gains, biases and embeddings do not."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
