"""What happens on the Train tab: from its form to a training, from a training to what is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import plotly.graph_objects as go

from viewer import answers, events, panels
from viewer.controls import Controls
from viewer.curves import curves
from viewer.events import Report, Screen, quiet
from viewer.shared import App
from viewer.trainer import OBJECTIVES, Plan, Run

SOURCES = {"Bundled rooms": "rooms", "My scans": "scans"}
OWN = "The app's own checkpoint"
IDLE = "Nothing is being trained."


@dataclass(frozen=True)
class Form:
    """Hold the fields of the tab as they come from the browser; ``plan`` checks them."""

    name: Any
    source: Any
    unit: Any
    tokenizers: Any
    scenes: Any
    steps: Any
    begin: Any
    weights: Sequence[Any]

    def plan(self, clip: str, start: str) -> Plan:
        """Return what is to be trained; ValueError naming the field."""
        tokenizers = self.tokenizers if isinstance(self.tokenizers, list) else []
        weights = {}
        for name, value in zip(OBJECTIVES, self.weights, strict=True):
            if type(value) not in (int, float) or not math.isfinite(value):
                raise ValueError(f"{name.capitalize()}: expected a weight from 0 to 10.")
            weights[name] = float(value)
        return Plan(
            " ".join(str(self.name or "").split()),
            SOURCES.get(str(self.source), ""),
            self.scenes,
            self.steps,
            tokenizers=tuple(str(t) for t in tokenizers),
            weights=weights,
            clip=clip,
            start=start if self.begin is True else "",
            unit=str(self.unit or ""),
        )


@dataclass(frozen=True, eq=False)
class View:
    """Hold what the tab shows; figure None: as it was.

    can: which of start, pause, resume, stop make sense; offer: checkpoints, as pairs of text and
    name, and the name of the chosen one; drawn: by which the next look knows the same curves.
    """

    status: str
    notes: str
    figure: go.Figure | None
    can: Mapping[str, bool]
    offer: tuple[list[tuple[str, str]], str]
    drawn: str


def start(app: App, handle: str, form: Form, scans: Sequence[str]) -> str:
    """Begin a training; returns a line, raises ValueError when it cannot be."""
    model = app.page(handle).model()
    begin = app.checkpoints.chosen(handle) or app.source
    plan = form.plan(_clip(app), str(begin.resolve()) if begin else "shipped")
    if plan.start:
        missing = set(plan.tokenizers) - set(model.tokenizers)
        if missing:
            raise ValueError(
                f"Tokenizers: the checkpoint to begin with has no {', '.join(sorted(missing))}."
            )
    app.trainer.start(plan, [Path(p) for p in scans] if plan.source == "scans" else ())
    return f"{plan.name} has begun."


def _clip(app: App) -> str:
    """Return the CLIP of the app's own model as the command line takes it."""
    facts = app.model().description
    name, tag = facts["clip"], facts.get("clip_tag") or ""
    if facts.get("clip_is_small"):
        beside = app.source.parent / tag if app.source and tag else None
        return f"{name}:{beside.resolve()}" if beside and beside.is_file() else name
    return f"{name}:{tag}" if tag else name


def chosen(app: App, handle: str) -> str:
    """Return the name of the checkpoint that a page has chosen."""
    path = app.checkpoints.chosen(handle)
    return "" if path is None else path.parent.name


def look(app: App, handle: str, drawn: str, *, dark: bool = False, said: str = "") -> View:
    """Return what the tab shows now; said: a line to put first."""
    app.trainer.tidy()
    runs = app.trainer.runs()
    run = runs[0] if runs else None
    state = run.state if run else "finished"
    logs = run.logs if run else {}
    rows = sum(len(r) for r in logs.values())
    new = f"{run.folder.name if run else ''} {rows} {dark}"
    finished = [(_text(r), r.folder.name) for r in runs if r.state == "finished"]
    return View(
        status=_status(run, said),
        notes=_notes(run),
        figure=curves(logs, run.plan.steps, dark=dark) if run and rows and new != drawn else None,
        can={
            "start": state == "finished",
            "pause": state == "running",
            "resume": state in ("paused", "failed"),
            "stop": state != "finished",
        },
        offer=([(OWN, ""), *finished], chosen(app, handle)),
        drawn=new,
    )


def _status(run: Run | None, said: str) -> str:
    if run is None:
        return panels.status(" ".join(filter(None, [said, IDLE])))
    kind, done = "info", None
    name = run.plan.name
    if run.state == "running":
        kind, done = "busy", run.done
        text = f"{name} is learning: {run.stage}. {run.message}"
        said = ""
    elif run.state == "failed":
        kind, text = "error", f"{name} has failed. {run.message}"
    elif run.state == "paused":
        text = f"{name} is paused ({run.stage}). {run.message} Resume goes on from there."
    else:
        text = f"{name} is ready: choose it below. {run.message}"
    return panels.status(" ".join(f"{said} {text}".split()), kind, done)


def _notes(run: Run | None) -> str:
    if run is None or not run.notes:
        return ""
    rows = "".join(f"<li>{panels.escape(note)}</li>" for note in run.notes)
    return f'<ul class="s4-notes">{rows}</ul>'


def _text(run: Run) -> str:
    of = {text: name for name, text in SOURCES.items()}[run.plan.source].lower()
    return f"{run.plan.name} ({', '.join(run.plan.tokenizers)}; {run.plan.steps:,} steps, {of})"


def use(app: App, name: str, handle: str, c: Controls, report: Report = quiet) -> Screen:
    """Let another checkpoint answer on a page; its open scan is encoded again."""
    report(0.0, "Loading the checkpoint")
    path, model = None, app.model()
    if name:
        run = next((r for r in app.trainer.runs() if r.folder.name == name), None)
        if run is None or run.state != "finished":
            raise ValueError("Checkpoint: there is no such one. Reload the page.")
        path, model = run.checkpoint, app.checkpoints.model(run.checkpoint, model)
    here = replace(app, model=lambda: model)
    said = f"{model.description['checkpoint']} answers on this page now."
    if not app.store.has_scan(handle):
        app.checkpoints.choose(handle, path)
        return Screen(status=said)
    before = app.store.get(handle)
    tokenizer = before.tokenizer if before.tokenizer in model.tokenizers else model.tokenizers[0]
    blank = replace(before, layers=MappingProxyType({}), tokenizer=tokenizer, answer=None)
    fresh = answers.encoded(here, blank, tokenizer, 1.0, report)
    app.store.update(handle, lambda now: answers.unless_changed(now, before, fresh))
    app.checkpoints.choose(handle, path)
    c = replace(c, tokenizer=tokenizer)
    if before.answer is None:
        return replace(events.redraw(here, handle, c), status=said)
    query = before.query
    words, others = "\n".join(query.prompts), "\n".join(query.negatives)
    c = replace(c, prompts=words, negatives=others, threshold=query.threshold)
    screen = events.ask(here, handle, c)
    return replace(screen, status=f"{said} {screen.status}")
