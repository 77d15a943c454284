"""Trainings from the page: one at a time, each a folder on disk and a process of its own.

What is known of a training is read from its folder, so that it survives the app: a training goes
on when the app is killed, and the next one finds it. That it runs is known by a file lock which
its process inherits, and which the system lets go of with the process, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

try:
    import fcntl
except ImportError:  # not on Windows: there only the app that started a training knows that it runs
    fcntl = None

from s4token import UNITS
from viewer import journal

TOKENIZERS = ("superpoint", "knn", "radius")
OBJECTIVES = ("distillation", "masked", "clustering", "alignment")
LIMITS = {"scenes": (2, 5000), "steps": (1, 100_000)}
STOP_SECONDS = 120.0
NICE = 10

State = Literal["running", "paused", "failed", "finished"]
Row = dict[str, float]


def trainings() -> Path:
    """Return where trainings are kept: beside the corrections of this machine's pages."""
    kept = journal.folder()
    return (kept if os.environ.get("S4TOKEN_STATE") else kept.parent) / "training"


@dataclass(frozen=True)
class Plan:
    """Say what to train on what.

    source: ``rooms`` or ``scans``, unlabelled ones of one's own; scenes: made of them; steps: of
    each tokenizer; weights: of the objectives; clip: open_clip NAME:TAG; start: checkpoint whose
    tokenizers to begin with, ``shipped``, or "" for random weights; stopped: it was ended early;
    unit: of the scans' coordinates, "" to estimate it.
    """

    name: str
    source: str = "rooms"
    scenes: int = 40
    steps: int = 300
    batch: int = 6
    tokenizers: tuple[str, ...] = ("superpoint",)
    weights: Mapping[str, float] = field(default_factory=lambda: {"distillation": 1.0})
    clip: str = "s4token-small"
    start: str = ""
    stopped: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 60 or not self.name.isprintable():
            raise ValueError("Name: the tokenizers need one of 1 to 60 characters.")
        if self.source not in ("rooms", "scans"):
            raise ValueError("Learn from: choose the bundled rooms or scans of your own.")
        if self.unit and self.unit not in UNITS:
            raise ValueError(f"Unit: choose one of {', '.join(UNITS)}, or let it be estimated.")
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(
                    f"{name.capitalize()}: expected a whole number from {least} to {most:,}."
                )
        if not self.tokenizers or not set(self.tokenizers) <= set(TOKENIZERS):
            raise ValueError(f"Tokenizers: choose some of {', '.join(TOKENIZERS)}.")
        for name, weight in self.weights.items():
            if name not in OBJECTIVES or not 0 <= weight <= 10:
                raise ValueError(f"{name.capitalize()}: expected a weight from 0 to 10.")
        if not any(self.weights.values()):
            raise ValueError("Objectives: at least one needs a weight above 0.")
        if self.source == "scans" and self.weights.get("alignment"):
            raise ValueError(
                "Alignment: your scans have no labels to align with. Set it to 0, or learn from "
                "the bundled rooms, whose names are known."
            )

    @property
    def file(self) -> str:
        """Name of the checkpoint: the training's, as far as a file can have it."""
        return (re.sub(r"[^\w.-]+", "_", self.name).strip("._") or "tokenizers") + ".safetensors"

    def command(self, folder: Path, threads: int) -> list[str]:
        """Return the command line that trains, or goes on where it was interrupted."""
        data = "rooms" if self.source == "rooms" else f"folder:{folder / 'scans'}"
        unit = ("--unit", self.unit) if self.unit and self.source == "scans" else ()
        return [
            *(sys.executable, "-m", "s4token", "pretrain", "--data", data, *unit),
            *("--scenes", str(self.scenes), "--steps", str(self.steps)),
            *("--batch", str(self.batch), "--tokenizers", *self.tokenizers),
            *(part for n, w in self.weights.items() for part in (f"--{n}", f"{w:g}")),
            *("--clip", self.clip, *(("--start", self.start) if self.start else ())),
            *("--threads", str(threads), "--work", str(folder / "work")),
            *("--out", str(folder / self.file)),
        ]


