"""What happens on a click: from a session and controls to a new session and a screen.

No function here knows Gradio. Each takes the app, a session handle and checked controls, and
returns a ``Screen``; what it cannot do it raises as ValueError with one line for the reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import plotly.graph_objects as go

import s4token
from s4token import PointCloud
from viewer import figures, panels
from viewer.controls import Controls, parse_toggle
from viewer.session import Layer, Query, Session, Store

Report = Callable[[float, str], None]

ROOMS = {
    "living": ("Living room", 1_000_008),
    "bedroom": ("Bedroom", 1_000_011),
    "kitchen": ("Kitchen", 1_000_006),
    "office": ("Office", 1_000_007),
}
"""Name and seed of the bundled rooms: seeds whose furniture is typical and whose roof is off."""
FIRST_ROOM = "office"
TOKENIZERS = {"superpoint": "Superpoints", "knn": "kNN", "radius": "Radius"}


@dataclass(frozen=True, eq=False)
class App:
    """Hold what all pages share: the loaded model (a call, it may still be loading), the store."""

    model: Callable[[], Any]
    store: Store


@dataclass(frozen=True, eq=False)
class Screen:
    """Hold what a page shows next; None leaves a part as it is.

    kind: of the status line, info, busy or error; fraction: progress in [0, 1] of a busy one.
    """

    status: str | None = None
    kind: str = "info"
    fraction: float | None = None
    figure: go.Figure | None = None
    caption: str | None = None
    legend: str | None = None
    stats: str | None = None
    view: str | None = None
    heat_choices: tuple[str, ...] | None = None
    heat: str | None = None
    prompts: str | None = None


def quiet(fraction: float, stage: str) -> None:
    """Report progress to nobody."""


def open_room(app: App, handle: str, kind: str, c: Controls, report: Report = quiet) -> Screen:
    """Open a bundled room by kind."""
    if kind not in ROOMS:
        raise ValueError(f"Scene: there is no room {kind!r:.40}; choose one of {', '.join(ROOMS)}.")
    name, seed = ROOMS[kind]
    report(0.0, f"Furnishing the {name.lower()}")
    scan = s4token.room(kind, seed)
    return _open(app, handle, Session(name, scan.cloud, scan.classes), c, report)


def open_file(
    app: App, handle: str, path: str | Path, c: Controls, report: Report = quiet
) -> Screen:
    """Open an uploaded file; messages show its name and never the server's folder."""
    path = Path(path)
    report(0.0, f"Reading {path.name}")
    try:
        cloud = s4token.read(path)
    except (ValueError, OSError, ImportError) as error:
        message = str(error).replace(str(path), path.name).replace(str(path.parent), "")
        if path.name not in message:
            message = f"{path.name}: {message}"
        raise ValueError(message) from error
    return _open(app, handle, Session(path.name, cloud), c, report)


def _open(app: App, handle: str, session: Session, c: Controls, report: Report) -> Screen:
    session = replace(session, tokenizer=c.tokenizer)
    session = encoded(app, session, c.tokenizer, 1.0, report)
    said = [_opened(session)]
    if c.prompts.strip():
        report(0.97, "Comparing with your words")
        try:
            session = _answered(app, session, c.query())
        except ValueError as error:  # the scan is fine; the words can be mended next
            said.append(str(error))
    session, note = app.store.update(handle, lambda _: session)
    view = (
        c.view if session.answer is not None or c.view not in ("Heatmap", "Labels") else "Colours"
    )
    c = replace(c, view=view, look=replace(c.look, camera=None))  # another scan, another viewpoint
    return _screen(session, c, " ".join([*said, note]).strip())


def _opened(session: Session) -> str:
    assert session.cloud is not None
    layer = session.layer
    seconds = sum(layer.encoding.seconds.values())
    return (
        f"{session.name}: {len(session.cloud):,} points in {len(layer.encoding.groups):,} tokens"
        f"{f', encoded in {seconds:.1f} s' if seconds else ''}."
    )


