"""Superpoints: a scale-free partition of a cloud into exactly as many pieces as tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from s4token import merging
from s4token.geometry import (
    fading_weights,
    knn,
    morton_code,
    pca_normals,
    voxel_downsample,
)
from s4token.types import Groups, PointCloud

log = logging.getLogger(__name__)

NEIGHBOURS = 16
NORMAL_NEIGHBOURS = 16
FINE = 12
"""Regions per superpoint at which parallel rounds hand over to the exact greedy order."""
SMALLEST = 8
"""Points of the smallest superpoint allowed, or an eighth of the mean where that is fewer."""
LARGEST_CLOUD = 500_000
"""Points above which the partition is that of one point per voxel; the others follow theirs."""
POSITION, NORMAL, COLOUR, BEND, CONTRAST, INNER = 0.05, 1.0, 6.0, 6.0, 1.5, 1.5
"""Weights of the energy; ``merging.Weights`` says what they weigh."""


@dataclass(frozen=True)
class Superpoints:
    """Partition a cloud into ``count`` connected superpoints by region merging.

    count: number of superpoints, the token budget. A cloud with fewer points has one per point.
    compactness: how much position counts against shape and colour; 1 is the default balance.

    The energy of a merge is built of ratios only (areas to the mean superpoint's area, lengths to
    its side), and points are weighted by the surface they stand for, so that neither units nor
    offset nor density matter. Deterministic, and independent of the order of points.
    """

    count: int = 512
    compactness: float = 1.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count: expected at least 1 superpoint, got {self.count}")
        if not 0 <= self.compactness < float("inf"):
            raise ValueError(f"compactness: expected a number >= 0, got {self.compactness}")

    def __call__(self, cloud: PointCloud) -> Groups:
        """Return a partition of the cloud; every point occurs exactly once."""
        return self.levels(cloud, [self.count])[0]

    def levels(self, cloud: PointCloud, counts: Sequence[int]) -> list[Groups]:
        """Return coarser and finer partitions along with that into ``count``, at little cost.

        All follow from one order of merging, that of ``count``: for other counts that is not
        quite the partition that they would have on their own.
        """
        n = len(cloud)
        if n < self.count in counts:
            log.warning("superpoints: %d points give %d superpoints, not %d", n, n, self.count)
        order = _canonical_order(cloud)
        ordered = cloud.select(order)
        if n > LARGEST_CLOUD >= 2 * max(counts):
            kept, voxel = _thin(ordered.points, max(counts))
            log.info("superpoints: %d points partitioned through %d of them", n, len(kept))
            parts = [p[voxel] for p in self._partitions(ordered.select(kept), counts)]
        else:
            parts = self._partitions(ordered, counts)
        groups = []
        for labels in parts:
            back = np.empty(n, dtype=np.int64)
            back[order] = labels
            groups.append(Groups.from_labels(back))
        return groups

    def _partitions(self, cloud: PointCloud, counts: Sequence[int]) -> list[np.ndarray]:
        if len(cloud) <= min(counts):
            return [np.arange(len(cloud)) for _ in counts]
        points = cloud.points.astype(np.float64)
        points -= points.min(axis=0)
        extent = float(points.max())
        points /= extent if extent > 0 else 1.0
        moments, edges = _graph(points, cloud.colors)
        weights = merging.Weights(
            area=float(moments[:, 0].sum()) / self.count,
            position=POSITION * self.compactness,
            normal=NORMAL,
            colour=COLOUR,
            bend=BEND,
            contrast=CONTRAST,
            inner=INNER,
        )
        size = np.ones(len(points), dtype=np.int64)
        label, moments, size, edges = merging.merge_rounds(
            moments, size, edges, self.count * FINE, weights
        )
        smallest = int(np.clip(len(points) // (8 * self.count), 1, SMALLEST))
        greedy = lambda edges, counts: merging.merge_greedy(  # noqa: E731
            moments, size, edges, weights, np.array(counts), smallest
        )
        falling = sorted(set(counts), reverse=True)
        found = zip(falling, greedy(edges, falling), strict=True)
        parts = {n: _whole(greedy, moments, edges, n, parent)[label] for n, parent in found}
        return [parts[count] for count in counts]


def _whole(
    greedy: Callable[[Any, list[int]], np.ndarray],
    moments: np.ndarray,
    edges: Any,
    count: int,
    parent: Int[np.ndarray, "R"],
) -> Int[np.ndarray, "R"]:
    """Return the superpoint of every region, joining pieces that no edge does if need be."""
    while True:
        kept, new = np.unique(parent, return_inverse=True)
        if len(kept) <= count:
            return new
        # Separate pieces remain, more than superpoints: join the nearest ones.
        edges = _bridge(moments, new, edges)
        parent = greedy(edges, [count])[0]


def _canonical_order(cloud: PointCloud) -> Int[np.ndarray, "N"]:
    """Sort by Morton code, then by colours, so that the input's order cannot matter."""
    code = morton_code(cloud.points)
    if cloud.colors is None:
        return np.argsort(code, kind="stable")
    return np.lexsort([*cloud.colors.T, code])


