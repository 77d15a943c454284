"""The same scan through every tokenizer, side by side, in any units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viewer import answers, drawing, events, panels, scene, scores
from viewer.controls import Controls
from viewer.events import Report, quiet
from viewer.session import Layer, Session
from viewer.shared import App

ORDER = ("knn", "radius", "superpoint")
FACTORS = {"× 0.001": 0.001, "× 1": 1.0, "× 1000": 1000.0}
COLORINGS = ("Labels", "Superpoints", "Tokens")
PANEL_POINTS = 15_000


@dataclass(frozen=True)
class Choice:
    """Hold what is compared: the units times ``factor``, in the colours of ``coloring``."""

    factor: float
    coloring: str

    def __post_init__(self) -> None:
        if self.factor not in FACTORS.values():
            raise ValueError(f"Units: choose one of {', '.join(FACTORS)}.")
        if self.coloring not in COLORINGS:
            raise ValueError(f"Colour by: choose one of {', '.join(COLORINGS)}.")


@dataclass(frozen=True, eq=False)
class Panel:
    """Hold one of the compared pictures, for WebGL2 or as a figure, with its numbers as HTML."""

    scene: Mapping[str, Any] | None
    figure: go.Figure | None
    numbers: str
    row: scores.Row


@dataclass(frozen=True, eq=False)
class Comparison:
    """Hold a panel per tokenizer, the key of colours as HTML, and a status line.

    scene: all panels for WebGL2, None for a browser without it; table: all numbers as CSV.
    """

    panels: dict[str, Panel]
    scene: Mapping[str, Any] | None
    key: str
    status: str
    table: str


def compare(
    app: App, handle: str, c: Controls, choice: Choice, report: Report = quiet
) -> Comparison:
    """Encode the open scan with every tokenizer, its units multiplied.

    In other units every panel also says how far labels and features are still the original ones.
    """
    session, factor = app.store.get(handle), choice.factor
    present = [t for t in ORDER if t in app.model().tokenizers]
    jobs = [(t, f) for t in present for f in dict.fromkeys((1.0, factor))]
    for i, (tokenizer, times) in enumerate(jobs):
        step = _part(report, i, len(jobs), f"{events.TOKENIZERS[tokenizer]} {_factor(times)}")
        session = answers.encoded(app, session, tokenizer, times, step)
    note = _remember(app, handle, session)
    out = {t: _panel(app, session, t, c, choice) for t in present}
    said = f"Same scan, same model, {_factor(factor) or 'original units'}.{_kept(out)}"
    if session.answer is None:
        said += " Type words on the first page to compare labels, too."
    labelled = choice.coloring == "Labels"
    c = replace(c, view="Labels" if labelled else "Superpoints", cut=1.0)
    drawn = [p.scene for p in out.values() if p.scene is not None]
    whole = scene.scene(app.files, replace(session, factor=factor), drawn, c) if drawn else None
    key, table = (
        panels.key(session, holes=_holes(out)) if labelled else "",
        scores.csv_text([p.row for p in out.values()]),
    )
    return Comparison(out, whole, key, f"{said} {note}".strip(), table)


def _kept(found: Mapping[str, Panel]) -> str:
    """Say how many points keep their label in other units; "" where that is not known."""
    shares = [
        f"{events.TOKENIZERS[name]} {panel.row['same_label_percent']:.1f}%"
        for name, panel in found.items()
        if "same_label_percent" in panel.row
    ]
    return f" Points that keep their label: {', '.join(shares)}." if shares else ""


def _holes(found: Mapping[str, Panel]) -> bool:
    return any(panel.row["coverage_percent"] != 100 for panel in found.values())


def _remember(app: App, handle: str, found: Session) -> str:
    """Keep the new layers if the scan is still open; otherwise the work was for nothing."""
    if app.store.get(handle).cloud is not found.cloud:
        raise ValueError("Scan: another one was opened meanwhile; compare again.")
    return app.store.update(handle, lambda now: now.with_layers(found.layers))[1]


def _part(report: Report, i: int, of: int, name: str) -> Report:
    return lambda fraction, stage: report((i + fraction) / of, f"{name}: {stage}")


def _factor(factor: float) -> str:
    return "" if factor == 1 else f"units × {factor:g}"


def _panel(app: App, session: Session, tokenizer: str, c: Controls, choice: Choice) -> Panel:
    factor = choice.factor
    layer, original = session.layers[tokenizer, factor], session.layers[tokenizer, 1.0]
    sizes = layer.encoding.groups.sizes
    row: dict[str, object] = {
        "scan": session.name,
        "points": len(layer.token),
        "tokenizer": tokenizer,
        "units_factor": factor,
        "tokens": len(sizes),
        "points_per_token": float(np.median(sizes)),
        "coverage_percent": 100 * layer.coverage,
        "seconds": sum(layer.encoding.seconds.values()),
    }
    shown, answer = replace(session, tokenizer=tokenizer), None
    if session.answer is not None:
        answer = answers.answer_of(app, layer, session.query)
        shown = replace(shown, answer=answer)
        row["labelled_percent"] = 100 * float((answer.labels > 0).mean())
        if factor != 1:
            same = float(
                (answer.labels == answers.answer_of(app, original, session.query).labels).mean()
            )
            row["same_label_percent"] = 100 * same
    if factor != 1:
        row["same_feature_cosine"] = feature_agreement(layer, original)
    row |= scores.against(session.truth, layer, answer)
    here = replace(shown, layers={(tokenizer, 1.0): layer}, hidden=frozenset(), factor=factor)
    view = "Superpoints" if choice.coloring == "Superpoints" or session.answer is None else "Labels"
    c = replace(c, view="Tokens" if choice.coloring == "Tokens" else view, cut=1.0)
    figure = drawn = None
    if c.look.plotly:
        figure, *_ = drawing.draw(here, c, PANEL_POINTS)
    else:
        drawn = scene.panel(app.files, here, c, events.TOKENIZERS[tokenizer])
        drawn["facts"] = list(scores.facts(row).items())
    notes = "".join(f"<li>{panels.escape(n)}</li>" for n in layer.encoding.notes)
    numbers = panels.table(scores.facts(row)) + (
        f'<ul class="s4-notes">{notes}</ul>' if notes else ""
    )
    return Panel(drawn, figure, numbers, row)


def feature_agreement(layer: Layer, original: Layer) -> float:
    """Return the mean cosine between each point's token feature here and in original units.

    Points that no token holds in one of the two count as 0: what is lost is not the same.
    """
    both = (layer.token >= 0) & (original.token >= 0)
    if not both.any():
        return 0.0
    pairs, counts = np.unique(
        np.stack([layer.token[both], original.token[both]]), axis=1, return_counts=True
    )
    cosine = (layer.encoding.features[pairs[0]] * original.encoding.features[pairs[1]]).sum(axis=1)
    either = (layer.token >= 0) | (original.token >= 0)
    return float((cosine * counts).sum() / max(int(either.sum()), 1))
