"""Labels of single points, as a short text: only where they differ from their superpoint's."""

from __future__ import annotations

import base64
import zlib

import numpy as np

from s4token import Segmentation

BUDGET = 42_000
"""Characters that a picture may spend on single points: an answer stays below 64 KB with them."""


def differing(answer: Segmentation, labels: np.ndarray) -> np.ndarray:
    """Return which points have another label than their superpoint, (N,) bool; labels: (M,)."""
    return answer.labels != labels[answer.superpoints]


def text_of(answer: Segmentation, labels: np.ndarray, walk: np.ndarray) -> str | None:
    """Return the labels of single points as compressed text, None when there are none, or too many.

    labels: (M,) label of each superpoint; walk: (N,) points in the order of ``Files.walk``. Points
    that differ lie in patches along the borders of superpoints, so along the walk they come in
    runs, and few bytes say where and which.
    """
    differs = differing(answer, labels)[walk]
    if not differs.any():
        return None
    out = packed_text(differs, answer.labels[walk[differs]].astype(np.uint8))
    return out if len(out) <= BUDGET else None


def packed_text(mask: np.ndarray, values: np.ndarray) -> str:
    """Write a bit per point, lowest first, then the values of the points that are marked."""
    bits = np.packbits(mask, bitorder="little")
    data = zlib.compress(bits.tobytes() + values.tobytes(), 9)
    return base64.b64encode(data).decode("ascii")
