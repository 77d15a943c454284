"""Moments of every group of points, by compiled code: one thread has a group to itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numba import njit, prange

from s4token.types import Groups

ALONG = np.array([0.577, 0.211, 0.789])
"""Direction by which a group's points are sorted before some are picked."""
COLUMNS = 21
COVARIANCE = (9, 12, 14, 12, 10, 13, 14, 13, 11)
"""Columns of what ``_measure`` writes, in the order of a matrix's entries."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Hold what M groups of points with colours are like.

    centers: mean points; covariance: about them, over the number of points; lower, upper: corners
    of the box about the centre; mean, spread: of the colours, by channel; picked: members, spread
    evenly over the group.
    """

    centers: Float[np.ndarray, "M 3"]
    covariance: Float[np.ndarray, "M 3 3"]
    lower: Float[np.ndarray, "M 3"]
    upper: Float[np.ndarray, "M 3"]
    mean: Float[np.ndarray, "M 3"]
    spread: Float[np.ndarray, "M 3"]
    picked: Int[np.ndarray, "M K"]


@njit(cache=True, nogil=True)
def _measure_one(
    points: np.ndarray,
    colors: np.ndarray,
    members: np.ndarray,
    along: np.ndarray,
    row: np.ndarray,
    picked: np.ndarray,
) -> None:
    center, lower, upper = row[0:3], row[3:6], row[6:9]
    variance, mixed, mean, spread = row[9:12], row[12:15], row[15:18], row[18:21]
    size = len(members)
    row[:] = 0.0
    lower[:], upper[:] = np.inf, -np.inf
    for i in members:
        for a in range(3):
            center[a] += points[i, a]
            mean[a] += colors[i, a]
    for a in range(3):
        center[a] /= size
        mean[a] /= size
    place, offset = np.zeros(size), np.empty(3)
    for j in range(size):
        i = members[j]
        for a in range(3):
            offset[a] = points[i, a] - center[a]
            place[j] += offset[a] * along[a]
            lower[a] = min(lower[a], offset[a])
            upper[a] = max(upper[a], offset[a])
            spread[a] += (colors[i, a] - mean[a]) ** 2
        for a in range(3):
            variance[a] += offset[a] * offset[a]
            mixed[a] += offset[a] * offset[(a + 1) % 3]
    for a in range(3):
        variance[a] /= size
        mixed[a] /= size
        spread[a] = np.sqrt(spread[a] / size)
    order = np.argsort(place, kind="mergesort")
    for j in range(len(picked)):
        picked[j] = members[order[int((j + 0.5) / len(picked) * size)]]


@njit(cache=True, nogil=True, parallel=True)
def _measure(
    points: np.ndarray,
    colors: np.ndarray,
    index: np.ndarray,
    offsets: np.ndarray,
    along: np.ndarray,
    rows: np.ndarray,
    picked: np.ndarray,
) -> None:
    for g in prange(len(offsets) - 1):
        members = index[offsets[g] : offsets[g + 1]]
        _measure_one(points, colors, members, along, rows[g], picked[g])


def group_moments(
    points: Float[np.ndarray, "N 3"], colors: Float[np.ndarray, "N 3"], groups: Groups, picks: int
) -> Moments:
    """Measure every group, and pick so many of its members.

    They are picked evenly from the group sorted along a fixed direction, so that the choice does
    not hang on the order of points in the file. A group of fewer points repeats its own.
    """
    rows = np.empty((len(groups), COLUMNS))
    picked = np.empty((len(groups), picks), np.int32)
    _measure(
        np.ascontiguousarray(points, np.float64),
        np.ascontiguousarray(colors, np.float32),
        groups.index,
        groups.offsets,
        ALONG,
        rows,
        picked,
    )
    center, lower, upper, _, _, mean, spread = rows.reshape(-1, 7, 3).swapaxes(0, 1)
    covariance = rows[:, COVARIANCE].reshape(-1, 3, 3)
    return Moments(center, covariance, lower, upper, mean, spread, picked)
