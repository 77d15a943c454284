"""What happens on a click: from a session and controls to a new session and a screen.

No function here knows Gradio. Each takes the app, a session handle and checked controls, and
returns a ``Screen``; what it cannot do it raises as ValueError with one line for the reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

import plotly.graph_objects as go

import s4token
from s4token import PointCloud
from viewer import drawing, edits, links, panels, scene, thresholds
from viewer.answers import Report, answered, encoded, quiet, unless_changed
from viewer.controls import Controls, parse_color, parse_pick, parse_toggle
from viewer.figures import Look
from viewer.overlay import corrected, divided
from viewer.session import Query, Session
from viewer.shared import App

ROOMS = {
    "living": ("Living room", 107),
    "bedroom": ("Bedroom", 38),
    "kitchen": ("Kitchen", 22),
    "office": ("Office", 23),
}
"""Name and seed of the bundled rooms: seeds whose furniture is typical and whose roof is off."""
FIRST_ROOM = "office"
TOKENIZERS = {"superpoint": "Superpoints", "knn": "kNN", "radius": "Radius"}


@dataclass(frozen=True, eq=False)
class Screen:
    """Hold what a page shows next; None leaves a part as it is.

    kind: of the status line, info, busy or error; fraction: progress in [0, 1] of a busy one;
    scene: for WebGL2, figure: for a browser without it; why: about the superpoint clicked.
    """

    status: str | None = None
    kind: str = "info"
    fraction: float | None = None
    scene: Mapping[str, Any] | None = None
    figure: go.Figure | None = None
    caption: str | None = None
    legend: str | None = None
    stats: str | None = None
    why: str | None = None
    view: str | None = None
    heat_choices: tuple[str, ...] | None = None
    heat: str | None = None
    prompts: str | None = None
    unit: str | None = None
    up: str | None = None


def open_room(app: App, handle: str, kind: str, c: Controls, report: Report = quiet) -> Screen:
    """Open a bundled room by kind: z is up in it and its unit is the metre, whatever was chosen."""
    if kind not in ROOMS:
        raise ValueError(f"Scene: there is no room {kind!r:.40}; choose one of {', '.join(ROOMS)}.")
    name, seed = ROOMS[kind]
    report(0.0, f"Furnishing the {name.lower()}")
    scan = s4token.room(kind, seed)
    c = replace(c, up="z", unit=c.unit if c.unit == "m" else "")
    screen = _open(app, handle, Session(name, scan.cloud, scan.classes, scan), c, report)
    return replace(screen, unit=c.unit, up=c.up)


def open_file(
    app: App, handle: str, path: str | Path, c: Controls, report: Report = quiet
) -> Screen:
    """Open an uploaded file; messages show its name and never the server's folder."""
    path = Path(path)
    report(0.0, f"Reading {path.name}")
    truth = _labelled(path)
    cloud = read_cloud(path) if truth is None else truth.cloud
    return _open(app, handle, Session(path.name, cloud, truth=truth), c, report)


def read_cloud(path: Path) -> PointCloud:
    """Read a scan; ValueError that names the file alone when that is not possible."""
    try:
        return s4token.read(path)
    except (ValueError, OSError, ImportError) as error:
        message = str(error).replace(str(path), path.name).replace(str(path.parent), "")
        if path.name not in message:
            message = f"{path.name}: {message}"
        raise ValueError(message) from error


def parse_link(app: App, text: Any) -> links.Link | None:
    """Read the link in a page's address; None when there is none, ValueError when it is wrong."""
    return links.parse(text, tuple(ROOMS), tuple(app.model().tokenizers))


