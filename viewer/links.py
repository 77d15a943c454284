"""Links that open a bundled scan with words, view and camera: made in the browser, checked here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from viewer.controls import SCALES, VIEWS, Controls, number
from viewer.session import Query

LONGEST = 16_000
"""Characters of a link that are read at all."""
FIELDS = (
    "scan", "words", "not", "threshold", "own", "best", "tokenizer", "view", "heat", "scale", "cut",
    "camera",
)  # fmt: skip
CAMERA = ("x", "y", "z", "yaw", "pitch", "distance")


@dataclass(frozen=True)
class Link:
    """Hold what a link asks for.

    scan: kind of a bundled room; own: thresholds of single words in percent, in their order, None
    where a word has none; camera: target, yaw, pitch and distance as the picture knows them.
    """

    scan: str
    controls: Controls
    own: tuple[int | None, ...] = ()
    best: bool = False
    camera: tuple[float, ...] | None = None


def parse(text: Any, rooms: tuple[str, ...], tokenizers: tuple[str, ...]) -> Link | None:
    """Read what stands behind the # of an address; None when it is no link to a scan.

    Raises ValueError naming the field that is wrong. Scans are names of bundled rooms: no address
    ever makes the server open a file.
    """
    if not isinstance(text, str) or "scan=" not in text:
        return None
    if len(text) > LONGEST:
        raise ValueError(f"Link: it has {len(text):,} characters, at most {LONGEST:,} are read.")
    fields = dict(parse_qsl(text.lstrip("#"), keep_blank_values=True, max_num_fields=32))
    scan = fields.get("scan", "")
    if scan not in rooms:
        raise ValueError(
            f"Link: there is no bundled scan {scan!r:.60}; links open {', '.join(rooms)} only."
        )
    if odd := sorted(set(fields) - set(FIELDS)):
        raise ValueError(
            f"Link: {odd[0]!r:.40} is no part of a link; it may come from a newer app."
        )
    tokenizer = fields.get("tokenizer", "superpoint")
    if tokenizer not in tokenizers:
        raise ValueError(f"Link: tokenizer: expected one of {', '.join(tokenizers)}.")
    view, scale = fields.get("view", "Labels"), fields.get("scale", SCALES[0])
    if view not in VIEWS or scale not in SCALES:
        raise ValueError(f"Link: view: expected one of {', '.join(VIEWS)}.")
    controls = Controls(
        prompts=fields.get("words", ""),
        negatives=fields.get("not", ""),
        threshold=number(
            "Link: threshold", _float("threshold", fields.get("threshold", "0.3")), 0, 0.99
        ),
        tokenizer=tokenizer,
        view=view,
        heat=fields.get("heat"),
        scale=scale,
        cut=number("Link: cut", _float("cut", fields.get("cut", "100")), 5, 100) / 100,
    )
    return Link(
        scan, controls, _own(fields.get("own", "")), fields.get("best") == "1",
        _camera(fields.get("camera")),
    )  # fmt: skip


def _float(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e9:
        raise ValueError(f"Link: {name}: expected a number, got {text!r:.40}.")
    return value


def _own(text: str) -> tuple[int | None, ...]:
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(
        part == "" or (part.isascii() and part.isdigit() and int(part[:4]) <= 100) for part in parts
    ):
        raise ValueError("Link: own: expected percentages from 0 to 100 with commas between.")
    return tuple(int(part) if part else None for part in parts)


def _camera(text: str | None) -> tuple[float, ...] | None:
    if not text:
        return None
    values = tuple(_float("camera", part) for part in text.split(","))
    if len(values) != len(CAMERA) or values[-1] <= 0:
        raise ValueError(f"Link: camera: expected {', '.join(CAMERA)}, the distance above 0.")
    return values


def write(scan: str, query: Query, tokenizer: str, c: Controls) -> str:
    """Write a link to what a page shows, without the camera, which only the browser knows."""
    own = [query.own.get(prompt) for prompt in query.prompts]
    fields = {
        "scan": scan,
        "words": "\n".join(query.prompts),
        "not": "\n".join(query.negatives),
        "threshold": f"{query.threshold:g}",
        "own": ",".join("" if v is None else str(round(100 * v)) for v in own).rstrip(","),
        "best": "1" if query.best else "",
        "tokenizer": tokenizer,
        "view": "Labels" if c.view == "Annotate" else c.view,
        "heat": (c.heat or "") if c.view == "Heatmap" else "",
        "scale": c.scale if c.view == "Heatmap" else "",
        "cut": f"{100 * c.cut:g}" if c.cut < 1 else "",
    }
    return urlencode({k: v for k, v in fields.items() if v}, quote_via=quote)
