"""Nearest-neighbour and ball groups: against slow twins, on odd clouds, in other units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from s4token import grouping
from s4token.geometry import farthest_point_sample
from s4token.grouping import KNN, SEED_CANDIDATES, Radius
from s4token.types import PointCloud


def cloud(n=400, seed=0):
    return PointCloud(np.random.default_rng(seed).random((n, 3)))


def test_knn_groups_equal_brute_force():
    points = cloud().points
    groups = KNN(count=20, size=9)(cloud())
    assert (groups.centers == farthest_point_sample(points, 20)).all()
    for seed, members in zip(groups.centers, groups, strict=True):
        expected = np.argsort(np.linalg.norm(points - points[seed], axis=1))[:9]
        assert (members == expected).all() and members[0] == seed


def test_radius_groups_equal_brute_force():
    points = cloud().points
    groups = Radius(count=20, radius=0.15, size=10_000)(cloud())
    sizes = set()
    for seed, members in zip(groups.centers, groups, strict=True):
        expected = np.flatnonzero(np.linalg.norm(points - points[seed], axis=1) <= 0.15)
        assert (members == expected).all()
        sizes.add(len(members))
    assert len(sizes) > 3


def test_radius_groups_are_capped():
    few = Radius(count=20, radius=0.3, size=6)(cloud())
    every = Radius(count=20, radius=0.3, size=10_000)(cloud())
    for small, whole in zip(few, every, strict=True):
        assert len(small) == min(6, len(whole)) and set(small) <= set(whole)
        assert len(set(small)) == len(small)


def test_unit_changes_radius_groups_but_not_knn():
    scaled = cloud().scaled(1000)
    assert (KNN(20, 9)(cloud()).index == KNN(20, 9)(scaled).index).all()
    assert (Radius(20, 0.2, 32)(scaled).sizes == 1).all()
    assert (Radius(20, 0.2, 32)(cloud()).sizes > 1).all()
    assert (Radius(20, 0.2, 400)(cloud().scaled(0.001)).sizes == 400).all()


def test_large_cloud_takes_seeds_from_voxels():
    large = cloud(50 * 41)
    groups = KNN(count=50, size=8)(large)
    assert len(groups) == 50 and len(set(groups.centers.tolist())) == 50
    # Seeds spread: the nearest two are about as far apart as exact farthest-point seeds.
    spread = [
        _closest(large.points[c]) for c in (groups.centers, farthest_point_sample(large.points, 50))
    ]
    assert spread[0] > 0.7 * spread[1]


def _closest(points):
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    return (apart + np.eye(len(points)) * 9).min()


def test_one_far_point_does_not_cost_the_seeds():
    points = np.concatenate([cloud(50 * 41).points, [[1e4, 0, 0]]])
    groups = KNN(count=50, size=8)(PointCloud(points))
    assert len(groups) == 50 and len(set(groups.centers.tolist())) == 50


@pytest.mark.parametrize("grouping", [KNN(50, 8), Radius(50, 0.2, 8)])
@pytest.mark.parametrize("n", [90, 900, 50 * 41, 100 * 41])
def test_levels_are_what_each_would_be_on_its_own(grouping, n):
    """At 2,050 points the seeds of 25 and 50 come from voxels, those of 100 from all points."""
    counts = [50, 25, 100]
    levels = grouping.levels(cloud(n), counts)
    for count, groups in zip(counts, levels, strict=True):
        alone = replace(grouping, count=count)(cloud(n))
        for name in ("index", "offsets", "centers"):
            np.testing.assert_array_equal(getattr(groups, name), getattr(alone, name))
    own, few, many = (groups.centers for groups in levels)
    nested = np.array_equal(own[:25], few) and np.array_equal(many[: len(own)], own)
    assert nested == (n <= 25 * SEED_CANDIDATES)


def test_seeds_among_all_points_are_sampled_once(monkeypatch):
    asked = []
    monkeypatch.setattr(
        grouping,
        "farthest_point_sample",
        lambda points, count: asked.append(count) or farthest_point_sample(points, count),
    )
    KNN(50, 8).levels(cloud(900), [50, 25, 100])
    assert asked == [100]
    KNN(50, 8).levels(cloud(50 * 39), [50, 25, 100])
    assert asked == [100, 100, 25]


@pytest.mark.parametrize("grouping", [KNN(16, 8), Radius(16, 0.2, 8)])
@pytest.mark.parametrize(
    "points",
    [
        np.zeros((1, 3)),
        np.zeros((700, 3)),
        np.ones((3, 3)),
        np.random.default_rng(0).random((5, 3)),
        np.arange(900.0)[:, None] * [1, 0, 0],
    ],
)
def test_odd_clouds(grouping, points):
    groups = grouping(PointCloud(points))
    assert 1 <= len(groups) <= 16 and groups.n_points == len(points)
    assert (groups.sizes >= 1).all() and (groups.sizes <= 8).all()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: KNN(count=0), "count"),
        (lambda: KNN(size=-1), "size"),
        (lambda: Radius(count=0), "count"),
        (lambda: Radius(size=0), "size"),
        (lambda: Radius(radius=0.0), "radius"),
        (lambda: Radius(radius=float("nan")), "radius"),
        (lambda: Radius(radius=float("inf")), "radius"),
    ],
)
def test_bad_settings(make, field):
    with pytest.raises(ValueError, match=f"{field}: expected"):
        make()