def open_link(
    app: App, handle: str, link: links.Link, look: Look, report: Report = quiet
) -> Screen:
    """Open the bundled room of a link, with its words, thresholds, view and camera."""
    c = replace(link.controls, look=look)
    screen = open_room(app, handle, link.scan, c, report)
    if (link.best or any(v is not None for v in link.own)) and app.store.get(handle).answer:
        names = enumerate(link.own[: len(app.store.get(handle).query.prompts)], 1)
        for label, value in names:
            if value is not None:
                screen = tune(app, handle, "threshold", label, value, c)
        if link.best:
            screen = tune(app, handle, "best", None, True, c)
        screen = redraw(app, handle, c)
    if screen.scene is not None and link.camera is not None:
        *target, yaw, pitch, distance = link.camera
        camera = {"target": target, "yaw": yaw, "pitch": pitch, "distance": distance}
        screen = replace(screen, scene={**screen.scene, "camera": camera})
    return replace(screen, prompts=c.prompts)


def _labelled(path: Path) -> s4token.Scan | None:
    """Return a scan with the labels in its file; None when it cannot be read or they make no sense.

    A column that is only called label must not keep the points from being opened.
    """
    try:
        return s4token.read_scan(path)
    except (ValueError, OSError, ImportError):
        return None


def _open(app: App, handle: str, session: Session, c: Controls, report: Report) -> Screen:
    assert session.cloud is not None
    session = replace(session, cloud=c.told(session.cloud), tokenizer=c.tokenizer)
    app.store.check(session)
    session = encoded(app, session, c.tokenizer, 1.0, report)
    said = [_opened(session)]
    if c.prompts.strip():
        report(0.97, "Comparing with your words")
        try:
            session = answered(app, session, c.query())
            said += _doubts(session.query)
        except ValueError as error:  # the scan is fine; the words can be mended next
            said.append(str(error))
    session, note = app.store.update(handle, lambda _: session)
    said.append(_restored(app, handle, session))
    view = (
        c.view if session.answer is not None or c.view not in ("Heatmap", "Labels") else "Colours"
    )
    c = replace(c, view=view, look=replace(c.look, camera=None))  # another scan, another viewpoint
    return _screen(app, handle, session, c, " ".join(filter(None, [*said, note])))


def _restored(app: App, handle: str, session: Session) -> str:
    """Open the corrections of a scan and say what came back, or why none did."""
    assert session.cloud is not None
    try:
        found = app.desk.open(handle, session.cloud)
    except (ValueError, OSError) as error:
        return f"Corrections could not be read: {error}"
    said = f"{found.count:,} corrected points were restored." if found.count else ""
    if not app.desk.owns(handle):
        said += " It is open on another page, too; the one that chose Annotate last may change it."
    return f"{said} {found.journal.note}".strip()


def _opened(session: Session) -> str:
    assert session.cloud is not None
    layer = session.layer
    seconds = sum(layer.encoding.seconds.values())
    return (
        f"{session.name}: {len(session.cloud):,} points in {len(layer.encoding.groups):,} tokens"
        f"{f', encoded in {seconds:.1f} s' if seconds else ''}."
    )


def ask(app: App, handle: str, c: Controls) -> Screen:
    """Compare the open scan with the prompts."""
    before = app.store.get(handle)
    start = perf_counter()
    session = answered(app, before, thresholds.carried(before.query, c.query()))
    spent = perf_counter() - start
    session, note = app.store.update(handle, lambda now: unless_changed(now, before, session))
    assert session.answer is not None
    labelled = float((session.answer.labels > 0).mean())
    said = (
        f"{len(session.query.prompts)} words compared in {spent * 1000:.0f} ms; "
        f"{labelled:.0%} of the points got a label."
    )
    if session.answer.hardly_labelled:
        said += f" Is {c.up} really up? Choose it under Refine."
    said = " ".join([said, *_doubts(session.query)])
    if c.view in ("Colours", "Superpoints"):
        c = replace(c, view="Labels")
    return _screen(app, handle, session, c, f"{said} {note}".strip())


def _doubts(query: Query) -> list[str]:
    """Say which words are perhaps not understood."""
    words = query.prompts + query.negatives
    said = [f"{word}: did you mean {near}?" for word, near in s4token.misspelt(words).items()]
    if not all(word.isascii() for word in words):
        said.append("Note: the text model knows English words; other scripts give weak matches.")
    return said


