"""What needs no model: random labels, and a rule of relative height and normals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from s4token.geometry import knn, pca_normals
from s4token.types import PointCloud

LEVEL = 0.8
"""|normal . up| above which a surface is level; below 1 - LEVEL it is upright."""
LOW, HIGH = 0.1, 0.9
"""Relative heights below which a level surface is floor, above which it is ceiling."""
WORDS: dict[str, tuple[str, ...]] = {
    "floor": ("floor", "ground", "road"),
    "ceiling": ("ceiling",),
    "wall": ("wall", "building"),
    "table": ("table", "desk", "coffee table", "counter", "kitchen counter"),
    "rest": ("clutter", "otherfurniture", "furniture", "object", "chair", "sofa", "car"),
}
"""Names that a rule may give out, in order of preference."""


def random_labels(count: int, classes: int, rng: np.random.Generator) -> Int[np.ndarray, "N"]:
    """Return uniformly random labels in 1 .. classes."""
    return rng.integers(1, classes + 1, count)


def geometric_labels(cloud: PointCloud, classes: Sequence[str]) -> Int[np.ndarray, "N"]:
    """Label points by height and normal: level and low is floor, level and high ceiling,
    upright is wall, level in between is table, and the rest is the first filler there is.

    Sees names alone, and gives a rule's points to wall, or else to the first class, when the list
    has no name for it. Every threshold is a ratio. Returns labels in 1 .. len(classes).
    """
    points = np.asarray(cloud.points, dtype=np.float64)
    index, _ = knn(points, 16)
    normals = pca_normals(points, index)[0]
    rise = np.abs(normals @ cloud.up)
    height = points @ cloud.up
    low, high = np.quantile(height, (0.01, 0.99))
    height = (height - low) / (float(high - low) or 1.0)
    kind = np.full(len(points), "rest", dtype=object)
    kind[rise < 1 - LEVEL] = "wall"
    kind[rise > LEVEL] = "table"
    kind[(rise > LEVEL) & (height < LOW)] = "floor"
    kind[(rise > LEVEL) & (height > HIGH)] = "ceiling"
    names = [name.lower() for name in classes]

    def label(rule: str) -> int | None:
        return next((names.index(w) + 1 for w in WORDS[rule] if w in names), None)

    fallback = label("wall") or 1
    given = {rule: label(rule) or fallback for rule in WORDS}
    return np.array([given[k] for k in kind], dtype=np.int32)