@dataclass(frozen=True)
class Run:
    """Hold what a training's folder says.

    stage, done: what it does, and the share of that in [0, 1]; message: why it failed, or what a
    reader should know; notes: files that were left out; logs: rows by tokenizer, by step.
    """

    folder: Path
    plan: Plan
    state: State
    stage: str
    done: float
    message: str
    notes: tuple[str, ...]
    logs: Mapping[str, Sequence[Row]]

    @property
    def checkpoint(self) -> Path:
        """Where its tokenizers are, once it has finished."""
        return self.folder / self.plan.file


def read_log(path: Path) -> list[Row]:
    """Return the rows of a log by step; of a step that was done again the last, no torn line."""
    rows: dict[int, Row] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            rows[int(row["step"])] = row
    return [rows[step] for step in sorted(rows)]


def read_run(folder: Path, running: bool) -> Run:
    """Read a training's folder; ValueError or OSError when its plan cannot be read."""
    raw = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    plan = Plan(**{**raw, "tokenizers": tuple(raw["tokenizers"])})
    output = folder / "output.txt"
    text = output.read_text(encoding="utf-8", errors="replace") if output.is_file() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    notes = tuple(line for line in lines if "left out" in line)
    work = folder / "work"
    logs = {t: read_log(work / t / "log.jsonl") for t in plan.tokenizers}
    logs = {t: rows for t, rows in logs.items() if rows}
    stage, done = _stage(plan, work, logs)
    last = lines[-1] if lines else ""
    if running:
        state, message = "running", ""
    elif (folder / plan.file).is_file():
        state, message = "finished", "It was stopped early." if plan.stopped else ""
    elif last.startswith("s4token: ") and "interrupted" not in last:
        state, message = "failed", last.removeprefix("s4token: ")
    else:
        state, message = "paused", ""
        if not last.startswith("s4token: interrupted"):
            message = f"It was ended from outside. {last if 'Error' in last else ''}".strip()
    return Run(folder, plan, state, stage, done, message, notes, logs)


def _stage(plan: Plan, work: Path, logs: Mapping[str, Sequence[Row]]) -> tuple[str, float]:
    if logs:
        tokenizer = list(logs)[-1]
        step = int(logs[tokenizer][-1]["step"]) + 1
        whole = (plan.tokenizers.index(tokenizer) + step / plan.steps) / len(plan.tokenizers)
        return f"{tokenizer} tokens, step {step:,} of {plan.steps:,}", min(whole, 1.0)
    taught = len(list(work.glob("teacher/*/scene-*.npz")))
    made = len(list(work.glob("bank/scene-*.npz")))
    if taught:
        return f"asking the 2D teacher, {taught:,} of {made:,} scenes", taught / max(made, 1)
    return f"making scenes, {made:,} of {plan.scenes:,}", min(made / plan.scenes, 1.0)


