"""Feature propagation against a slow twin, and from one grouping to another."""

import numpy as np
import pytest

from s4token.grouping import KNN, Radius
from s4token.propagation import propagation_matrix, regroup
from s4token.superpoints import Superpoints
from s4token.types import Groups, PointCloud


def slow_matrix(cloud, groups):
    """Propagation weights in loops, as the documentation of ``propagation_matrix`` says them."""
    points = cloud.points
    if groups.is_partition:
        picks = [[m[int((k + 0.5) / 16 * len(m))] for k in range(16)] for m in groups]
        anchors = points[np.concatenate(picks)]
        owner = np.repeat(np.arange(len(groups)), 16)
    else:
        anchors = np.array([points[m].mean(axis=0) for m in groups])
        owner = np.arange(len(groups))
    apart = np.linalg.norm(points[:, None] - anchors[None], axis=2)
    near = np.argsort(apart, axis=1, kind="stable")[:, :4]
    unit = np.take_along_axis(apart, near, axis=1).mean()
    out = np.zeros((len(points), len(groups)))
    for i in range(len(points)):
        weight = 1 / ((apart[i, near[i]] / unit) ** 2 + 1e-6)
        weight /= weight.sum()
        share = 0.25 if groups.is_partition else 1.0
        for a, w in zip(near[i], weight, strict=True):
            out[i, owner[a]] += share * w
        if groups.is_partition:
            out[i, groups.labels[i]] += 0.75
    return out


@pytest.mark.parametrize("grouping", [Superpoints(12), KNN(12, 16), Radius(12, 0.3, 16)])
def test_matrix_equals_the_slow_twin(grouping):
    cloud = PointCloud(np.random.default_rng(1).random((400, 3)))
    groups = grouping(cloud)
    got = propagation_matrix(cloud, groups).toarray()
    np.testing.assert_allclose(got, slow_matrix(cloud, groups), atol=1e-4)


@pytest.mark.parametrize("grouping", [Superpoints(12), KNN(12, 4), Radius(12, 0.05, 4)])
@pytest.mark.parametrize(
    "points",
    [
        np.zeros((1, 3)),
        np.ones((300, 3)),
        np.random.default_rng(0).random((3, 3)),
        np.random.default_rng(0).random((300, 3)) * 1e7,
        np.random.default_rng(0).random((300, 3)) * 1e-7,
        np.random.default_rng(0).random((300, 3)) + 1e6,
    ],
)
def test_matrix_gives_every_point_weights_of_sum_one(grouping, points):
    cloud = PointCloud(points)
    groups = grouping(cloud)
    matrix = propagation_matrix(cloud, groups)
    assert matrix.shape == (len(points), len(groups)) and matrix.data.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)
    if groups.is_partition:
        own = np.asarray(matrix[np.arange(len(points)), groups.labels]).ravel()
        assert own.min() >= 0.75 - 1e-6


@pytest.mark.parametrize("grouping", [Superpoints(12), KNN(12, 16), Radius(12, 0.3, 16)])
@pytest.mark.parametrize("others", [Superpoints(7), KNN(7, 16)])
def test_regrouped_features_are_means_over_the_points(grouping, others):
    cloud = PointCloud(np.random.default_rng(1).random((400, 3)))
    groups, wanted = grouping(cloud), others(cloud)
    features = np.random.default_rng(2).normal(size=(len(groups), 5))
    if groups.is_partition:
        points = features[groups.labels]
    else:
        points = propagation_matrix(cloud, groups) @ features
    expected = [points[members].mean(axis=0) for members in wanted]
    np.testing.assert_allclose(regroup(cloud, features, groups, wanted), expected, atol=1e-5)


def test_regrouping_by_hand():
    cloud = PointCloud(np.arange(12.0).reshape(4, 3))
    halves = Groups.from_labels(np.array([0, 0, 1, 1]))
    odd = Groups.from_labels(np.array([0, 1, 1, 1]))
    got = regroup(cloud, np.array([[3.0, 0], [0, 6]]), halves, odd)
    np.testing.assert_allclose(got, [[3, 0], [1, 4]], atol=1e-6)