def encoded(app: App, session: Session, tokenizer: str, factor: float, report: Report) -> Session:
    """Return the session with the layer of (tokenizer, factor), encoded if it is missing."""
    if (tokenizer, factor) in session.layers:
        return session
    assert session.cloud is not None
    report(0.02, "Waiting for the model")
    model = app.model()
    if tokenizer not in model.tokenizers:
        raise ValueError(
            f"Tokenizer: this checkpoint has no {tokenizer!r:.40}; "
            f"choose one of {', '.join(model.tokenizers)}."
        )
    cloud: PointCloud = session.cloud if factor == 1 else session.cloud.scaled(factor)
    start = perf_counter()
    encoding = model.encode(
        cloud, tokenizer=tokenizer, progress=lambda f, s: report(0.05 + 0.85 * f, s)
    )
    if not encoding.seconds:
        encoding = replace(encoding, seconds={"encode": perf_counter() - start})
    report(0.95, "preparing answers")
    # The first query pays for weights that all later ones share; let it be paid here.
    s4token.point_scores(encoding, np.zeros((len(encoding.groups), 1), dtype=np.float32))
    return session.with_layers({(tokenizer, factor): Layer.of(encoding)})


def _unless_changed(now: Session, before: Session, after: Session) -> Session:
    """Return ``after``; ValueError when another event replaced scan or tokenizer meanwhile."""
    if now.cloud is not before.cloud or now.tokenizer != before.tokenizer:
        raise ValueError("Scan: another one was opened meanwhile; this answer was dropped.")
    return after


def _answered(app: App, session: Session, query: Query) -> Session:
    """Return the session with the answer to a query."""
    answer = s4token.segment(
        app.model(),
        session.layer.encoding,
        query.prompts,
        negatives=query.negatives,
        threshold=query.threshold,
    )
    same = answer.classes == session.query.prompts
    return replace(
        session, query=query, answer=answer, hidden=session.hidden if same else frozenset()
    )


def ask(app: App, handle: str, c: Controls) -> Screen:
    """Compare the open scan with the prompts."""
    before = app.store.get(handle)
    start = perf_counter()
    session = _answered(app, before, c.query())
    spent = perf_counter() - start
    session, note = app.store.update(handle, lambda now: _unless_changed(now, before, session))
    assert session.answer is not None
    labelled = float((session.answer.labels > 0).mean())
    said = (
        f"{len(session.query.prompts)} words compared in {spent * 1000:.0f} ms; "
        f"{labelled:.0%} of the points got a label."
    )
    if not all(p.isascii() for p in session.query.prompts + session.query.negatives):
        said += " Note: the text model knows English words; other scripts give weak matches."
    if c.view in ("Colours", "Superpoints"):
        c = replace(c, view="Labels")
    return _screen(session, c, f"{said} {note}".strip())


def choose_tokenizer(app: App, handle: str, c: Controls, report: Report = quiet) -> Screen:
    """Show the scan through another tokenizer, encoding it once."""
    before = app.store.get(handle)
    layer = encoded(app, before, c.tokenizer, 1.0, report).layers[c.tokenizer, 1.0]
    current = app.store.get(handle)  # words may have been asked while the encoder ran
    session = replace(current.with_layers({(c.tokenizer, 1.0): layer}), tokenizer=c.tokenizer)
    if current.answer is not None:
        session = _answered(app, session, current.query)
    session, note = app.store.update(handle, lambda now: _unless_changed(now, current, session))
    return _screen(session, c, f"{_opened(session)} {note}".strip())


def example(app: App, handle: str, prompts: str, c: Controls, report: Report = quiet) -> Screen:
    """Ask for example prompts; without a scan, open a room for them.

    An empty example stands for everything that the open bundled room is known to hold.
    """
    has_scan = app.store.has_scan(handle)
    if not prompts:
        prompts = "\n".join(app.store.get(handle).suggestions)
        if not prompts:
            raise ValueError(
                "Example: only bundled rooms know what is in them. Type words instead."
            )
    c = replace(c, prompts=prompts, negatives="")
    if has_scan:
        screen = ask(app, handle, c)
    else:
        screen = open_room(app, handle, FIRST_ROOM, replace(c, view="Labels"), report)
    return replace(screen, prompts=prompts)


