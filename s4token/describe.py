"""What a tokenizer is told of each group of points, measured in NumPy once per cloud.

With ``normalise="token"`` every length is a ratio (to the token's own radius, to the token pitch,
to the cloud's height), so that the same cloud in other units gives the same numbers. With
``normalise="none"``, the field's habit, lengths stay in the cloud's unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from s4token.geometry import knn, pca_normals, rotation_to_z
from s4token.moments import group_moments
from s4token.types import Groups, PointCloud

Normalise = Literal["token", "none"]
SAMPLES = 32
SAMPLE_CHANNELS = 7
SHAPE_CHANNELS = 22
"""Columns of ``TokenInputs.shape`` before the lengths."""
LENGTHS = 5
"""Lengths behind: radius, extents in plan and upwards, bottom and top, in token pitches."""
COLUMNS = SHAPE_CHANNELS + LENGTHS
EQUAL = 0.002
"""Difference of eigenvalue shares at which two directions count as nearly equal."""
NOMINAL = 0.1
"""Length in the scan's unit by which ``normalise="none"`` divides token-relative coordinates; a
constant that only conditions the first layer."""


@dataclass(frozen=True, eq=False)
class TokenInputs:
    """Hold what the tokenizer sees of M groups.

    samples: (M, 32, 7) float32: position in the token, colour, height of 32 points of the group.
    shape: (M, 27) float32: eigenvalues, orientation, extent, height, colour statistics, size; then
    five lengths in token pitches (``LENGTHS``).
    centers: (M, 3) float32: token centres about their mean, in token pitches (or the unit).
    pitch: the token pitch in the cloud's unit; in a training scene in metres, NaN if unknown.
    """

    samples: Float[np.ndarray, "M K C"]
    shape: Float[np.ndarray, "M S"]
    centers: Float[np.ndarray, "M 3"]
    pitch: float = np.nan

    def select(self, keep: np.ndarray) -> TokenInputs:
        """Return some of the tokens."""
        return TokenInputs(self.samples[keep], self.shape[keep], self.centers[keep], self.pitch)


def token_pitch(centers: Float[np.ndarray, "M 3"]) -> float:
    """Return the median distance from a token's centre to its nearest other; 1 if there is none."""
    if len(centers) < 2:
        return 1.0
    distance = knn(centers, 2)[1][:, 1]
    distance = distance[distance > 0]
    return float(np.median(distance)) if len(distance) else 1.0


