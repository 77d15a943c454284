"""Edits from the browser: checked, written to the journal, applied, and answered with a patch."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from s4token import Superpoints
from viewer import colors, suggest
from viewer.corrections import Change, Corrections, UnchangedError, points_of
from viewer.edit_messages import Edit, parse
from viewer.files import Packed
from viewer.overlay import corrected, divided, protected
from viewer.session import Session
from viewer.shared import App

Patch = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Work:
    """Hold what an edit acts on: the page's scan with its splits, and what a person said of it."""

    app: App
    handle: str
    session: Session
    found: Corrections
    packed: Packed
    pieces: Mapping[int, np.ndarray] = field(default_factory=dict)


def classes_of(session: Session, found: Corrections) -> tuple[str, ...]:
    """Return the classes that can be given: the words that were asked for, then one's own."""
    asked = session.answer.classes if session.answer is not None else ()
    return (*asked, *(n for n in found.names if n not in asked))


def color_of(session: Session, name: str, known: tuple[str, ...]) -> str:
    """Return the colour of a class, the same in picture, legend and list."""
    return session.paint.get(name) or colors.label_color(1 + known.index(name), session.palette)


def state(session: Session, found: Corrections) -> Patch:
    """Return what the browser must know besides the values of points."""
    known = classes_of(session, found)
    return {
        "revision": found.revision,
        "classes": [
            {"name": n, "color": color_of(session, n, known), "locked": n in session.locked}
            for n in known
        ],
        "table": list(found.names),
        "hidden": [i for i, n in enumerate(found.names) if 1 + known.index(n) in session.hidden],
        "unlabelled": 0 not in session.hidden,
        "palette": [color_of(session, n, known) for n in found.names],
        "undo": bool(found.done),
        "redo": bool(found.undone),
    }


def patch(found: Corrections, change: Change, session: Session, packed: Packed) -> Patch:
    """Return the values that a change left: per superpoint if it can be, else per point."""
    out: Patch = {}
    walk = packed.order[packed.walk]
    for kind in ("instance", "own"):
        index = points_of(change, kind)
        if not len(index):
            continue
        touched = np.zeros(len(found.own), dtype=bool)
        touched[index] = True
        values = getattr(found, kind)[walk[touched[walk]]]
        out[kind] = packed_text(touched[walk], values.astype("<u4" if kind == "instance" else "u1"))
    whole = _whole(found, points_of(change, "own"), session)
    if whole is not None:
        del out["own"]
        out["tokens"] = whole
    return out


def packed_text(mask: np.ndarray, values: np.ndarray) -> str:
    """Write a bit per point, lowest first, then the values of the points that are marked."""
    bits = np.packbits(mask, bitorder="little")
    data = zlib.compress(bits.tobytes() + values.tobytes(), 9)
    return base64.b64encode(data).decode("ascii")


def _whole(found: Corrections, index: np.ndarray, session: Session) -> list[list[int]] | None:
    """Return superpoints and their values where every point of each has the same one."""
    nearest, count = session.layer.nearest, len(session.layer.encoding.groups)
    touched = np.zeros(count, dtype=bool)
    touched[nearest[index]] = True
    inside = np.flatnonzero(touched[nearest])
    low, high = np.full(count, 255, np.uint8), np.zeros(count, np.uint8)
    np.minimum.at(low, nearest[inside], found.own[inside])
    np.maximum.at(high, nearest[inside], found.own[inside])
    if not len(index) or (low[touched] != high[touched]).any():
        return None
    return [[int(t), int(low[t])] for t in np.flatnonzero(touched)]


def apply(app: App, handle: str, data: Any) -> Patch:
    """Do what a page asks; it is on disk when this returns.

    The answer has "refresh" when superpoints are other ones now, so that the page needs a new
    scene. Raises ValueError for what is not possible and OSError when the disk refuses, both with
    nothing changed.
    """
    work = _work(app, handle)
    edit = parse(data, work.session, work.packed, classes_of(work.session, work.found))
    if edit.op == "split":  # slow: not while others wait
        work = replace(work, pieces=_cut(work.session, edit))
    with app.desk.lock:
        if edit.op != "state" and not app.desk.owns(handle):
            raise ValueError(
                "Corrections: this scan is being corrected on another page. Choose the view "
                "Annotate again to go on here."
            )
        answer, said = DO[edit.op](work, edit)
        now = divided(app, handle, app.store.get(handle))
        name = {"added": edit.label} if edit.op == "class" else {}
        return {**answer, **state(now, work.found), **name, "said": said}


def _work(app: App, handle: str) -> Work:
    session = app.store.get(handle)
    found = app.desk.get(handle)
    if session.cloud is None or found is None:
        raise ValueError("Corrections: open a scan first.")
    packed = app.files.cloud(session.cloud)
    return Work(app, handle, divided(app, handle, session), found, packed)


