"""The one training loop: schedule, log, checkpoints that a killed run resumes from exactly."""

from __future__ import annotations

import atexit
import ctypes
import json
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist

from s4token.model import check_device

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

Step = Callable[[int], Mapping[str, torch.Tensor | float]]
log = logging.getLogger(__name__)
STATE = "state.pt"
"""The file that a run goes on from."""
MUON_RATIO = 20.0
"""Learning rate of Muon's orthogonal steps to that of AdamW's."""


class Optimizer(Protocol):
    """What the loop needs of an optimiser."""

    param_groups: list[dict[str, Any]]

    def zero_grad(self, set_to_none: bool = True) -> None: ...

    def step(self) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


class MuonAdamW:
    """Muon (Jordan et al. 2024) for the weights of linear layers, AdamW for all others.

    The weights of frozen parameters are left alone. betas: AdamW's.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        lr: float,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.98),
    ) -> None:
        linear = [p for p in _linear_weights(module) if p.requires_grad]
        known = set(map(id, linear))
        rest = parameter_groups(module, weight_decay)
        for group in rest:
            group["params"] = [p for p in group["params"] if id(p) not in known]
        matrices = {"params": linear, "weight_decay": weight_decay, "lr_ratio": MUON_RATIO}
        muon = torch.optim.Muon([matrices], lr=lr * MUON_RATIO)
        self.parts = (muon, torch.optim.AdamW(rest, lr=lr, betas=betas, fused=True))
        self.param_groups = [g for part in self.parts for g in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none)

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {str(number): part.state_dict() for number, part in enumerate(self.parts)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for number, part in enumerate(self.parts):
            part.load_state_dict(state_dict[str(number)])
        self.param_groups = [g for part in self.parts for g in part.param_groups]


def _linear_weights(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    for part in module.modules():
        if isinstance(part, torch.nn.Linear):
            yield part.weight
        elif isinstance(part, torch.nn.MultiheadAttention) and part.in_proj_weight is not None:
            yield part.in_proj_weight


@dataclass(frozen=True)
class Loop:
    """Run ``steps`` optimiser steps and keep ``folder`` resumable.

    A step must draw its randomness from the number it is given, so that a resumed run sees what
    the uninterrupted one would have seen. Under ``torchrun`` every process draws other numbers
    and gradients are averaged; process 0 writes.

    settings: JSON-ready, all that decides what comes out. A saved state of others is refused; only
    the steps may change, and the learning rate of a run that has not ended.
    """

    folder: Path
    steps: int
    peak_lr: float
    settings: Mapping[str, Any] = field(default_factory=dict)
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
        optimizer: Optimizer,
        step: Step,
        progress: Callable[[Iterable[int]], Iterable[int]] = lambda steps: steps,
    ) -> None:
        """Train from the last saved state, if there is one, to the last step.

        optimizer: a parameter group's learning rate is the schedule's times its ``lr_ratio``.
        step: returns ``loss`` (a scalar tensor with a gradient) and numbers to log.
        Raises FloatingPointError when the loss, its gradient (on a GPU by the next row of the log)
        or a weight that is to be saved is not finite; the last saved state stays good. ValueError
        when the folder cannot be gone on from, or is in use. SIGINT and SIGTERM let the step end,
        save, and raise KeyboardInterrupt.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(self.folder):
            self._run(module, optimizer, step, progress)

    def _run(
        self,
        module: torch.nn.Module,
        optimizer: Optimizer,
        step: Step,
        progress: Callable[[Iterable[int]], Iterable[int]],
    ) -> None:
        keep_freed_memory()
        rank, world = processes()
        start = self._resume(module, optimizer)
        parameters = [p for g in optimizer.param_groups for p in g["params"]]
        saved, health = time.monotonic(), _Health(self._advice)
        curves = _tensorboard(self.folder) if rank == 0 else None
        with (self.folder / "log.jsonl").open("a") as rows, _asked_to_stop(world) as asked:
            for number in progress(range(start, self.steps)):
                for group in optimizer.param_groups:
                    group["lr"] = self.lr(number) * group.get("lr_ratio", 1.0)
                values = step(number * world + rank)
                loss = values["loss"]
                assert isinstance(loss, torch.Tensor)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                if world > 1:
                    _average_gradients(parameters, world)
                norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                health.note(number, loss, norm)
                optimizer.step()
                last = number == self.steps - 1 or asked()
                logs = number % self.log_every == 0 or last
                saves = last or time.monotonic() - saved > self.save_seconds
                if logs or saves:
                    health.check()
                if rank == 0 and logs:
                    row = {"step": number, "time": round(time.time(), 1), "lr": self.lr(number)}
                    row |= {k: float(torch.as_tensor(v).detach()) for k, v in values.items()}
                    print(json.dumps(row), file=rows, flush=True)
                    if curves is not None:
                        for name in (*values, "lr"):
                            curves.add_scalar(name, row[name], number)
                if rank == 0 and saves:
                    self._save(module, optimizer, number + 1)
                    return_freed_memory()
                    saved = time.monotonic()
                if asked():
                    raise KeyboardInterrupt

    def _save(self, module: torch.nn.Module, optimizer: Optimizer, done: int) -> None:
        weights = module.state_dict()
        if not all(w.isfinite().all() for w in weights.values() if w.is_floating_point()):
            raise FloatingPointError(f"step {done - 1}: a weight is not finite; {self._advice()}")
        state = {"module": weights, "optimizer": optimizer.state_dict(), "done": done}
        state["settings"] = json.dumps(self._decides())
        temporary = self.folder / f".state.{os.getpid()}"
        try:
            torch.save(state, temporary)
            os.replace(temporary, self.folder / STATE)
        except (OSError, RuntimeError) as error:  # PyTorch reports a full disk as the latter
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:100]
            raise ValueError(
                f"{self.folder / STATE}: cannot be written ({reason}); make room, and the same "
                "command goes on from the last state"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _decides(self) -> dict[str, Any]:
        found = dict(self.settings) | {"steps": self.steps, "lr": self.peak_lr}
        return json.loads(json.dumps(found, default=str))

    def _advice(self) -> str:
        if (self.folder / STATE).is_file():
            return f"the last good state is in {self.folder}; resume with a lower learning rate"
        return "nothing was saved; begin with a lower learning rate"

    def _resume(self, module: torch.nn.Module, optimizer: Optimizer) -> int:
        path = self.folder / STATE
        for left in self.folder.glob(".state.*"):  # of a run that was killed while it saved
            left.unlink()
        if not path.is_file():
            return 0
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            done, was = int(state["done"]), json.loads(state.get("settings", "{}"))
        except Exception as error:  # of whatever kind the damage is
            raise ValueError(
                f"{path}: cannot be read ({type(error).__name__}); delete it to begin anew"
            ) from error
        now = self._decides()
        may = {"steps", "lr"} if done < self.steps else {"steps"}
        other = [k for k in was if k not in may and was[k] != now.get(k)]
        if other:
            said = ", ".join(f"{k} {was[k]!s:.60} and not {now.get(k)!s:.60}" for k in other[:4])
            raise ValueError(
                f"{self.folder}: holds a training with {said}; choose another --work, or delete it"
            )
        if done > self.steps:
            log.warning("%s: %d steps are done, more than %d; they stay", path, done, self.steps)
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        return done


def check_recipe(config: Any, at_least_one: Sequence[str]) -> None:
    """Raise ValueError naming the first field of a recipe that makes no sense."""
    for name in at_least_one:
        if getattr(config, name) < 1:
            raise ValueError(f"{name}: expected at least 1, got {getattr(config, name)}")
    if not 0 <= config.lr < math.inf:
        raise ValueError(f"lr: expected a learning rate of 0 or more, got {config.lr}")
    if not 0 <= config.seed < 2**63:
        raise ValueError(f"seed: expected a number from 0 to 2^63 - 1, got {config.seed}")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Refuse a folder that another process trains in, as long as that lives."""
    if fcntl is None or processes()[0] > 0:
        yield
        return
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(
                f"{folder}: another training runs there; wait for it, or choose another --work"
            ) from error
        yield


class _Health:
    """Raise when a loss or its gradient was not finite, before anything of it is saved.

    On a CPU at once, before the weights change. A GPU would have to be waited for at every step,
    so there only when ``check`` is called.
    """

    def __init__(self, advice: Callable[[], str]) -> None:
        self.advice = advice
        self.first: torch.Tensor | None = None

    def note(self, number: int, loss: torch.Tensor, norm: torch.Tensor) -> None:
        """Look at a step."""
        fine = loss.detach().isfinite() & norm.isfinite()
        bad = torch.where(fine, torch.inf, float(number))
        self.first = bad if self.first is None else torch.minimum(self.first, bad)
        if loss.device.type == "cpu":
            self.check()

    def check(self) -> None:
        """Raise FloatingPointError if some step was not finite."""
        if self.first is not None and math.isfinite(step := self.first.item()):
            raise FloatingPointError(
                f"step {step:.0f}: loss or gradient is not finite; {self.advice()}"
            )


def _tensorboard(folder: Path) -> Any:
    """Return a writer of TensorBoard's event files, or None where that package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))


@contextmanager
def _asked_to_stop(world: int) -> Iterator[Callable[[], bool]]:
    """Hold back the first SIGINT or SIGTERM, so that a step can end; say whether it came.

    Not with other processes, which would wait for this one, nor outside the main thread.
    """
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    if world > 1 or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, because every step asks for the same large blocks again.

    Otherwise their pages go back and are faulted in anew: a third of a step on a CPU.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        trim_threshold, mmap_threshold = -1, -3
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_threshold, 2**26)


def return_freed_memory() -> None:
    """Give freed blocks back to the system, now and then: they lie scattered and add up."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def processes() -> tuple[int, int]:
    """Return this process's rank and the number of processes; joins them under ``torchrun``."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        both = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(both, timeout=timedelta(hours=2))
        atexit.register(dist.destroy_process_group)  # its threads, left alone, can abort the end
    return (dist.get_rank(), world) if world > 1 else (0, 1)


def wait_for_all() -> None:
    """Return when every process of ``torchrun`` has come here."""
    if processes()[1] > 1:
        dist.all_reduce(torch.zeros(1))


def own_device(name: str) -> torch.device:
    """Return the device of this process, under ``torchrun`` a GPU for each; ValueError if none."""
    check_device(name)
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(name)


def _average_gradients(parameters: Sequence[torch.nn.Parameter], world: int) -> None:
    # A part that only some processes used this time counts as zero in the others.
    for p in parameters:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient) / world)


def parameter_groups(module: torch.nn.Module, weight_decay: float) -> list[dict]:
    """Split trainable parameters: matrices decay, gains, biases and embeddings do not."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
