"""The field's two habits of grouping points: k nearest neighbours and balls of a fixed radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from s4token.geometry import farthest_point_sample, knn, voxel_downsample
from s4token.types import Groups, PointCloud

SEED_CANDIDATES = 40
"""Candidates per seed: farthest-point sampling runs on a voxel subset, not on every point."""
BALL_CANDIDATES = 20_000


def _seeds(cloud: PointCloud, count: int) -> np.ndarray:
    """Return farthest-point seeds, chosen among one point per voxel of a large cloud."""
    points = cloud.points
    if len(points) <= SEED_CANDIDATES * count:
        return farthest_point_sample(points, count)
    extent = float((points.max(axis=0) - points.min(axis=0)).max())
    if extent == 0:
        return np.zeros(1, dtype=np.int32)
    size = extent / np.sqrt(SEED_CANDIDATES * count)
    candidates, _ = voxel_downsample(points, size)
    if len(candidates) < count:
        # Points far from all others made the voxels too large for the rest.
        return farthest_point_sample(points, count)
    return candidates[farthest_point_sample(points[candidates], count)]


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
        seeds = _seeds(cloud, self.count)
        index, _ = knn(cloud.points, self.size, cloud.points[seeds])
        offsets = np.arange(len(seeds) + 1) * index.shape[1]
        return Groups(index.reshape(-1), offsets, len(cloud), seeds)


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
        seeds = _seeds(cloud, self.count)
        # A ball may hold the whole cloud (wrong unit): a strided subset bounds the answer.
        subset = np.arange(0, len(cloud), -(-len(cloud) // BALL_CANDIDATES))
        points = np.asarray(cloud.points, dtype=np.float64)
        tree = KDTree(points[subset])
        members = tree.query_ball_point(points[seeds], self.radius, workers=-1)
        chosen = []
        for seed, found in zip(seeds, members, strict=True):
            ball = subset[np.sort(np.asarray(found, dtype=np.int64))]
            if len(ball) > self.size:
                # Evenly through the file's order, so that no side of the ball is preferred.
                ball = ball[np.linspace(0, len(ball) - 1, self.size).astype(np.int64)]
            chosen.append(ball if len(ball) else np.array([seed]))
        offsets = np.concatenate([[0], np.cumsum([len(c) for c in chosen])])
        return Groups(np.concatenate(chosen), offsets, len(cloud), seeds)
