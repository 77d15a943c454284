"""The field's two habits of grouping points: k nearest neighbours and balls of a fixed radius."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from s4token.geometry import farthest_point_sample, knn, voxel_downsample
from s4token.types import Groups, PointCloud

SEED_CANDIDATES = 40
"""Candidates per seed: farthest-point sampling runs on a voxel subset, not on every point."""
BALL_CANDIDATES = 20_000


def _candidates(points: Float[np.ndarray, "N 3"], count: int) -> np.ndarray | None:
    """Return one point per voxel of a large cloud for seeds to be chosen among; None is all."""
    if len(points) <= SEED_CANDIDATES * count:
        return None
    extent = float((points.max(axis=0) - points.min(axis=0)).max())
    if extent == 0:
        return np.zeros(1, dtype=np.int32)
    found, _ = voxel_downsample(points, extent / np.sqrt(SEED_CANDIDATES * count))
    # Points far from all others make the voxels too large for the rest.
    return found if len(found) >= count else None


def _seeds(cloud: PointCloud, counts: Sequence[int]) -> list[Int[np.ndarray, "M"]]:
    """Return farthest-point seeds for each count; among all points they are sampled once.

    Fewer seeds are the first of more where both are chosen among the same candidates. Voxels
    differ from count to count, and seeds among them do too.
    """
    points = cloud.points
    among = {count: _candidates(points, count) for count in counts}
    most = max((count for count, found in among.items() if found is None), default=0)
    first = farthest_point_sample(points, most) if most else np.zeros(0, dtype=np.int32)
    return [
        first[:count] if (some := among[count]) is None
        else some[farthest_point_sample(points[some], count)]
        for count in counts
    ]  # fmt: skip


def _at_least_one(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")


@dataclass(frozen=True)
class KNN:
    """Group the ``size`` nearest neighbours of ``count`` farthest-point seeds.

    Source: Point-BERT, arXiv 2111.14819, section 3.1. Groups overlap and may leave points out.
    """

    count: int = 512
    size: int = 32

    def __post_init__(self) -> None:
        _at_least_one(count=self.count, size=self.size)

    def __call__(self, cloud: PointCloud) -> Groups:
        """Return overlapping groups of equal size around their seeds."""
        return self.levels(cloud, [self.count])[0]

    def levels(self, cloud: PointCloud, counts: Sequence[int]) -> list[Groups]:
        """Return the groups of other counts too: what each would have on its own, at less cost."""
        seeds = _seeds(cloud, counts)
        index, _ = knn(cloud.points, self.size, cloud.points[np.concatenate(seeds)])
        parts = np.split(index, np.cumsum([len(own) for own in seeds])[:-1])
        return [
            Groups(part.reshape(-1), np.arange(len(own) + 1) * part.shape[1], len(cloud), own)
            for own, part in zip(seeds, parts, strict=True)
        ]


@dataclass(frozen=True)
class Radius:
    """Group at most ``size`` points within ``radius`` of ``count`` farthest-point seeds.

    radius: in the cloud's own unit, which is why this grouping breaks when the unit changes.
    Source: PointNet++, arXiv 1706.02413, section 3.2 (ball query).
    """

    count: int = 512
    radius: float = 0.2
    size: int = 32

    def __post_init__(self) -> None:
        _at_least_one(count=self.count, size=self.size)
        if not 0 < self.radius < float("inf"):
            raise ValueError(f"radius: expected a positive length, got {self.radius}")

    def __call__(self, cloud: PointCloud) -> Groups:
        """Return overlapping groups; a seed without neighbours is a group of its own."""
        return self.levels(cloud, [self.count])[0]

    def levels(self, cloud: PointCloud, counts: Sequence[int]) -> list[Groups]:
        """Return the groups of other counts too: what each would have on its own, at less cost."""
        # A ball may hold the whole cloud (wrong unit): a strided subset bounds the answer.
        subset = np.arange(0, len(cloud), -(-len(cloud) // BALL_CANDIDATES))
        points = np.asarray(cloud.points, dtype=np.float64)
        tree, groups = KDTree(points[subset]), []
        for seeds in _seeds(cloud, counts):
            members = tree.query_ball_point(points[seeds], self.radius, workers=-1)
            chosen = []
            for seed, found in zip(seeds, members, strict=True):
                ball = subset[np.sort(np.asarray(found, dtype=np.int64))]
                if len(ball) > self.size:
                    # Evenly through the file's order, so that no side of the ball is preferred.
                    ball = ball[np.linspace(0, len(ball) - 1, self.size).astype(np.int64)]
                chosen.append(ball if len(ball) else np.array([seed]))
            offsets = np.concatenate([[0], np.cumsum([len(c) for c in chosen])])
            groups.append(Groups(np.concatenate(chosen), offsets, len(cloud), seeds))
        return groups