def _eigen(
    covariance: Float[np.ndarray, "M 3 3"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return eigenvalue shares (ascending), |normal| and |axis| of every group's covariance.

    Both along +z, and both fading into the mean over directions as eigenvalues become equal: the
    normal of a line would hang on rounding.
    """
    trace = np.trace(covariance, axis1=1, axis2=2)
    safe = np.where(trace > 0, trace, 1.0)
    values, vectors = np.linalg.eigh(covariance / safe[:, None, None])
    square = vectors[:, 2, :] ** 2
    along = []
    for distance in (values - values[:, :1], values[:, 2:] - values):
        weight = np.exp(-distance / EQUAL)
        along.append(np.sqrt((weight * square).sum(axis=1) / weight.sum(axis=1)))
    return np.clip(values, 0, 1), along[0], along[1]


def _radii(covariance: Float[np.ndarray, "M 3 3"]) -> tuple[np.ndarray, float]:
    """Return every group's radius, sqrt(2) times its points' spread, and the median.

    Groups without extent take the median of the others, 1 if there is none.
    """
    radius = np.sqrt(2 * np.trace(covariance, axis1=1, axis2=2))
    median = float(np.median(radius[radius > 0])) if (radius > 0).any() else 1.0
    return np.where(radius > 0, radius, median), median


@dataclass(frozen=True, eq=False)
class _Upright:
    """Hold what all groupings of a cloud are measured on.

    points: from the cloud's corner, with its ``up`` turned to +z; colors: float32 in [-1, 1], mid
    grey where the cloud has none; floor and height: where the 1st percentile of the points is, and
    how far above it the 99th.
    """

    points: Float[np.ndarray, "N 3"]
    colors: Float[np.ndarray, "N 3"]
    coloured: bool
    floor: float
    height: float

    @classmethod
    def of(cls, cloud: PointCloud) -> _Upright:
        # By columns: a minimum over the rows of (N, 3) takes twenty times as long.
        corner = np.array([column.min() for column in cloud.points.T], np.float64)
        points = np.asarray(cloud.points, dtype=np.float64) - corner
        # Not by BLAS, whose idle threads spin and take cores from the transformer (docs/LOG.md).
        points = np.einsum("ni,ji->nj", points, rotation_to_z(cloud.up))
        low, high = np.quantile(points[:, 2], (0.01, 0.99))
        coloured = cloud.colors is not None
        colors = np.zeros(points.shape, np.float32)
        if cloud.colors is not None:
            colors = np.asarray(cloud.colors, np.float32) * np.float32(2) - np.float32(1)
        return cls(points, colors, coloured, float(low), float(high - low) or 1.0)


def describe(cloud: PointCloud, groups: Groups, *, normalise: Normalise = "token") -> TokenInputs:
    """Measure every group of a cloud, with the cloud's ``up`` turned to +z.

    Clouds without colours read as mid grey with a flag that says so.
    """
    return _describe(_Upright.of(cloud), groups, normalise)


def _describe(cloud: _Upright, groups: Groups, normalise: Normalise) -> TokenInputs:
    points, colors, floor, height = cloud.points, cloud.colors, cloud.floor, cloud.height
    found = group_moments(points, colors, groups, SAMPLES)
    centers, lower, upper, picked = found.centers, found.lower, found.upper, found.picked
    own, median = _radii(found.covariance)
    pitch = token_pitch(centers)
    if normalise == "token":
        unit, center_unit, height_unit, size_unit = own, pitch, height, median
    else:
        unit, center_unit, height_unit, size_unit = np.full_like(own, NOMINAL), 1.0, 1.0, NOMINAL
    rise = centers[:, 2] - floor
    level = (points[picked, 2] - floor) / height_unit
    samples = [
        (points[picked] - centers[:, None]) / unit[:, None, None],
        colors[picked],
        np.clip(level, -3, 3)[..., None],
    ]
    values, normal_up, axis_up = _eigen(found.covariance)
    shape = [
        *values.T,
        normal_up,
        axis_up,
        np.hypot(*(upper - lower)[:, :2].T) / unit,
        (upper - lower)[:, 2] / unit,
        np.log(own / size_unit),
        (lower[:, 2] + rise) / height_unit,
        (upper[:, 2] + rise) / height_unit,
        rise / height_unit,
        *found.mean.T,
        *found.spread.T,
        np.log(groups.sizes / np.median(groups.sizes)),
        np.full(len(groups), float(cloud.coloured)),
        np.full(len(groups), np.log(height / pitch) if normalise == "token" else height),
        *_surroundings(centers, normal_up).T,
        *_lengths(own, lower, upper, rise).T / pitch,
    ]
    centered = (centers - centers.mean(axis=0)) / center_unit
    bounded = lambda a: np.clip(a, -1e4, 1e4).astype(np.float32)  # noqa: E731
    return TokenInputs(
        bounded(np.concatenate(samples, axis=2)),
        bounded(np.stack(shape, axis=1)),
        bounded(centered),
        pitch,
    )


def _lengths(
    radius: np.ndarray, lower: np.ndarray, upper: np.ndarray, rise: np.ndarray
) -> Float[np.ndarray, "M 5"]:
    """Return radius, extents in plan and upwards, bottom and top of every group.

    lower, upper: corners of its box about its centre; rise: of the centre over the floor.
    """
    plan = np.hypot(*(upper - lower)[:, :2].T)
    ends = [lower[:, 2] + rise, upper[:, 2] + rise]
    return np.stack([radius, plan, (upper - lower)[:, 2], *ends], axis=1)


def turned(inputs: TokenInputs, quarters: int) -> TokenInputs:
    """Return the inputs of the cloud turned about the vertical by so many times 90 degrees."""
    samples, centers = inputs.samples.copy(), inputs.centers.copy()
    for rows in (samples, centers):
        for _ in range(quarters % 4):
            rows[..., 0], rows[..., 1] = -rows[..., 1], rows[..., 0].copy()
    return replace(inputs, samples=samples, centers=centers)


def describe_levels(
    cloud: PointCloud, levels: Sequence[Groups], normalise: Normalise
) -> list[TokenInputs]:
    """Measure several groupings of a cloud, each seen from another side: no side is special."""
    upright = _Upright.of(cloud)
    described = (_describe(upright, groups, normalise) for groups in levels)
    return [turned(inputs, quarters) for quarters, inputs in enumerate(described)]


def _surroundings(centers: np.ndarray, normal_up: np.ndarray) -> np.ndarray:
    """Return how planar the neighbouring centres lie and how level they are, (M, 2)."""
    index, _ = knn(centers, 9)
    _, values = pca_normals(centers, index)
    return np.stack([values[:, 0], normal_up[index].mean(axis=1)], axis=1)
