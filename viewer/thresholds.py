"""Which points are sure enough: a threshold per prompt, dragged on the histogram of its scores.

While a threshold is dragged the browser decides, as the server does when it is let go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from s4token import Segmentation
from viewer import panels
from viewer.scene import text
from viewer.session import Layer, Query, Session

STEPS = 10_000
"""Whole numbers of which a probability is one, 0 to this."""
BINS = 50
LIVE = 8_192
"""Bytes of probabilities that a page is sent to decide with; of more words the server decides."""
HIGH = 24
"""Height of a histogram in the units of its picture."""


def whole(values: Any) -> np.ndarray:
    """Return probabilities as whole numbers, int32; rounded down, so that no percent lies between.

    Thresholds are percents, so whole numbers decide as probabilities do.
    """
    return np.floor(np.asarray(values, dtype=np.float64) * STEPS).astype(np.int32)


def least(thresholds: Any) -> np.ndarray:
    """Return thresholds as whole numbers of the same kind, int32."""
    return np.rint(np.asarray(thresholds, dtype=np.float64) * STEPS).astype(np.int32)


def tuned(query: Query, action: str, label: Any, value: Any) -> Query:
    """Return a query with one more threshold, or in the other mode; ValueError for nonsense."""
    if action == "best":
        if type(value) is not bool:
            raise ValueError("Thresholds: that click was not understood. Reload the page.")
        return replace(query, best=value)
    if type(label) is not int or not 1 <= label <= len(query.prompts):
        raise ValueError(f"Thresholds: there is no word {label!r:.20}. Reload the page.")
    if type(value) is not int or not 0 <= value <= 100:
        raise ValueError(f"Thresholds: expected a percentage from 0 to 100, got {value!r:.20}.")
    own = {**query.own, query.prompts[label - 1]: value / 100}
    return replace(query, own=own, best=False)


def carried(before: Query, asked: Query) -> Query:
    """Return a new query with the mode of the last one and the thresholds of words it shares.

    Moving the slider for all words takes every threshold of a single word back.
    """
    if asked.threshold != before.threshold:
        return asked
    return replace(asked, own=before.own, best=before.best)


def fit(session: Session) -> Mapping[str, Any] | None:
    """Return what a browser needs to decide itself: probabilities, thresholds and colours.

    None without an answer, and when that would be more than ``LIVE``.
    """
    answer, query = session.answer, session.query
    if answer is None or answer.probability is None:
        return None
    mine, count = whole(answer.probability), len(query.prompts)
    none = np.full((len(mine), 1), -1)
    worst = np.concatenate([none, mine[:, count:]], axis=1).max(axis=1)
    # One more than the best negative is what a prompt needs; a tie is won by the prompt.
    table = np.c_[mine[:, :count], np.maximum(worst, 0)].astype("<u2")
    if table.nbytes > LIVE:
        return None
    return {
        "data": text(table),
        "least": least(query.thresholds).tolist(),
        "colors": [session.color(i) for i in range(count + 1)],
        "hidden": sorted(session.hidden),
    }


def bars(answer: Segmentation, layer: Layer, column: int) -> np.ndarray:
    """Count points by the probability of a prompt, (BINS,) int64 from 0 to 1."""
    assert answer.probability is not None
    edges = np.linspace(0, 1, BINS + 1)
    return np.histogram(answer.probability[:, column], edges, weights=layer.held)[0].astype(int)


def outline(counts: np.ndarray) -> str:
    """Return the bars as an SVG path, BINS wide and HIGH high.

    Heights are square roots, cut off at the highest bar but the first: most points have next to
    nothing to do with a word, and the few that do are what one looks for.
    """
    most = np.sqrt(max(counts[1:].max(), 1))
    high = np.minimum(np.sqrt(counts) / most, 1) * HIGH
    steps = "".join(f"V{HIGH - h:.1f}h1" for h in high)
    return f"M0 {HIGH}{steps}V{HIGH}z"


def block(session: Session) -> str:
    """Write a histogram with its threshold for each word; "" without an answer."""
    answer, query = session.answer, session.query
    if answer is None or answer.probability is None:
        return ""
    rows = "".join(_row(session, label) for label in range(1, len(query.prompts) + 1))
    modes = "".join(
        f'<button type="button" data-action="best" data-value="{int(best)}" '
        f'aria-pressed="{"true" if best == query.best else "false"}">{name}</button>'
        for best, name in ((False, "above its threshold"), (True, "best word"))
    )
    off = " s4-idle" if query.best else ""
    return (
        f'<div class="s4-thresholds{off}"><div class="s4-modes" role="group" '
        f'aria-label="Which word a point gets">{modes}</div>{rows}'
        '<p class="s4-caption">Points by probability, 0 to 1. Drag a line: left of it, points do '
        "not get the word.</p></div>"
    )


def _row(session: Session, label: int) -> str:
    assert session.answer is not None
    name = panels.escape(session.answer.classes[label - 1])
    at = round(100 * session.query.thresholds[label - 1])
    path = outline(bars(session.answer, session.layer, label - 1))
    chip = panels.chip(session.color(label))
    return (
        f'<div class="s4-bars"><span title="{name}">{chip}{name}</span>'
        f'<div class="s4-hist" role="slider" tabindex="0" data-label="{label}" '
        f'aria-label="threshold of {name}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{at}" style="--at:{at}%;--hue:{session.color(label)}">'
        f'<svg viewBox="0 0 {BINS} {HIGH}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{path}"/></svg><i></i></div><output>{at / 100:.2f}</output></div>'
    )
