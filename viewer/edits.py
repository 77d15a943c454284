"""Edits from the browser: checked, written to the journal, applied, and answered with a patch."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from viewer import colors
from viewer.corrections import FIRST, Change, Corrections
from viewer.files import Packed
from viewer.scene import text
from viewer.session import Session
from viewer.shared import App

OPS = ("state", "label", "erase", "class", "undo", "redo", "propose")
MOST_PROPOSED = 0.05
"""Share of the superpoints that one proposal may name."""
LONGEST = 80
"""Characters of a class name."""

Patch = dict[str, Any]


@dataclass(frozen=True)
class Edit:
    """Hold a checked edit: its number on the page, what to do, and sorted point indices."""

    number: int
    op: str
    label: str | None = None
    index: np.ndarray | None = None


def parse_number(data: Any) -> int:
    """Return the number by which a page tells answers apart, -1 when there is none."""
    number = data.get("number") if isinstance(data, Mapping) else None
    return number if type(number) is int and 0 <= number < 2**53 else -1


def parse(data: Any, session: Session, packed: Packed, known: tuple[str, ...]) -> Edit:
    """Check an edit; ValueError, with nothing changed, for anything that a page would not send."""
    if not isinstance(data, Mapping) or data.get("op") not in OPS:
        raise ValueError("Corrections: that edit was not understood. Reload the page.")
    if data.get("cloud") != packed.key:
        raise ValueError("Corrections: that edit was for a scan that is no longer open here.")
    op, number = data["op"], parse_number(data)
    if op == "class":
        return Edit(number, op, parse_name(data.get("name")))
    label = None
    if op in ("label", "propose"):
        label = data.get("label")
        if not isinstance(label, str) or label not in known:
            raise ValueError(f"Corrections: there is no class {label!r:.40}.")
    if op not in ("label", "erase"):
        return Edit(number, op, label)
    return Edit(number, op, label, parse_points(data, session, packed))


def parse_name(name: Any) -> str:
    """Return the name of a new class; ValueError when it is empty or too long."""
    clean = "".join(c if c.isprintable() else " " for c in name) if isinstance(name, str) else ""
    clean = " ".join(clean.split())
    if not clean or len(clean) > LONGEST:
        raise ValueError(f"Corrections: a class needs a name of 1 to {LONGEST} characters.")
    if clean.casefold() == "unlabelled":
        raise ValueError("Corrections: 'unlabelled' is what points without a class are called.")
    return clean


def parse_points(data: Mapping[str, Any], session: Session, packed: Packed) -> np.ndarray:
    """Return the points that an edit names, sorted; by superpoints, or by bits in file order."""
    assert session.cloud is not None
    count, n = len(session.layer.encoding.groups), len(session.cloud)
    tokens, bits = data.get("tokens"), data.get("points")
    if isinstance(tokens, list) and bits is None:
        if not 1 <= len(tokens) <= count or not all(
            type(t) is int and 0 <= t < count for t in tokens
        ):
            raise ValueError(f"Corrections: superpoints go from 0 to {count - 1:,}.")
        chosen = np.zeros(count, dtype=bool)
        chosen[tokens] = True
        return np.flatnonzero(chosen[session.layer.nearest])
    if not isinstance(bits, str) or tokens is not None or len(bits) > 4 * (n // 24 + 2):
        raise ValueError("Corrections: that edit names no points. Reload the page.")
    try:
        raw = base64.b64decode(bits, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("Corrections: that edit names no points. Reload the page.") from error
    inside = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
    if len(raw) != (n + 7) // 8 or inside[n:].any():
        raise ValueError(f"Corrections: expected one bit for each of {n:,} points.")
    return np.sort(packed.order[inside[:n] > 0]).astype(np.int64)


def classes_of(session: Session, found: Corrections) -> tuple[str, ...]:
    """Return the classes that can be given: the words that were asked for, then one's own."""
    asked = session.answer.classes if session.answer is not None else ()
    return (*asked, *(n for n in found.names if n not in asked))


def color_of(session: Session, name: str, known: tuple[str, ...]) -> str:
    """Return the colour of a class, the same in picture, legend and list."""
    return session.paint.get(name) or colors.label_color(1 + known.index(name))


def state(session: Session, found: Corrections) -> Patch:
    """Return what the browser must know besides the values of points."""
    known = classes_of(session, found)
    return {
        "revision": found.revision,
        "classes": [{"name": n, "color": color_of(session, n, known)} for n in known],
        "table": list(found.names),
        "hidden": [i for i, n in enumerate(found.names) if 1 + known.index(n) in session.hidden],
        "unlabelled": 0 not in session.hidden,
        "palette": [color_of(session, n, known) for n in found.names],
        "undo": bool(found.done),
        "redo": bool(found.undone),
    }