def choose_tokenizer(app: App, handle: str, c: Controls, report: Report = quiet) -> Screen:
    """Show the scan through another tokenizer, encoding it once."""
    before = app.store.get(handle)
    layer = encoded(app, before, c.tokenizer, 1.0, report).layers[c.tokenizer, 1.0]
    now = app.store.get(handle)  # words may have been asked while the encoder ran
    session = replace(now.with_layers({(c.tokenizer, 1.0): layer}), tokenizer=c.tokenizer)
    return _asked_again(app, handle, now, session, c)


def offered(app: App, handle: str, was: str) -> tuple[list[tuple[str, str]], str | None]:
    """Return the tokenizers that a page's model has, as text and name, and which is chosen.

    was: which one was, when the event began. None leaves the choice alone, as another may have been
    made since; not where that could be one that is gone.
    """
    have = app.page(handle).model().tokenizers
    choices = [(text, name) for name, text in TOKENIZERS.items() if name in have]
    wanted = app.store.get(handle).tokenizer if app.store.has_scan(handle) else was
    wanted = wanted if wanted in have else choices[0][1]
    return choices, None if wanted == was and len(choices) == len(TOKENIZERS) else wanted


def tell(app: App, handle: str, c: Controls, report: Report = quiet) -> Screen:
    """Encode the open scan anew, with the unit and the direction up that were chosen.

    Nothing happens where both are known already: a list says its choice again when it is left.
    """
    if not app.store.has_scan(handle):
        return Screen(status="Unit, Up: the next scan is read so.")
    before = app.store.get(handle)
    assert before.cloud is not None
    cloud = c.told(before.cloud)
    if (*cloud.up, cloud.metres_per_unit) == (*before.cloud.up, before.cloud.metres_per_unit):
        return Screen()
    session = replace(before, cloud=cloud, layers=MappingProxyType({}))
    session = encoded(app, session, before.tokenizer, 1.0, report)
    now = app.store.get(handle)
    unless_changed(now, before, session)
    session = replace(now, cloud=session.cloud, layers=session.layers)
    return _asked_again(app, handle, now, session, c)


def _asked_again(app: App, handle: str, before: Session, session: Session, c: Controls) -> Screen:
    """Answer the words of a scan that was encoded anew."""
    if before.answer is not None:
        session = answered(app, session, before.query)
    session, note = app.store.update(handle, lambda now: unless_changed(now, before, session))
    return _screen(app, handle, session, c, f"{_opened(session)} {note}".strip())


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
    if c.view == "Annotate" and c.look.plotly:
        said = "Annotate: correcting labels needs a browser with WebGL2."
        return _screen(app, handle, session, replace(c, view="Colours"), said)
    answer = corrected(app, handle, session).answer if c.view == "Labels" else session.answer
    if answer is None and c.view in ("Heatmap", "Labels"):
        said = f"{c.view}: type words and press Find first. Until then, colours are shown."
        return _screen(app, handle, session, replace(c, view="Colours"), said)
    if c.view == "Annotate" and app.desk.claim(handle):
        said = "This page corrects the scan now; on the other page it can only be looked at."
        return _screen(app, handle, session, c, said)
    return _screen(app, handle, session, c, _opened(session))


def catch_up(app: App, handle: str, c: Controls) -> Screen:
    """Draw what was chosen while an answer was on its way; what that said stays to be read."""
    screen = redraw(app, handle, c)
    return screen if screen.view != c.view else replace(screen, status=None)


def toggle(app: App, handle: str, action: Any, label: Any, c: Controls) -> Screen:
    """Hide or show one class, show it alone, show all, or lock one so that no edit changes it."""
    session = corrected(app, handle, app.store.get(handle))
    if session.answer is None:
        raise ValueError("Legend: it is empty. Type words and press Find first.")
    action, label = parse_toggle(action, label, len(session.answer.classes))
    if action == "lock":
        name = ("unlabelled", *session.answer.classes)[label]
        locked = lambda s: replace(s, locked=s.locked ^ {name})  # noqa: E731
        session, note = app.store.update(handle, locked)
        said = "locked: no edit changes its points" if name in session.locked else "unlocked"
        return _screen(app, handle, session, c, note or f"{name} is {said}.")
    others = frozenset(range(len(session.answer.classes) + 1)) - {label}
    hidden = {
        "hide": session.hidden ^ {label},
        "solo": frozenset() if session.hidden == others else others,
        "all": frozenset(),
    }[action]
    session, note = app.store.update(handle, lambda s: replace(s, hidden=hidden))
    return _screen(app, handle, session, c, note or _opened(session))