class Trainer:
    """Start, pause, resume and stop the training in a folder of trainings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = False

    def runs(self) -> list[Run]:
        """Return all trainings, the newest first; a folder that makes no sense is left out."""
        with self._lock:
            running = self._running()
            found = sorted(self.folder.glob("*/plan.json"), reverse=True)
            out = []
            for number, path in enumerate(found):
                with contextlib.suppress(ValueError, OSError, TypeError, KeyError):
                    out.append(read_run(path.parent, running and number == 0))
            if running and self._ending and out:
                out[0] = replace(out[0], message="It ends its step and saves.")
            return out

    def current(self) -> Run | None:
        """Return the newest training, whatever its state."""
        runs = self.runs()
        return runs[0] if runs else None

    def start(self, plan: Plan, scans: Sequence[Path] = ()) -> None:
        """Begin a training; ValueError while another one is not finished.

        scans: files to learn from, copied because uploads do not last.
        """
        with self._lock:
            current = self.current()
            if current is not None and current.state != "finished":
                how = "wait, or stop it" if current.state == "running" else "resume or stop it"
                raise ValueError(
                    f"Training: {current.plan.name} is {current.state}; one at a time, {how} first."
                )
            if plan.source == "scans" and not scans:
                raise ValueError("Your scans: choose a folder with some first.")
            taken = [int(p.name) for p in self.folder.glob("*") if p.name.isdecimal()]
            number = max(taken, default=0) + 1
            folder = self.folder / f"{number:04d}"
            folder.mkdir(parents=True, mode=0o700)
            try:
                _copy(scans, folder / "scans")
                _write_plan(folder, plan)
                self._launch(folder, plan)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise

    def pause(self) -> None:
        """Ask the training to end its step and save; returns at once."""
        with self._lock:
            if not self._running():
                raise ValueError("Training: none is running.")
            self._end(self._newest().folder)

    def resume(self) -> None:
        """Go on with a training that was paused, failed or killed."""
        with self._lock:
            run = self._newest()
            if run.state not in ("paused", "failed"):
                raise ValueError(f"Training: {run.plan.name} is {run.state}, not paused.")
            self._launch(run.folder, run.plan)

    def stop(self) -> str:
        """End a training for good and keep what it has learned; returns what became of it."""
        with self._lock:
            run = self._newest()
            if run.state == "finished":
                raise ValueError("Training: none is running or paused.")
            if run.state == "running":
                self._end(run.folder)
        if not self._ended(STOP_SECONDS):  # not under the lock: other pages look on
            raise ValueError("Training: it has not ended yet; try again in a minute.")
        with self._lock:
            run = self._newest()
            if run.state == "finished":
                return f"{run.plan.name} had just finished."
            learned = [t for t in run.logs if (run.folder / "work" / t / "state.pt").is_file()]
            if not learned:
                shutil.rmtree(run.folder)
                return f"{run.plan.name} was stopped before it had learned anything."
            # The same command with the steps it has done trains no more, but writes a checkpoint.
            steps = min(int(run.logs[t][-1]["step"]) + 1 for t in learned)
            plan = replace(run.plan, tokenizers=tuple(learned), steps=steps, stopped=True)
            _write_plan(run.folder, plan)
            self._launch(run.folder, plan)
            return (
                f"{plan.name} was stopped after {steps:,} steps; its checkpoint is being written."
            )

    def close(self) -> None:
        """Pause the training if this app has started it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def tidy(self) -> None:
        """Delete what finished trainings do not need any more: scenes, copies, states."""
        for run in self.runs():
            if run.state == "finished":
                for part in ("scans", "work/bank", "work/teacher"):
                    shutil.rmtree(run.folder / part, ignore_errors=True)
                for state in run.folder.glob("work/*/state.pt"):
                    state.unlink(missing_ok=True)

    def _newest(self) -> Run:
        run = self.current()
        if run is None:
            raise ValueError("Training: there is none yet.")
        return run

    def _launch(self, folder: Path, plan: Plan) -> None:
        """Start the process; it holds the lock until it ends."""
        self._ending = False
        threads = max(1, (os.cpu_count() or 2) // 2)
        with self._claim() as lock, (folder / "output.txt").open("wb") as output:
            self._process = subprocess.Popen(
                plan.command(folder.resolve(), threads),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=Path(__file__).resolve().parent.parent,
                env={
                    **os.environ,
                    **dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads)),
                    "TQDM_DISABLE": "1",  # the output is for what went wrong
                },
                pass_fds=() if lock is None else (lock.fileno(),),
                start_new_session=True,  # Ctrl+C is for the app
            )
            if hasattr(os, "setpriority"):
                with contextlib.suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)
            (folder / "pid").write_text(str(self._process.pid))

    @contextlib.contextmanager
    def _claim(self) -> Any:
        if fcntl is None:
            yield None
            return
        with (self.folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ValueError("Training: another one is running.") from error
            yield lock

    def _running(self) -> bool:
        if self._process is not None and self._process.poll() is None:
            return True
        if fcntl is None or not (self.folder / "lock").exists():
            return False
        with (self.folder / "lock").open("a") as lock:
            return not _free(lock)

    def _end(self, folder: Path) -> None:
        self._ending = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        else:  # started by an app before this one; the lock says that it still lives
            os.kill(int((folder / "pid").read_text()), signal.SIGTERM)

    def _ended(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self._running():
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        return True


def _free(lock: IO[str]) -> bool:
    assert fcntl is not None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _write_plan(folder: Path, plan: Plan) -> None:
    part = folder / "plan.part"
    part.write_text(json.dumps(asdict(plan), ensure_ascii=False), encoding="utf-8")
    os.replace(part, folder / "plan.json")


def _copy(scans: Sequence[Path], folder: Path) -> None:
    """Copy files by their names; a name that comes twice gets a number."""
    if scans:
        folder.mkdir()
    for scan in scans:
        target, number = folder / scan.name, 1
        while target.exists():
            number += 1
            target = folder / f"{scan.stem}-{number}{scan.suffix}"
        shutil.copyfile(scan, target)