def _thin(
    points: Float[np.ndarray, "N 3"], least: int
) -> tuple[Int[np.ndarray, "V"], Int[np.ndarray, "N"]]:
    """Return at most ``LARGEST_CLOUD`` points, one per voxel, and each point's voxel.

    At least half as many, if there are as many places; if there are not even ``least``, one point
    for a run of them in their order. A few stray points do not matter: they count as no farther
    away than all but a thousandth at either end of each axis reach.
    """
    some = points[:: -(-len(points) // 100_000)]
    low, high = np.quantile(some, [1e-3, 1 - 1e-3], axis=0, method="nearest")
    reach = (high - low).max()
    near = np.clip(points, low - reach, high + reach)
    extent = float(np.ptp(near, axis=0).max())
    size, many, few = extent / LARGEST_CLOUD**0.5, 0.0, np.inf
    kept = voxel = np.zeros(0, dtype=np.int64)
    while max(1.01 * many, extent / 2**20) < size < few:
        found = voxel_downsample(near, size)
        share = len(found[0]) / LARGEST_CLOUD
        if share <= 1:
            few, (kept, voxel) = size, found
        if 0.5 <= share <= 1:
            break
        # Surfaces: four times fewer voxels for twice their edge.
        if share > 1:
            many, size = size, size * 1.02 * share**0.5
        else:
            size *= share**0.5
        if not many < size < few:
            size = (many * few) ** 0.5
    if len(kept) >= least:
        return kept, voxel
    run = -(-len(points) // LARGEST_CLOUD)
    return np.arange(0, len(points), run), np.arange(len(points)) // run


def _graph(
    points: Float[np.ndarray, "N 3"], colors: Float[np.ndarray, "N 3"] | None
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Return every point's moments and the neighbourhood graph's edges."""
    n = len(points)
    index, distance = knn(points, NORMAL_NEIGHBOURS)
    normals, _ = pca_normals(points, index, fading_weights(distance))
    near = min(NEIGHBOURS, index.shape[1])
    # The disc out to the k-th neighbour holds k points: its area per point is what one stands for.
    area = distance[:, near - 1] ** 2
    middle = float(np.median(area[area > 0])) if (area > 0).any() else 1.0
    area = np.clip(area, middle / 30, middle * 30)
    color = np.zeros((n, 3)) if colors is None else colors.astype(np.float64)
    moments = np.zeros((n, merging.MOMENTS))
    moments[:, 0] = 1
    moments[:, 1:4] = points
    for column, (i, j) in enumerate(((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))):
        moments[:, 4 + column] = normals[:, i] * normals[:, j]
    moments[:, 10:13] = color
    moments *= area[:, None]
    fade = fading_weights(distance[:, :near])
    edges = merging.point_edges(index, fade, area, normals, NORMAL, color, COLOUR)
    return moments, merging.unique_edges(*edges, n)


def _bridge(moments, parent, edges):
    """Add edges between the nearest separate pieces, by their centres."""
    centres = moments[:, 1:4] / moments[:, :1]
    index, _ = knn(centres, 16)
    a = np.repeat(np.arange(len(centres)), index.shape[1])
    b = index.reshape(-1).astype(np.int64)
    apart = parent[a] != parent[b]
    if not apart.any():
        # All near neighbours lie in the own piece: join the pieces' centres in a chain.
        first = np.unique(parent, return_index=True)[1]
        a, b = first[:-1], first[1:]
    else:
        a, b = a[apart], b[apart]
    shortest = float(edges[2].min()) if len(edges[2]) else 1.0
    extra = np.full(len(a), shortest)
    merged = [np.concatenate(pair) for pair in zip(edges, (a, b, extra, extra), strict=True)]
    return merging.unique_edges(*merged, len(centres))