def recolor(app: App, handle: str, label: Any, color: Any, c: Controls) -> Screen:
    """Give a prompt another colour."""
    session = corrected(app, handle, app.store.get(handle))
    if session.answer is None:
        raise ValueError("Legend: it is empty. Type words and press Find first.")
    label, color = parse_color(label, color, len(session.answer.classes))
    name = session.answer.classes[label - 1]
    chosen = lambda s: replace(s, paint={**s.paint, name: color})  # noqa: E731
    session, note = app.store.update(handle, chosen)
    return _screen(app, handle, session, c, note or _opened(session))


def tune(app: App, handle: str, action: str, label: Any, value: Any, c: Controls) -> Screen:
    """Give one prompt another threshold, or every point its best prompt."""
    before = app.store.get(handle)
    if before.answer is None:
        raise ValueError("Thresholds: there are none yet. Type words and press Find first.")
    tuned = answered(app, before, thresholds.tuned(before.query, action, label, value))
    session, note = app.store.update(handle, lambda now: unless_changed(now, before, tuned))
    assert session.answer is not None
    labelled = f"{(session.answer.labels > 0).mean():.0%} of the points have a label. {note}"
    c = c if c.view in ("Labels", "Annotate") else replace(c, view="Labels")
    return _screen(app, handle, session, c, labelled.strip())


def explain(app: App, handle: str, data: Any) -> Screen:
    """Say why the superpoint that was clicked has its label."""
    session = divided(app, handle, app.store.get(handle))
    picked = parse_pick(data, len(session.layer.encoding.groups))
    app.store.update(handle, lambda now: replace(now, picked=picked))
    return Screen(why=panels.why(session, picked))


def _screen(app: App, handle: str, session: Session, c: Controls, status: str) -> Screen:
    classes = session.answer.classes if session.answer is not None else ()
    heat = c.heat if c.heat in classes else (classes[0] if classes else None)
    c = replace(c, heat=heat)
    palette = c.look.palette or session.palette
    if session.palette != palette:
        app.store.update(handle, lambda now: replace(now, palette=palette))
        session = replace(session, palette=palette)
    asked, session = divided(app, handle, session), corrected(app, handle, session)
    screen = Screen(
        status=status,
        legend=panels.legend(session) + thresholds.block(asked),
        stats=panels.stats(session),
        why="" if session.picked is None else panels.why(asked, session.picked),
        view=c.view,
        heat_choices=classes,
        heat=heat,
    )
    if c.look.plotly:
        figure, shown, visible = drawing.draw(session, c)
        return replace(screen, figure=figure, caption=panels.caption(session, c, shown, visible))
    visible = len(drawing.visible_points(session, c.cut))
    panel = scene.panel(app.files, asked, c)  # what a person said is drawn over it
    if c.view == "Labels":
        panel["fit"] = thresholds.fit(asked)
    drawn = scene.scene(app.files, session, [panel], c)
    kinds = [kind for kind, (name, _) in ROOMS.items() if name == session.name]
    if session.suggestions and kinds:
        drawn["link"] = links.write(kinds[0], session.query, session.tokenizer, c)
    found = app.desk.get(handle)
    if found is not None and (c.view == "Annotate" or (c.view == "Labels" and found.count)):
        drawn |= {"own": edits.state(asked, found), "edit": c.view == "Annotate"}
    if drawn.get("edit"):
        drawn["neighbours"] = app.files.neighbours(session.layer)
    return replace(screen, scene=drawn, caption=panels.caption(session, c, visible, visible))
