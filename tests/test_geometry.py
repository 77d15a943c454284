"""Neighbours, spacing, normals and sampling: against slow twins, in any unit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from s4token.geometry import (
    farthest_point_sample,
    knn,
    morton_code,
    pca_normals,
    point_spacing,
    rotation_to_z,
    smallest_eigenvector,
    voxel_downsample,
)

SCALES = (1e-6, 0.0254, 1000.0, 1e6)


def cloud(n=300, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3))


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=2)


# Point spacing


def test_spacing_equals_brute_force():
    points = cloud()
    apart = distances(points)
    np.fill_diagonal(apart, np.inf)
    assert point_spacing(points) == pytest.approx(np.median(apart.min(axis=1)), rel=1e-12)


@pytest.mark.parametrize("factor", SCALES)
def test_spacing_scales(factor):
    assert point_spacing(cloud() * factor) == pytest.approx(point_spacing(cloud()) * factor)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (np.zeros((1, 3)), 0.0),
        (np.ones((50, 3)), 0.0),
        (np.array([[0.0, 0, 0], [0, 0, 3]]), 3.0),
        # Every point many times over: the distance to another *place* counts.
        (np.repeat([[0.0, 0, 0], [2, 0, 0], [4, 0, 0]], 20, axis=0), 2.0),
        (np.repeat(np.arange(10.0), 3)[:, None] * [1, 0, 0], 1.0),
    ],
)
def test_spacing_of_odd_clouds(points, expected):
    assert point_spacing(points) == expected


def test_spacing_of_a_large_cloud_is_sampled_evenly():
    points = np.random.default_rng(0).random((50_000, 3))
    assert point_spacing(points) == pytest.approx(point_spacing(points[::-1]), rel=0.03)


# Neighbours


def test_knn_equals_brute_force():
    points = cloud()
    index, distance = knn(points, 7)
    expected = np.argsort(distances(points), axis=1)[:, :7]
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_allclose(distance, np.take_along_axis(distances(points), expected, 1))
    assert (index[:, 0] == np.arange(len(points))).all() and index.dtype == np.int32


@pytest.mark.parametrize(("n", "k"), [(1, 1), (1, 5), (2, 1), (3, 9)])
def test_knn_of_few_points_keeps_its_shape(n, k):
    index, distance = knn(cloud(n), k)
    assert index.shape == distance.shape == (n, min(n, k))


def test_knn_of_queries():
    index, distance = knn(cloud(), 1, cloud()[5:8] + 1e-9)
    assert index.tolist() == [[5], [6], [7]] and distance.shape == (3, 1)


# Normals


@given(hnp.arrays(float, (4, 3), elements=st.integers(-50, 50)).filter(np.any))
@settings(deadline=None)
def test_smallest_eigenvector_solves_the_eigenproblem(rows):
    """Of covariances with trace 1, as it is called; planes and lines are among them."""
    matrix = rows.T @ rows / (rows**2).sum()
    x, y, z, *values = smallest_eigenvector(*matrix[[0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]])
    vector = np.array([x, y, z])
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), atol=1e-7)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-9)
    # The closed form loses digits where the two smaller eigenvalues meet, as on nearly a line.
    np.testing.assert_allclose(matrix @ vector, values[0] * vector, atol=3e-3)


@pytest.mark.parametrize(
    "diagonal", [(1, 1, 1), (0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 1, 1), (2, 1, 2)]
)
def test_smallest_eigenvector_of_degenerate_matrices(diagonal):
    a, b, c = (float(v) for v in diagonal)
    *vector, low, _, _ = smallest_eigenvector(a, 0.0, 0.0, b, 0.0, c)
    assert np.linalg.norm(vector) == pytest.approx(1)
    np.testing.assert_allclose(np.diag(diagonal) @ vector, low * np.array(vector), atol=1e-7)


def test_normals_equal_numpy():
    points = cloud()
    index, _ = knn(points, 12)
    normals, values = pca_normals(points, index)
    for i in range(len(points)):
        around = points[index[i]] - points[index[i]].mean(axis=0)
        covariance = around.T @ around
        share, vectors = np.linalg.eigh(covariance / np.trace(covariance))
        np.testing.assert_allclose(values[i], share, atol=1e-9)
        assert abs(normals[i] @ vectors[:, 0]) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(values.sum(axis=1), 1)


@pytest.mark.parametrize("factor", SCALES)
def test_normals_know_no_unit(factor):
    index, _ = knn(cloud(), 12)
    normals, values = pca_normals(cloud(), index)
    scaled, scaled_values = pca_normals(cloud() * factor, index)
    np.testing.assert_allclose(np.abs((normals * scaled).sum(axis=1)), 1, atol=1e-9)
    np.testing.assert_allclose(values, scaled_values, atol=1e-9)


def test_normal_of_a_tilted_plane_and_of_one_place():
    plane = np.random.default_rng(0).random((200, 3)) @ np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]])
    normals, _ = pca_normals(plane, knn(plane, 10)[0])
    np.testing.assert_allclose(np.abs(normals @ [1, 0, -1]) / 2**0.5, 1, atol=1e-6)
    normals, values = pca_normals(np.ones((5, 3)), np.zeros((5, 4), int))
    assert (normals == [0, 0, 1]).all() and (values == 0).all()


# Sampling


def test_voxels_equal_brute_force():
    points = cloud()
    chosen, voxel = voxel_downsample(points, 0.7)
    cells: dict[tuple, list[int]] = {}
    shifted = (points - points.min(axis=0)) / 0.7
    for i, row in enumerate(shifted):
        cells.setdefault(tuple(np.floor(row).astype(int)), []).append(i)
    expected = {
        min(members, key=lambda i: ((shifted[i] - np.array(cell) - 0.5) ** 2).sum())
        for cell, members in cells.items()
    }
    assert set(chosen.tolist()) == expected and len(chosen) == len(expected)
    for members in cells.values():
        assert len(set(voxel[members].tolist())) == 1
    np.testing.assert_array_equal(voxel[chosen], np.arange(len(chosen)))


@pytest.mark.parametrize(("size", "words"), [(0, "positive"), (-1, "positive"), (1e-18, "small")])
def test_bad_voxel_size(size, words):
    with pytest.raises(ValueError, match=f"size: .*{words}"):
        voxel_downsample(cloud(), size)


def test_farthest_points_equal_brute_force():
    points = cloud()
    chosen = farthest_point_sample(points, 20)
    apart = distances(points)
    expected = [int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmax())]
    while len(expected) < 20:
        expected.append(int(apart[expected].min(axis=0).argmax()))
    assert chosen.tolist() == expected


@pytest.mark.parametrize("factor", SCALES)
def test_farthest_points_know_no_unit(factor):
    chosen = farthest_point_sample(cloud(), 40)
    assert (chosen == farthest_point_sample(cloud() * factor, 40)).all()
    assert len(farthest_point_sample(cloud(5), 40)) == 5


# Rotation

ups = hnp.arrays(float, 3, elements=st.floats(-1, 1)).filter(lambda v: np.linalg.norm(v) > 0.1)


@given(ups)
@example(np.array([1e-5, 0, -0.625]))
def test_rotation_turns_up_to_z(up):
    up = up / np.linalg.norm(up)
    turn = rotation_to_z(up)
    np.testing.assert_allclose(turn @ up, [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(turn) == pytest.approx(1, abs=1e-6)


def test_rotation_of_the_axes_is_exact():
    assert (rotation_to_z(np.array([0, 0, 1.0])) == np.eye(3)).all()
    assert (rotation_to_z(np.array([0, 0, -1.0])) @ [0, 0, -1] == [0, 0, 1]).all()


def test_morton_code_knows_no_unit_and_keeps_neighbours_together():
    rng = np.random.default_rng(0)
    points = rng.random((4000, 3))
    code = morton_code(points)
    assert len(np.unique(code)) == len(points)
    np.testing.assert_array_equal(code, morton_code(points * 1e-3 + 7))
    order = np.argsort(code)
    step = np.linalg.norm(np.diff(points[order], axis=0), axis=1).mean()
    assert step < 0.2 * np.linalg.norm(np.diff(points, axis=0), axis=1).mean()


def test_morton_code_is_the_interleaved_ranks():
    points = np.array([[0.0, 5, 1], [2, 5, 1], [7, 9, 1], [7, 9, 4], [0, 5, 1]])
    # Ranks x 0 1 2 2 0, y 0 0 1 1 0, z 0 0 0 1 0; x is the lowest bit of a triple.
    assert morton_code(points).tolist() == [0, 1, 0b001010, 0b001110, 0]