def patch(found: Corrections, change: Change, session: Session, packed: Packed) -> Patch:
    """Return the values that a change left: per superpoint if it can be, else per point."""
    nearest = session.layer.nearest
    count = len(session.layer.encoding.groups)
    touched = np.zeros(count, dtype=bool)
    touched[nearest[change.index]] = True
    inside = np.flatnonzero(touched[nearest])
    low, high = np.full(count, 255, np.uint8), np.zeros(count, np.uint8)
    np.minimum.at(low, nearest[inside], found.own[inside])
    np.maximum.at(high, nearest[inside], found.own[inside])
    if (low[touched] == high[touched]).all():
        return {"tokens": [[int(t), int(low[t])] for t in np.flatnonzero(touched)]}
    return {
        "points": text(packed.place[change.index].astype("<u4")),
        "values": text(found.own[change.index]),
    }


def propose(session: Session, found: Corrections, label: str) -> np.ndarray:
    """Return the superpoints that look like those corrected to a class, (K,) ids.

    Corrected superpoints are prototypes: the mean feature of each class. Proposed are those that
    nobody corrected yet and that are nearer to this class's prototype than to any other's: the
    most similar ones, at most a twentieth of all. Raises ValueError without a prototype.
    """
    features, count = session.layer.encoding.features, len(session.layer.encoding.groups)
    width = FIRST + len(found.names)
    votes = np.bincount(
        session.layer.nearest.astype(np.int64) * width + found.own, minlength=count * width
    ).reshape(count, width)
    value = votes.argmax(axis=1)
    mine = FIRST + found.names.index(label) if label in found.names else -1
    if not (value == mine).any():
        raise ValueError(f"Propose: first label a superpoint as {label}; what looks like it comes.")
    known = [v for v in np.unique(value) if v >= FIRST]
    means = np.stack([features[value == v].mean(axis=0) for v in known])
    cosine = features @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    nearest = np.asarray(known)[cosine.argmax(axis=1)] == mine
    could = np.flatnonzero((value == 0) & nearest)
    order = np.argsort(-cosine[could, known.index(mine)], kind="stable")
    return np.sort(could[order[: math.ceil(MOST_PROPOSED * count)]])


def apply(app: App, handle: str, data: Any) -> Patch:
    """Do what a page asks; it is on disk when this returns.

    Raises ValueError for what is not possible and OSError when the disk refuses, both with
    nothing changed.
    """
    session = app.store.get(handle)
    found = app.desk.get(handle)
    if session.cloud is None or found is None:
        raise ValueError("Corrections: open a scan first.")
    packed = app.files.cloud(session.cloud)
    with app.desk.lock:
        edit = parse(data, session, packed, classes_of(session, found))
        if edit.op != "state" and not app.desk.owns(handle):
            raise ValueError(
                "Corrections: this scan is being corrected on another page. Choose the view "
                "Annotate again to go on here."
            )
        answer, said = _do(app, found, edit, session, packed)
    name = {"added": edit.label} if edit.op == "class" else {}
    return {**answer, **state(session, found), **name, "said": said}


def _do(
    app: App, found: Corrections, edit: Edit, session: Session, packed: Packed
) -> tuple[Patch, str]:
    if edit.op == "state":
        key = app.files.replace(packed.key, found.own[packed.order].tobytes())
        return {"file": app.files.reference(key)}, ""
    if edit.op == "propose":
        assert edit.label is not None
        tokens = propose(session, found, edit.label)
        said = f"{len(tokens):,} superpoints look like {edit.label}. Enter takes them over."
        return {"select": tokens.tolist()}, said if len(
            tokens
        ) else f"Nothing else looks like {edit.label}."
    if edit.op == "class":
        assert edit.label is not None
        found.add_class(edit.label)
        return {}, f"{edit.label}: new class"
    if edit.index is not None:
        change = found.set(edit.index, edit.label, erase=edit.op == "erase")
        what = f"are {edit.label}" if edit.op == "label" else "are as the model says"
        said = f"{len(change.index):,} points {what}. Saved."
    else:
        change = found.step(edit.op)
        said = (
            f"{'Undone' if edit.op == 'undo' else 'Redone'}: {len(change.index):,} points. Saved."
        )
    return patch(found, change, session, packed), said
