"""Feature propagation: from tokens to the points they stand for, and to other groupings."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_matrix
from scipy.spatial import KDTree

from s4token.describe import token_centers
from s4token.types import Groups, PointCloud

ANCHORS = 16
"""Points per token that stand for it when features are propagated."""
NEAREST = 4
OWN = 0.75
"""Share of a point's feature that comes from its own superpoint, whatever lies around it."""


def propagation_matrix(cloud: PointCloud, groups: Groups) -> csr_matrix:
    """Return the (N, M) row-stochastic weights that carry token features to points.

    Superpoints: three quarters from the point's own superpoint, the rest by inverse squared
    distance from the nearest anchors (16 points of every superpoint), so that features are constant
    well inside a superpoint and blend across its border over a distance that grows with its size.
    Overlapping groups: inverse squared distance to the nearest centres alone (PointNet++, arXiv
    1706.02413, equation 2).
    """
    points = np.asarray(cloud.points, dtype=np.float64)
    partition = groups.is_partition
    if partition:
        steps = (np.arange(ANCHORS) + 0.5) / ANCHORS
        at = groups.offsets[:-1, None] + (steps * groups.sizes[:, None]).astype(np.int64)
        anchors = points[groups.index[at.reshape(-1)]]
        owner = np.repeat(np.arange(len(groups)), ANCHORS)
    else:
        anchors, owner = token_centers(points, groups), np.arange(len(groups))
    nearest = min(NEAREST, len(anchors))
    distance, index = KDTree(anchors).query(points, k=nearest, workers=-1)
    distance, index = distance.reshape(len(points), nearest), index.reshape(len(points), nearest)
    # Relative to the mean distance, so that the guard against division by zero has no unit.
    square = (distance / (distance.mean() or 1.0)) ** 2 + 1e-6
    weight = 1 / square
    weight /= weight.sum(axis=1, keepdims=True)
    columns = owner[index]
    if partition:
        columns = np.concatenate([groups.labels[:, None], columns], axis=1)
        weight = np.concatenate([np.full((len(points), 1), OWN), (1 - OWN) * weight], axis=1)
    rows = np.arange(len(points) + 1) * columns.shape[1]
    matrix = csr_matrix(
        (weight.astype(np.float32).ravel(), columns.astype(np.int32).ravel(), rows),
        shape=(len(points), len(groups)),
    )
    matrix.sum_duplicates()
    return matrix


def regroup(
    cloud: PointCloud, features: Float[np.ndarray, "M E"], groups: Groups, others: Groups
) -> Float[np.ndarray, "L E"]:
    """Carry features of groups to other groups of the same cloud: the mean over their points.

    A point has the feature of its superpoint, or what is propagated to it from groups that overlap.
    """
    n = len(cloud)
    if groups.is_partition:
        one = np.ones(n, np.float32)
        points = csr_matrix((one, groups.labels, np.arange(n + 1)), shape=(n, len(groups)))
    else:
        points = propagation_matrix(cloud, groups)
    share = np.repeat(1 / others.sizes, others.sizes).astype(np.float32)
    mean = csr_matrix((share, others.index, others.offsets), shape=(len(others), n))
    return (mean @ points) @ features