def _cut(session: Session, edit: Edit) -> dict[int, np.ndarray]:
    """Return for each superpoint to split which part each of its points falls into, from 0."""
    assert session.cloud is not None
    groups = session.layer.encoding.groups
    if not groups.is_partition:
        raise ValueError("Split: only superpoints can be split. Choose the tokenizer Superpoints.")
    small = [t for t in edit.tokens if groups.sizes[t] < edit.parts]
    if small:
        raise ValueError(
            f"Split: superpoint {small[0]} has {groups.sizes[small[0]]:,} points; "
            f"it cannot be cut into {edit.parts}."
        )
    cut = Superpoints(count=edit.parts)
    return {t: cut(session.cloud.select(groups[t])).labels for t in edit.tokens}


def _state(work: Work, edit: Edit) -> tuple[Patch, str]:
    """Bring a page up to date: classes of all points, and instances when there are some."""
    found, order = work.found, work.packed.order
    data = found.own[order].tobytes()
    if found.instance.any():
        data = found.instance[order].astype("<u4").tobytes() + data
    key = work.app.files.replace(work.packed.key, data)
    return {"file": work.app.files.reference(key)}, ""


def _class(work: Work, edit: Edit) -> tuple[Patch, str]:
    assert edit.label is not None
    work.found.add_class(edit.label)
    return {}, f"{edit.label}: new class"


def _set(work: Work, edit: Edit) -> tuple[Patch, str]:
    """Label, erase, or make an instance; points of locked and hidden classes are kept."""
    assert edit.index is not None
    found, session = work.found, work.session
    if edit.label is not None and edit.label in session.locked:
        raise ValueError(f"Corrections: {edit.label} is locked. Unlock it first (M).")
    safe = protected(corrected(work.app, work.handle, session))[edit.index]
    kept, index = int(safe.sum()), edit.index[~safe]
    if not len(index):
        raise ValueError(
            f"Corrections: all {kept:,} points are of locked or hidden classes; nothing changed."
        )
    instance = int(found.instance.max()) + 1 if edit.op == "instance" else None
    what = {
        "label": f"are {edit.label}",
        "erase": "are as the model says",
        "instance": f"are {edit.label} #{instance}",
    }[edit.op]
    try:
        change = found.set(index, edit.label, erase=edit.op == "erase", instance=instance)
    except UnchangedError:  # a second click is no mistake
        return {}, f"These points {what} already."
    said = f"{len(points_of(change)):,} points {what}. Saved."
    if kept:
        said += f" {kept:,} points of locked or hidden classes were kept."
    return patch(found, change, session, work.packed), said


def _split(work: Work, edit: Edit) -> tuple[Patch, str]:
    found, layer = work.found, work.session.layer
    if divided(work.app, work.handle, work.app.store.get(work.handle)).layer is not layer:
        raise ValueError("Split: the superpoints changed meanwhile. Select again.")
    groups = layer.encoding.groups
    first = 1 + found.pieces
    index = np.concatenate([groups[t] for t in work.pieces])
    parts = [first + i * edit.parts + part for i, part in enumerate(work.pieces.values())]
    order = np.argsort(index)
    found.split(index[order], np.concatenate(parts)[order])
    what = (
        f"Superpoint {edit.tokens[0]} was"
        if len(edit.tokens) == 1
        else (f"{len(edit.tokens)} superpoints were")
    )
    return {"refresh": True}, f"{what} cut into {edit.parts} parts. Saved."


def _step(work: Work, edit: Edit) -> tuple[Patch, str]:
    change = work.found.step(edit.op)
    session = divided(work.app, work.handle, work.app.store.get(work.handle))
    done = "Undone" if edit.op == "undo" else "Redone"
    said = f"{done}: {len(points_of(change)):,} points. Saved."
    if any(part.kind == "piece" for part in change):
        return {"refresh": True}, said
    return patch(work.found, change, session, work.packed), said


def _propose(work: Work, edit: Edit) -> tuple[Patch, str]:
    assert edit.label is not None
    tokens = suggest.propose(work.session, work.found, edit.label)
    if not len(tokens):
        return {"select": []}, f"Nothing else looks like {edit.label}."
    said = f"{len(tokens):,} superpoints look like {edit.label}. Enter takes them over."
    return {"select": tokens.tolist()}, said


def _next(work: Work, edit: Edit) -> tuple[Patch, str]:
    session = corrected(work.app, work.handle, work.session)
    token = suggest.following(session, work.found, edit.after)
    if token is None:
        return {"select": []}, "Next: every superpoint was corrected, or is locked or hidden."
    assert session.answer is not None
    members = session.layer.encoding.groups[token]
    sure = float(session.answer.confidence[members].mean())
    said = f"Superpoint {token}: {len(members):,} points, the model is {sure:.0%} sure."
    return {"select": [token], "focus": token}, said


def _lock(work: Work, edit: Edit) -> tuple[Patch, str]:
    name = edit.label
    assert name is not None
    session, _ = work.app.store.update(
        work.handle, lambda now: replace(now, locked=now.locked ^ {name})
    )
    if name in session.locked:
        return {}, f"{name} is locked: no edit changes its points."
    return {}, f"{name} is unlocked."


DO = {
    "state": _state, "class": _class, "label": _set, "erase": _set, "instance": _set,
    "split": _split, "undo": _step, "redo": _step, "propose": _propose, "next": _next,
    "lock": _lock,
}  # fmt: skip
