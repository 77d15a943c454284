"""The 2D teacher: cameras, pictures, lifting and pooling, against slow twins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from s4token.geometry import rotation_to_z
from s4token.grouping import KNN
from s4token.multiview import (
    SHADE_DARK,
    cameras_for,
    draw,
    encode_views,
    fill_unseen,
    lift,
    pool,
    splats,
    strided,
)
from s4token.render import render
from s4token.superpoints import Superpoints
from s4token.types import Camera, Groups, PointCloud, Views


def ball(n=600, seed=0):
    directions = np.random.default_rng(seed).normal(size=(n, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return PointCloud(directions, np.random.default_rng(seed).random((n, 3)))


def wall(n=900):
    share = np.random.default_rng(0).random((n, 2))
    return PointCloud(np.stack([share[:, 0] * 4, np.zeros(n), share[:, 1] * 2.5], axis=1))


# Cameras


@pytest.mark.parametrize("count", [1, 5, 24])
def test_cameras_are_counted_and_deterministic(room_cloud, count):
    first, second = (cameras_for(room_cloud, count, size=32) for _ in range(2))
    assert len(first) == count
    assert len({(*c.position, *c.target) for c in first}) == count
    for a, b in zip(first, second, strict=True):
        assert (a.position == b.position).all() and (a.target == b.target).all()
        assert (a.width, a.height) == (32, 32)


@pytest.mark.parametrize("scene", ["room", "ball", "wall", "few"])
def test_cameras_see_the_scene(room_cloud, scene):
    cloud = {"room": room_cloud, "ball": ball(), "wall": wall(), "few": ball(40)}[scene]
    views = draw(cloud, cameras_for(cloud, 12, size=96))
    shown = np.unique(views.point_index)
    visible = np.unique(draw(cloud, cameras_for(cloud, 60, size=96)).point_index)
    assert (shown >= 0).sum() > 0.75 * (visible >= 0).sum()
    assert (visible >= 0).sum() > (0.5 if scene == "room" else 0.85) * len(cloud)


@pytest.mark.parametrize("factor", [2.0**-10, 2.0**10])
def test_cameras_follow_the_unit(room_cloud, factor):
    first = cameras_for(room_cloud, 8, size=32)
    second = cameras_for(room_cloud.scaled(factor), 8, size=32)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(b.position, a.position * factor, rtol=1e-9, atol=1e-9 * factor)
        assert a.fov == b.fov


def test_cameras_follow_up(room_cloud):
    up = np.array([0.0, 1.0, 0.0])
    turn = rotation_to_z(up)
    turned = replace(room_cloud, points=room_cloud.points @ turn, up=up)
    for a, b in zip(cameras_for(room_cloud, 6), cameras_for(turned, 6), strict=True):
        np.testing.assert_allclose(turn @ b.position, a.position, atol=1e-6)
        np.testing.assert_array_equal(b.up, up)


# Pictures


@pytest.mark.parametrize("style", ["photo", "relief"])
def test_draw_equals_a_loop_over_pixels(style):
    cloud = ball()
    cameras = cameras_for(cloud, 3, size=40)
    prepared = splats(cloud)
    got = draw(cloud, cameras, prepared, style=style, background=(1, 2, 3))
    plain = render(cloud, cameras, radii=prepared.radii, background=(1, 2, 3))
    np.testing.assert_array_equal(got.point_index, plain.point_index)
    low, high = np.quantile(cloud.points[:, 2], (0.01, 0.99))
    for v, y, x in np.ndindex(*got.point_index.shape):
        i = got.point_index[v, y, x]
        pixel = plain.images[v, y, x].astype(float)
        if i < 0:
            assert (got.images[v, y, x] == (1, 2, 3)).all()
            continue
        normal = prepared.normals[i]
        if normal @ (cloud.points[i] - cameras[v].position) > 0:
            normal = -normal
        shade = SHADE_DARK + (1 - SHADE_DARK) * (1 + normal[2]) / 2
        if style == "relief":
            height = np.clip((cloud.points[i, 2] - low) / (high - low), 0, 1)
            warmth = 127.5 + 0.8 * (pixel[0] - 0.7 * pixel[1] - 0.3 * pixel[2])
            bright = shade * (0.3 * pixel[0] + 0.59 * pixel[1] + 0.11 * pixel[2])
            expected = np.array([bright, 255 * height, np.clip(warmth, 0, 255)])
        else:
            expected = pixel * shade
        assert np.abs(got.images[v, y, x] - expected).max() <= 1.001


def test_up_is_bright_and_down_is_dark():
    sheet = np.random.default_rng(0).random((900, 3)) * [1, 1, 0]
    cloud = PointCloud(sheet, np.full((900, 3), 0.8))
    target = np.array([0.5, 0.5, 0])
    eyes = [np.array([0.51, 0.5, z]) for z in (2.0, -2.0)]
    cameras = [Camera(eye, target, fov=30, width=24, height=24) for eye in eyes]
    views = draw(cloud, cameras)
    above, below = (i[s >= 0].mean() for i, s in zip(views.images, views.point_index, strict=True))
    assert above == pytest.approx(204, abs=2) and below == pytest.approx(204 * SHADE_DARK, abs=2)


def test_strided_takes_every_second_pixel():
    index = np.arange(2 * 6 * 8, dtype=np.int32).reshape(2, 6, 8)
    views = Views(np.zeros((2, 6, 8, 3), np.uint8), index)
    np.testing.assert_array_equal(strided(views), index[:, 1::2, 1::2])


# Lifting and pooling


def slow_bilinear(grid, row, column, size):
    """The value of a (G, G, E) map at a pixel of a picture of ``size`` pixels, edges held."""
    g = len(grid)
    place = np.clip(((np.array([row, column]) + 0.5) * g / size) - 0.5, 0, g - 1)
    low = np.minimum(np.floor(place).astype(int), g - 1)
    high = np.minimum(low + 1, g - 1)
    dy, dx = place - low
    top = (1 - dx) * grid[low[0], low[1]] + dx * grid[low[0], high[1]]
    bottom = (1 - dx) * grid[high[0], low[1]] + dx * grid[high[0], high[1]]
    return (1 - dy) * top + dy * bottom


def test_lift_equals_a_loop_over_pixels(tiny_clip):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (19, 32, 32, 3), dtype=np.uint8)  # more than one batch
    seen = rng.integers(-1, 9, (19, 16, 16)).astype(np.int32)
    seen[seen == 4] = -1
    total, shown = lift(tiny_clip, images, seen)
    assert shown.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        parts = [tiny_clip.encode_image(torch.from_numpy(p))[1] for p in np.split(images, [16])]
    maps = torch.cat(parts).float().unflatten(1, (4, 4)).numpy()
    expected = np.zeros((9, 32))
    for v, y, x in np.ndindex(*seen.shape):
        if seen[v, y, x] >= 0:
            expected[seen[v, y, x]] += slow_bilinear(maps[v], y, x, 16)
    np.testing.assert_allclose(total, expected[shown], rtol=2e-3, atol=2e-3)


def test_lift_without_background(tiny_clip):
    images = np.zeros((1, 32, 32, 3), np.uint8)
    total, shown = lift(tiny_clip, images, np.full((1, 16, 16), 3, np.int32))
    assert shown.tolist() == [3] and total.shape == (1, 32)


@pytest.mark.parametrize(
    "groups",
    [
        Groups.from_labels(np.arange(10) // 3),
        Groups(np.array([0, 1, 2, 2, 1, 9]), np.array([0, 3, 5, 6]), 10),
    ],
)
def test_pool_equals_a_loop(groups):
    total = np.random.default_rng(0).random((4, 5)).astype(np.float32)
    shown = np.array([1, 2, 5, 8], np.int32)
    features, count = pool(total, shown, groups)
    for m, members in enumerate(groups):
        rows = [total[shown.tolist().index(i)] for i in members if i in shown]
        np.testing.assert_allclose(features[m], np.sum(rows, axis=0) if rows else 0, rtol=1e-6)
        assert count[m] == len(rows)


def test_unseen_take_the_nearest_seen():
    features = np.array([[3.0, 0], [0, 0], [0, 2], [0, 0]])
    centers = np.array([[0.0, 0, 0], [1, 0, 0], [5, 0, 0], [9, 0, 0]])
    got = fill_unseen(features, np.array([True, False, True, False]), centers)
    assert got.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert np.isfinite(fill_unseen(features, np.zeros(4, bool), centers)).all()


# The engine


@pytest.mark.parametrize("scene", ["room", "ball", "wall", "few", "three"])
def test_encode_views(tiny_clip, room_cloud, scene):
    cloud = {"room": room_cloud, "ball": ball(), "wall": wall(), "few": ball(20)}
    cloud = (cloud | {"three": PointCloud(np.eye(3))})[scene]
    heard = []
    encoding = encode_views(
        tiny_clip,
        cloud,
        grouping=Superpoints(24),
        views=6,
        progress=lambda f, s: heard.append((f, s)),
    )
    assert encoding.features.shape == (min(24, len(cloud)), 32)
    np.testing.assert_allclose(np.linalg.norm(encoding.features, axis=1), 1, atol=1e-5)
    assert np.linalg.norm(encoding.global_feature) == pytest.approx(1, abs=1e-5)
    assert encoding.engine == "multiview" and set(encoding.seconds) == {
        "grouping",
        "rendering",
        "views",
    }
    fractions = [f for f, _ in heard]
    assert fractions == sorted(fractions) and (fractions[0], fractions[-1]) == (0.0, 1.0)


def test_overlapping_groups(tiny_clip, room_cloud):
    encoding = encode_views(tiny_clip, room_cloud, grouping=KNN(24, 16), tokenizer="knn", views=4)
    assert encoding.tokenizer == "knn" and encoding.features.shape == (24, 32)
    np.testing.assert_allclose(np.linalg.norm(encoding.features, axis=1), 1, atol=1e-5)


def test_hidden_tokens_are_told(tiny_clip):
    shell = ball(4000)
    hidden = PointCloud(np.concatenate([shell.points, ball(300).points * 0.02]))
    encoding = encode_views(tiny_clip, hidden, grouping=Superpoints(40), views=4)
    assert any("seen by no view" in note for note in encoding.notes)


@pytest.mark.parametrize("points", [np.zeros((1, 3)), np.ones((300, 3))])
def test_one_place_is_no_scene(tiny_clip, points):
    with pytest.raises(ValueError, match="views: no view shows a point"):
        encode_views(tiny_clip, PointCloud(points), grouping=Superpoints(8), views=4)


def test_the_unit_does_not_matter(tiny_clip, room_cloud):
    first, second = (
        encode_views(tiny_clip, c, grouping=Superpoints(24), views=4)
        for c in (room_cloud, room_cloud.scaled(1024.0))
    )
    assert (first.features * second.features).sum(axis=1).min() > 0.999
