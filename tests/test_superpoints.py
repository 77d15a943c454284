"""The partition: exact count, order-free, connected, good at edges, on any cloud."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from s4token.geometry import knn, point_spacing
from s4token.metrics import oracle_miou, undersegmentation_error
from s4token.superpoints import NEIGHBOURS, NORMAL_NEIGHBOURS, Superpoints
from s4token.synthetic import room
from s4token.types import Groups, PointCloud


def as_sets(groups):
    return {frozenset(members.tolist()) for members in groups}


def pieces(points, labels):
    """Number of connected pieces of every superpoint in the neighbourhood graph."""
    index, _ = knn(points, NORMAL_NEIGHBOURS)
    near = index[:, 1:NEIGHBOURS]
    a, b = np.repeat(np.arange(len(points)), near.shape[1]), near.reshape(-1)
    inside = labels[a] == labels[b]
    ones = np.ones(inside.sum())
    links = coo_matrix((ones, (a[inside], b[inside])), shape=(len(points), len(points)))
    _, piece = connected_components(links, directed=False)
    return np.array([len(np.unique(piece[labels == v])) for v in np.unique(labels)])


RNG = np.random.default_rng(0)
CLOUDS = {
    "volume": RNG.random((600, 3)),
    "plane": RNG.random((600, 3)) * [1, 1, 0],
    "line": RNG.random((600, 3)) * [1, 0, 0],
    "grid": np.stack(np.meshgrid(*[np.arange(9.0)] * 3), axis=-1).reshape(-1, 3),
    "two places": np.repeat([[0.0, 0, 0], [1, 1, 1]], 300, axis=0),
    "one place": np.full((600, 3), 7.0),
    "duplicates": np.repeat(RNG.random((60, 3)), 10, axis=0),
    "far apart": RNG.random((600, 3)) + (np.arange(600) >= 300)[:, None] * [1e6, 0, 0],
    "many pieces": (RNG.random((40, 1, 3)) * 1000 + RNG.random((40, 15, 3))).reshape(-1, 3),
    "outliers": np.concatenate([RNG.random((580, 3)), RNG.normal(0, 1e4, (20, 3))]),
    "density": np.concatenate([RNG.random((550, 3)) * 0.01, RNG.random((50, 3))]),
    "far from zero": RNG.random((600, 3)) + 1e6,
}


@pytest.mark.parametrize("count", [1, 2, 13, 100, 599])
@pytest.mark.parametrize("name", CLOUDS)
def test_any_cloud_gets_exactly_count_superpoints(name, count):
    groups = Superpoints(count)(PointCloud(CLOUDS[name]))
    assert len(groups) == count
    assert groups.is_partition and groups.n_points == len(CLOUDS[name])


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_few_points_are_one_superpoint_each(n, caplog):
    groups = Superpoints(8)(PointCloud(CLOUDS["volume"][:n]))
    assert len(groups) == n and groups.is_partition and (groups.sizes == 1).all()
    assert ("not 8" in caplog.text) == (n < 8)


@given(
    n=st.integers(1, 200),
    count=st.integers(1, 60),
    seed=st.integers(0, 99),
    decimals=st.integers(0, 6),
    colored=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_axioms(n, count, seed, decimals, colored):
    """A partition into min(N, count) sets that depends on nothing but the set of points."""
    rng = np.random.default_rng(seed)
    points = np.unique(rng.random((n, 3)).round(decimals), axis=0)
    colors = rng.random((len(points), 3)) if colored else None
    cloud = PointCloud(points, colors)
    groups = Superpoints(count)(cloud)
    assert groups.is_partition and len(groups) == min(len(points), count)
    order = rng.permutation(len(points))
    again = Superpoints(count)(cloud.select(order))
    assert {frozenset(order[m].tolist()) for m in again} == as_sets(groups)


def test_order_of_points_does_not_matter(room_cloud):
    order = np.random.default_rng(3).permutation(len(room_cloud))
    again = Superpoints(96)(room_cloud.select(order))
    assert {frozenset(order[m].tolist()) for m in again} == as_sets(Superpoints(96)(room_cloud))


@pytest.mark.parametrize("name", ["grid", "volume", "far apart", "outliers"])
def test_order_does_not_matter_where_distances_tie(name):
    points = CLOUDS[name]
    first = as_sets(Superpoints(40)(PointCloud(points)))
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(points))
        again = Superpoints(40)(PointCloud(points[order]))
        assert {frozenset(order[m].tolist()) for m in again} == first


@pytest.mark.parametrize("factor", [1e-160, 1e-20, 1e20, 1e160])
def test_extreme_units(factor):
    """Squares of such lengths are no numbers any more."""
    cloud = PointCloud(CLOUDS["volume"])
    assert as_sets(Superpoints(40)(cloud)) == as_sets(Superpoints(40)(cloud.scaled(factor)))


def test_deterministic(room_cloud):
    first, second = (Superpoints(96)(room_cloud) for _ in range(2))
    assert (first.index == second.index).all() and (first.offsets == second.offsets).all()


def test_connected(room_cloud):
    assert (pieces(room_cloud.points, np.zeros(len(room_cloud))) == 1).all(), "the scene is one"
    groups = Superpoints(96)(room_cloud)
    assert (pieces(room_cloud.points, groups.labels) == 1).all()
    # The measure can tell: a random partition is not connected.
    random = np.random.default_rng(0).integers(0, 96, len(room_cloud))
    assert (pieces(room_cloud.points, random) > 1).any()


def test_separate_pieces_are_not_joined_without_need():
    groups = Superpoints(10)(PointCloud(CLOUDS["far apart"]))
    assert all(len({int(i) // 300 for i in members}) == 1 for members in groups)


def test_more_pieces_than_superpoints_join_neighbours():
    """Forty pieces in a row of four clusters become the four clusters."""
    rng = np.random.default_rng(0)
    cluster = np.arange(40) // 10
    place = np.stack([cluster * 1000.0, np.arange(40) % 10 * 10.0, np.zeros(40)], axis=1)
    points = (place[:, None] + rng.random((40, 30, 3))).reshape(-1, 3)
    groups = Superpoints(4)(PointCloud(points))
    truth = np.repeat(cluster, 30)
    assert as_sets(groups) == {frozenset(np.flatnonzero(truth == c).tolist()) for c in range(4)}


def test_no_tiny_superpoint_when_points_are_plenty(room_cloud):
    for count in (32, 96, len(room_cloud) // 64):
        assert Superpoints(count)(room_cloud).sizes.min() >= 8


def test_no_giant_superpoint():
    """At 500 of a furnished room no superpoint has 5 % of the points, none under 8."""
    cloud = room("living", 1, points=40_000).cloud
    sizes = Superpoints(500)(cloud).sizes
    assert sizes.max() < 0.05 * len(cloud) and sizes.min() >= 8


@pytest.mark.parametrize("name", ["sparse", "dense", "uneven", "noisy"])
def test_density_and_noise_cost_little(room_scan, name):
    """The count stays exact and the best labelling of the shared points nearly as good."""
    rng = np.random.default_rng(0)
    cloud, n = room_scan.cloud, len(room_scan.cloud)
    shared = np.arange(n)
    if name == "sparse":
        shared = np.sort(rng.permutation(n)[: n // 4])
    elif name == "uneven":
        shared = np.flatnonzero(
            (cloud.points[:, 0] > cloud.points[:, 0].mean()) | (shared % 5 == 0)
        )
    points, colors = cloud.points[shared], cloud.colors[shared]
    spacing = point_spacing(cloud.points)
    if name == "noisy":
        points = points + rng.normal(0, spacing / 4, points.shape)
    elif name == "dense":
        copies = np.tile(points, (4, 1))
        copies[n:] += rng.normal(0, spacing / 2, (3 * n, 3))
        points, colors = copies, np.tile(colors, (4, 1))
    before = Superpoints(96)(cloud).labels[shared]
    after = Superpoints(96)(PointCloud(points, colors))
    assert len(after) == 96
    truth = room_scan.labels[shared]
    first, second = (
        oracle_miou(Groups.from_labels(_dense(labels)), truth)
        for labels in (before, after.labels[: len(shared)])
    )
    assert second > first - 4


def test_a_huge_cloud_goes_through_its_voxels(monkeypatch, caplog, room_scan):
    whole = oracle_miou(Superpoints(96)(room_scan.cloud), room_scan.labels)
    monkeypatch.setattr("s4token.superpoints.LARGEST_CLOUD", 8000)
    with caplog.at_level("INFO", logger="s4token.superpoints"):
        groups = Superpoints(96)(room_scan.cloud)
    assert "partitioned through" in caplog.text
    assert len(groups) == 96 and groups.is_partition
    assert groups.n_points == len(room_scan.cloud)
    assert oracle_miou(groups, room_scan.labels) > whole - 4


def _with_stray(points, *strays):
    points = points.copy()
    points[: len(strays)] = strays
    return points


@pytest.mark.parametrize(
    "shape",
    {
        "a stray point": lambda flat: _with_stray(flat, [5000, 0, 0]),
        "strays on all sides": lambda flat: _with_stray(flat, [5e6, 5e6, 5e6], [-5e6, 0, 0]),
        "a line": lambda flat: flat * [1, 0, 0],
        "a corridor": lambda flat: flat * [30, 1, 1],
        "a dense spot": lambda flat: np.concatenate([flat / 100, flat[:200] * 100]),
        "two places": lambda flat: np.round(flat / 4) * [1, 0, 0],
        "one place": lambda flat: flat * 0,
    }.items(),
    ids=lambda item: item[0],
)
def test_a_huge_cloud_of_any_shape_gets_its_superpoints(monkeypatch, shape):
    """As many as were asked for, and where points have places of their own, no giant."""
    monkeypatch.setattr("s4token.superpoints.LARGEST_CLOUD", 8000)
    flat = np.random.default_rng(0).random((12_000, 3)) * [4, 3, 0]
    cloud = PointCloud(shape[1](flat).astype(np.float32))
    for count in (300, 4100):  # the second is too many to go through voxels
        groups = Superpoints(count)(cloud)
        assert groups.is_partition and len(groups) == count
        assert groups.sizes.max() < len(cloud) / 10 or "place" in shape[0]


def voronoi(points, count, seed):
    rng = np.random.default_rng(seed)
    seeds = points[rng.choice(len(points), count, replace=False)]
    return Groups.from_labels(_dense(knn(seeds, 1, points)[0][:, 0]))


def _dense(labels):
    return np.unique(labels, return_inverse=True)[1]


@pytest.mark.parametrize("colored", [True, False])
def test_keeps_to_the_edges_of_things(room_scan, colored):
    cloud = room_scan.cloud if colored else PointCloud(room_scan.cloud.points)
    groups = Superpoints(48)(cloud)
    cells = [voronoi(cloud.points, 48, seed) for seed in range(3)]
    error = undersegmentation_error(groups, room_scan.labels)
    assert error < min(undersegmentation_error(c, room_scan.labels) for c in cells) / 2
    ceiling = oracle_miou(groups, room_scan.labels)
    assert ceiling > max(oracle_miou(c, room_scan.labels) for c in cells) + 5
    assert ceiling > (95 if colored else 85)


def test_colour_alone_is_an_edge():
    rng = np.random.default_rng(0)
    points = rng.random((2000, 3)) * [1, 1, 0]
    left = (points[:, 0] < 0.5)[:, None]
    groups = Superpoints(6)(PointCloud(points, np.where(left, [0.9, 0.1, 0.1], [0.1, 0.1, 0.9])))
    assert undersegmentation_error(groups, 1 + left[:, 0]) < 0.5


def test_density_does_not_decide_where_superpoints_are():
    """A floor scanned ten times as densely on one half: both halves get their share."""
    rng = np.random.default_rng(0)
    points = rng.random((11_000, 3)) * [1, 1, 0]
    points[:10_000, 0] /= 2
    points[10_000:, 0] = 0.5 + points[10_000:, 0] / 2
    groups = Superpoints(60)(PointCloud(points))
    centres = np.array([points[m].mean(axis=0)[0] for m in groups])
    assert 15 <= (centres < 0.5).sum() <= 45


def test_compactness_makes_rounder_superpoints(room_cloud):
    def spread(groups):
        return np.mean([room_cloud.points[m].var(axis=0).sum() for m in groups])

    assert spread(Superpoints(96, 20.0)(room_cloud)) < spread(Superpoints(96)(room_cloud))


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"count": 0}, "count"),
        ({"count": -3}, "count"),
        ({"compactness": -1.0}, "compactness"),
        ({"compactness": float("nan")}, "compactness"),
        ({"compactness": float("inf")}, "compactness"),
    ],
)
def test_bad_settings(settings, field):
    with pytest.raises(ValueError, match=f"{field}: expected"):
        Superpoints(**settings)


def test_levels_follow_from_one_order_of_merging(room_cloud):
    coarse, own, fine = Superpoints(60).levels(room_cloud, [30, 60, 120])
    assert (len(coarse), len(own), len(fine)) == (30, 60, 120)
    assert (own.labels == Superpoints(60)(room_cloud).labels).all()
    for finer, coarser in ((fine, own), (own, coarse)):
        inside = {(a, b) for a, b in zip(finer.labels, coarser.labels, strict=True)}
        assert len(inside) == len(finer)


def test_levels_of_a_cloud_of_few_points_and_of_many_pieces():
    few = PointCloud(np.random.default_rng(0).random((40, 3)))
    assert [len(g) for g in Superpoints(60).levels(few, [30, 60, 120])] == [30, 40, 40]
    places = np.random.default_rng(0).random((50, 1, 3)) * 1000
    apart = PointCloud((places + np.random.default_rng(1).random((50, 40, 3))).reshape(-1, 3))
    assert [len(g) for g in Superpoints(40).levels(apart, [20, 40, 80])] == [20, 40, 80]
