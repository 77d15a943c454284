"""Moments of groups, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from s4token.grouping import KNN
from s4token.moments import group_moments
from s4token.types import Groups, PointCloud


def scattered(n=700, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 3)) * [3, 1, 0.2] + [5, -2, 1]
    return points, rng.random((n, 3), dtype=np.float32), rng.permutation(n) % 11


def grouped(kind):
    points, colors, owner = scattered()
    groups = Groups.from_labels(owner) if kind == "cut" else KNN(9, 40)(PointCloud(points))
    return points, colors, groups


@pytest.mark.parametrize("kind", ["cut", "overlapping"])
def test_moments_are_numpys(kind):
    points, colors, groups = grouped(kind)
    found = group_moments(points, colors, groups, 5)
    for m, members in enumerate(groups):
        own, tint = points[members], colors[members].astype(np.float64)
        centre = own.mean(axis=0)
        for name, expected in {
            "centers": centre,
            "covariance": np.cov(own.T, ddof=0),
            "lower": own.min(axis=0) - centre,
            "upper": own.max(axis=0) - centre,
            "mean": tint.mean(axis=0),
            "spread": tint.std(axis=0),
        }.items():
            np.testing.assert_allclose(getattr(found, name)[m], expected, atol=1e-9, err_msg=name)


def test_picked_members_are_spread_evenly_and_whatever_their_order():
    points, colors, groups = grouped("cut")
    found = group_moments(points, colors, groups, 8)
    order = np.random.default_rng(1).permutation(len(points))
    inverse = np.argsort(order)
    shuffled = Groups.from_labels(scattered()[2][order])
    again = group_moments(points[order], colors[order], shuffled, 8)
    np.testing.assert_array_equal(inverse[found.picked], again.picked)
    along = points @ [0.577, 0.211, 0.789]
    for m, members in enumerate(groups):
        ranks = np.searchsorted(np.sort(along[members]), along[found.picked[m]])
        np.testing.assert_array_equal(ranks, (np.arange(8) + 0.5) / 8 * len(members) // 1)


def test_a_group_of_few_points_repeats_its_own():
    points, colors, _ = scattered(3)
    found = group_moments(points, colors, Groups(np.array([0, 1, 2]), np.array([0, 1, 3]), 3), 4)
    assert set(found.picked[0]) == {0} and set(found.picked[1]) == {1, 2}
    assert not found.covariance[0].any() and not found.spread[0].any()
    np.testing.assert_array_equal(found.centers[0], points[0])