def redraw(app: App, handle: str, c: Controls) -> Screen:
    """Draw the open scan again, after a change of view, heatmap prompt or cut."""
    session = app.store.get(handle)
    if session.answer is None and c.view in ("Heatmap", "Labels"):
        said = f"{c.view}: type words and press Find first. Until then, colours are shown."
        return _screen(session, replace(c, view="Colours"), said)
    return _screen(session, c, _opened(session))


def toggle(app: App, handle: str, action: Any, label: Any, c: Controls) -> Screen:
    """Hide or show one class, show it alone, or show all."""
    session = app.store.get(handle)
    if session.answer is None:
        raise ValueError("Legend: it is empty. Type words and press Find first.")
    action, label = parse_toggle(action, label, len(session.answer.classes))
    others = frozenset(range(len(session.answer.classes) + 1)) - {label}
    hidden = {
        "hide": session.hidden ^ {label},
        "solo": frozenset() if session.hidden == others else others,
        "all": frozenset(),
    }[action]
    session, note = app.store.update(handle, lambda s: replace(s, hidden=hidden))
    return _screen(session, c, note or _opened(session))


def _screen(session: Session, c: Controls, status: str) -> Screen:
    classes = session.answer.classes if session.answer is not None else ()
    heat = c.heat if c.heat in classes else (classes[0] if classes else None)
    figure, shown, visible = draw(session, replace(c, heat=heat))
    return Screen(
        status=status,
        figure=figure,
        caption=panels.caption(session, c, shown, visible),
        legend=panels.legend(session),
        stats=panels.stats(session),
        view=c.view,
        heat_choices=classes,
        heat=heat,
    )


def visible_points(session: Session, cut: float) -> np.ndarray:
    """Return the indices of points that neither the legend nor the height cut hides."""
    assert session.cloud is not None
    mask = np.ones(len(session.cloud), dtype=bool)
    if session.hidden and session.answer is not None:
        shown = np.ones(len(session.answer.classes) + 1, dtype=bool)
        shown[list(session.hidden)] = False
        mask &= shown[session.answer.labels]
    if cut < 1:
        height = session.cloud.points @ session.cloud.up.astype(session.cloud.points.dtype)
        mask &= height <= height.min() + cut * (height.max() - height.min())
    return np.flatnonzero(mask)


def draw(
    session: Session, c: Controls, limit: int = figures.MAX_POINTS
) -> tuple[go.Figure, int, int]:
    """Draw a session; returns the figure, how many points it shows, and of how many visible."""
    assert session.cloud is not None
    layer, cloud, answer = session.layer, session.cloud, session.answer
    visible = visible_points(session, c.cut)
    index = visible[figures.sample_tokens(layer.token[visible], limit)] if len(visible) else visible
    frame = figures.make_frame(cloud.points, index, cloud.up, c.look)
    if not len(index):
        return figures.empty_figure(frame), 0, 0
    if c.view == "Superpoints":
        figure = figures.superpoints_figure(frame, layer.token, layer.shade)
    elif c.view == "Tokens":
        figure = _draw_tokens(session, frame, c)
    elif c.view == "Heatmap" and answer is not None and c.heat is not None:
        column = answer.scores[:, answer.classes.index(c.heat)]
        figure = figures.heatmap_figure(frame, column[answer.superpoints], c.heat)
    elif c.view == "Labels" and answer is not None:
        figure = figures.labels_figure(frame, answer.labels, answer.classes)
    else:
        figure = figures.colors_figure(frame, cloud.colors)
    return figure, len(index), len(visible)


def _draw_tokens(session: Session, frame: figures.Frame, c: Controls) -> go.Figure:
    """Draw token centres; with an answer in the colour of the token's best class."""
    assert session.cloud is not None
    layer = session.layer
    low = session.cloud.points.min(axis=0).astype(np.float64)
    longest = float((session.cloud.points.max(axis=0).astype(np.float64) - low).max()) or 1.0
    paint, names = panels.token_paint(session)
    keep = panels.shown_tokens(session, c.cut)
    return figures.tokens_figure(
        frame,
        (layer.centers[keep] - low) / longest,
        layer.extent[keep] / longest,
        [paint[m] for m in keep],
        [names[m] for m in keep],
    )
