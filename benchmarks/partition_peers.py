"""Partitions that ours is measured against, written from their papers for the benchmark alone.

Each takes a cloud and a number of superpoints and returns one label per point. Felzenszwalb and
cut pursuit know no count: the nearest that a search over their strength finds is taken.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from s4token.geometry import farthest_point_sample, knn, pca_normals
from s4token.types import PointCloud

NEIGHBOURS = 10
NORMAL_NEIGHBOURS = 16
SEARCH_STEPS = 22
SMALLEST_SHARE = 0.1
"""Smallest segment of Felzenszwalb and cut pursuit, in mean superpoints."""


def voronoi(cloud: PointCloud, count: int) -> np.ndarray:
    """Cells of farthest-point samples."""
    points = cloud.points.astype(np.float64)
    seeds = points[farthest_point_sample(points, count)]
    return knn(seeds, 1, points)[0][:, 0]


@njit(cache=True, nogil=True)
def _root(parent, v):
    while parent[v] != v:
        parent[v] = parent[parent[v]]
        v = parent[v]
    return v


@njit(cache=True, nogil=True)
def _segments(a, b, weight, order, n, strength, smallest):
    """Merge along sorted edges while they are no stronger than both sides' own plus k / size."""
    parent, size, inner = np.arange(n), np.ones(n, np.int64), np.zeros(n)
    for e in order:
        u, v = _root(parent, a[e]), _root(parent, b[e])
        if u != v and weight[e] <= min(
            inner[u] + strength / size[u], inner[v] + strength / size[v]
        ):
            parent[v] = u
            size[u] += size[v]
            inner[u] = weight[e]
    for e in order:
        u, v = _root(parent, a[e]), _root(parent, b[e])
        if u != v and min(size[u], size[v]) < smallest:
            parent[v] = u
            size[u] += size[v]
    for v in range(n):
        parent[v] = _root(parent, v)
    return parent


def _searched(run: Callable[[float], np.ndarray], count: int, low: float, high: float):
    """Return the labels nearest to ``count`` segments; more strength means fewer."""
    best: tuple[float, np.ndarray] | None = None
    for _ in range(SEARCH_STEPS):
        middle = (low * high) ** 0.5
        labels = run(middle)
        found = len(np.unique(labels))
        if best is None or abs(found - count) < best[0]:
            best = abs(found - count), labels
        if found == count:
            break
        low, high = (middle, high) if found > count else (low, middle)
    assert best is not None
    return best[1]


@dataclass(frozen=True)
class Felzenszwalb:
    """Graph segments on kNN normals with a threshold relative to the mean segment.

    color: weight of the colour difference beside 1 - |cosine| of the normals; search: whether to
    look for the strength that gives the count, or to run once with a middle one (for timing).
    Source: Felzenszwalb and Huttenlocher, IJCV 59(2), 2004; weights as in ScanNet's segmenter.
    """

    color: float = 0.0
    search: bool = True

    def __call__(self, cloud: PointCloud, count: int) -> np.ndarray:
        points = cloud.points.astype(np.float64)
        points -= points.min(axis=0)
        points /= points.max()
        n = len(points)
        index, _ = knn(points, NORMAL_NEIGHBOURS)
        normals, _ = pca_normals(points, index)
        a = np.repeat(np.arange(n), NEIGHBOURS - 1)
        b = index[:, 1:NEIGHBOURS].reshape(-1).astype(np.int64)
        weight = 1 - np.abs(np.einsum("ij,ij->i", normals[a], normals[b]))
        if self.color and cloud.colors is not None:
            weight += self.color * np.linalg.norm(cloud.colors[a] - cloud.colors[b], axis=1)
        order = np.argsort(weight, kind="stable")
        mean = n / count
        smallest = max(1, int(SMALLEST_SHARE * mean))

        def run(strength: float) -> np.ndarray:
            return _segments(a, b, weight, order, n, strength * mean, smallest)

        return _searched(run, count, 1e-4, 1e3) if self.search else run(0.3)


CUT_PURSUIT = """
import sys, numpy as np
from pycut_pursuit.cp_d0_dist import cp_d0_dist
z = np.load(sys.argv[1])
found = cp_d0_dist(z["features"].shape[0], np.asfortranarray(z["features"]), z["first"], z["ends"],
    edge_weights=z["weights"] * float(sys.argv[3]), min_comp_weight=float(sys.argv[4]),
    cp_dif_tol=1e-2, cp_it_max=10, verbose=False, max_num_threads=2)[0]
np.save(sys.argv[2], np.asarray(found))
"""


@dataclass(frozen=True)
class CutPursuit:
    """l0 cut pursuit on local shape, position and colour, as Superpoint Transformer uses it.

    python: an interpreter that has pycut-pursuit (``pip install pycut-pursuit 'numpy<2'``).
    Source: Landrieu and Obozinski, SIAM J. Imaging Sci. 10(4), 2017; Robert et al., ICCV 2023.
    """

    python: str = sys.executable

    def __call__(self, cloud: PointCloud, count: int) -> np.ndarray:
        points = cloud.points.astype(np.float64)
        index, distance = knn(points, NEIGHBOURS)
        normals, values = pca_normals(points, knn(points, 45)[0])
        roots = np.sqrt(values)
        largest = np.maximum(roots[:, 2:], 1e-12)
        shape = np.stack([roots[:, 2] - roots[:, 1], roots[:, 1] - roots[:, 0], roots[:, 0]], 1)
        features = [shape / largest, 2 * np.abs(normals[:, 2:]), points / 10]
        features += [] if cloud.colors is None else [cloud.colors]
        n = len(points)
        weights = 1 / (1 + distance[:, 1:].reshape(-1) / distance[:, 1:].mean())
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.npz", Path(folder) / "out.npy"
            np.savez(
                source,
                features=np.concatenate(features, axis=1).T.astype(np.float32),
                first=(np.arange(n + 1) * (NEIGHBOURS - 1)).astype(np.uint32),
                ends=index[:, 1:].reshape(-1).astype(np.uint32),
                weights=weights.astype(np.float32),
            )

            def run(strength: float) -> np.ndarray:
                command = [self.python, "-c", CUT_PURSUIT, str(source), str(target)]
                command += [str(strength), str(SMALLEST_SHARE * n / count)]
                subprocess.run(command, check=True, capture_output=True)
                return np.load(target).astype(np.int64)

            return _searched(run, count, 1e-3, 3.0)
