"""Feature propagation: from tokens to the points they stand for, and to other groupings."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from scipy.spatial import KDTree

from s4token.types import Groups, PointCloud

_found: WeakKeyDictionary[Groups, np.ndarray] = WeakKeyDictionary()


def point_tokens(cloud: PointCloud, groups: Groups) -> Int[np.ndarray, "N"]:
    """Return the token whose features a point has, (N,) int32: found once for the same groups.

    Its own superpoint, or of groups that overlap the one whose centre is nearest. Features that
    blend across borders, as PointNet++ interpolates them (arXiv 1706.02413, equation 2), label no
    better (docs/results.md), and less sharply.
    """
    if groups.is_partition:
        return groups.labels
    if groups not in _found:
        points = np.asarray(cloud.points, dtype=np.float64)
        tree = KDTree(groups.means(points))
        _found[groups] = np.asarray(tree.query(points, workers=-1)[1], dtype=np.int32)
    return _found[groups]


def regroup(
    cloud: PointCloud, features: Float[np.ndarray, "M E"], groups: Groups, others: Groups
) -> Float[np.ndarray, "L E"]:
    """Carry features of groups to other groups of the same cloud: the mean over their points."""
    token = point_tokens(cloud, groups)[others.index]
    share = np.repeat(1 / others.sizes, others.sizes).astype(np.float32)
    mean = csr_matrix((share, token, others.offsets), shape=(len(others), len(groups)))
    return mean @ features
