"""What a page says of an edit, checked: nothing of it is trusted."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from viewer.files import Packed
from viewer.session import Session

OPS = (
    "state", "label", "erase", "class", "undo", "redo", "propose", "next", "instance", "split",
    "lock",
)  # fmt: skip
LONGEST = 80
"""Characters of a class name."""
MOST_SPLIT, MOST_PARTS = 32, 32
"""Superpoints that are split at once, and parts of each."""


@dataclass(frozen=True)
class Edit:
    """Hold a checked edit: its number on the page, what to do, and to what.

    index: (K,) sorted points; tokens: superpoints to split into ``parts`` each; after: the
    superpoint that "next" comes after, -1 for none.
    """

    number: int
    op: str
    label: str | None = None
    index: np.ndarray | None = None
    tokens: tuple[int, ...] = ()
    parts: int = 2
    after: int = -1


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
    edit = Edit(parse_number(data), data["op"])
    count = len(session.layer.encoding.groups)
    if edit.op == "class":
        return replace(edit, label=parse_name(data.get("name")))
    if edit.op == "next":
        return replace(edit, after=whole_number(data.get("after"), "superpoints", -1, count - 1))
    if edit.op == "split":
        parts = whole_number(data.get("parts"), "parts of a split", 2, MOST_PARTS)
        tokens = parse_tokens(data.get("tokens"), count)
        if len(tokens) > MOST_SPLIT:
            raise ValueError(f"Corrections: at most {MOST_SPLIT} superpoints are split at once.")
        return replace(edit, tokens=tokens, parts=parts)
    if edit.op in ("label", "instance", "propose", "lock"):
        label = data.get("label")
        if not isinstance(label, str) or label not in known:
            raise ValueError(f"Corrections: there is no class {label!r:.40}.")
        edit = replace(edit, label=label)
    if edit.op not in ("label", "erase", "instance"):
        return edit
    return replace(edit, index=parse_points(data, session, packed))


def whole_number(value: Any, what: str, low: int, high: int) -> int:
    """Return a whole number within [low, high]; ValueError saying what goes from where to where."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"Corrections: {what} go from {low} to {high:,}, not {value!r:.40}.")
    return value


def parse_tokens(tokens: Any, count: int) -> tuple[int, ...]:
    """Return the superpoints that a list names, each once, in order."""
    if not isinstance(tokens, list) or not 1 <= len(tokens) <= count:
        raise ValueError(f"Corrections: expected a list of 1 to {count:,} superpoints.")
    return tuple(sorted({whole_number(t, "superpoints", 0, count - 1) for t in tokens}))


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
        chosen = np.zeros(count, dtype=bool)
        chosen[list(parse_tokens(tokens, count))] = True
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
