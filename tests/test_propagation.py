"""From tokens to the points they stand for, against slow twins, and to other groupings."""

import numpy as np
import pytest

from s4token.grouping import KNN, Radius
from s4token.propagation import point_tokens, regroup
from s4token.superpoints import Superpoints
from s4token.types import Groups, PointCloud


def slow_tokens(cloud, groups):
    """The token of each point, found one by one."""
    if groups.is_partition:
        return np.array(
            [next(m for m, g in enumerate(groups) if i in g) for i in range(len(cloud))]
        )
    centers = np.array([cloud.points[members].mean(axis=0) for members in groups])
    return np.linalg.norm(cloud.points[:, None] - centers[None], axis=2).argmin(axis=1)


@pytest.mark.parametrize("grouping", [Superpoints(12), KNN(12, 8), Radius(12, 0.3, 16)])
def test_tokens_of_points_equal_the_slow_twin(grouping):
    cloud = PointCloud(np.random.default_rng(1).random((400, 3)))
    groups = grouping(cloud)
    got = point_tokens(cloud, groups)
    assert (got == slow_tokens(cloud, groups)).all() and got.dtype == np.int32
    assert point_tokens(cloud, groups) is got, "found once"


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
def test_every_point_has_a_token(grouping, points):
    cloud = PointCloud(points)
    groups = grouping(cloud)
    token = point_tokens(cloud, groups)
    assert token.shape == (len(points),) and token.min() >= 0 and token.max() < len(groups)


@pytest.mark.parametrize("grouping", [Superpoints(12), KNN(12, 16), Radius(12, 0.3, 16)])
@pytest.mark.parametrize("others", [Superpoints(7), KNN(7, 16)])
def test_regrouped_features_are_means_over_the_points(grouping, others):
    cloud = PointCloud(np.random.default_rng(1).random((400, 3)))
    groups, wanted = grouping(cloud), others(cloud)
    features = np.random.default_rng(2).normal(size=(len(groups), 5))
    points = features[slow_tokens(cloud, groups)]
    expected = [points[members].mean(axis=0) for members in wanted]
    np.testing.assert_allclose(regroup(cloud, features, groups, wanted), expected, atol=1e-5)


def test_regrouping_by_hand():
    cloud = PointCloud(np.arange(12.0).reshape(4, 3))
    halves = Groups.from_labels(np.array([0, 0, 1, 1]))
    odd = Groups.from_labels(np.array([0, 1, 1, 1]))
    got = regroup(cloud, np.array([[3.0, 0], [0, 6]]), halves, odd)
    np.testing.assert_allclose(got, [[3, 0], [1, 4]], atol=1e-6)
