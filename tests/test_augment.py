"""Augmentations: pure, seeded, and free of absolute lengths."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from s4token import augment
from s4token.geometry import point_spacing
from s4token.types import PointCloud

UPS = ([0, 0, 1.0], [0, 1.0, 0], [0.3, -0.5, 0.8])


def cloud(up=(0, 0, 1.0), n=300):
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(n, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return PointCloud(rng.random((n, 3)) * [4, 3, 2], rng.random((n, 3)), normals, up=up)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("up", UPS)
@pytest.mark.parametrize("change", [augment.yaw, augment.mirror])
def test_rigid_changes_keep_distances_and_heights(change, up):
    before = cloud(up)
    moved = False
    for seed in range(6):
        after = change(before, rng(seed))
        assert np.allclose(pdist(after.points), pdist(before.points))
        assert np.allclose(after.points @ after.up, before.points @ before.up)
        assert np.allclose(after.up, before.up)
        assert np.allclose(
            (after.normals * after.points).sum(1),
            (before.normals * before.points).sum(1),
            atol=1e-5,
        )
        moved |= not np.allclose(after.points, before.points)
    assert moved


def test_mirror_flips_handedness_now_and_then():
    before, flips = cloud(), 0
    for seed in range(20):
        after = augment.mirror(before, rng(seed))
        corner = lambda c: np.linalg.det(c.points[1:4] - c.points[0])  # noqa: E731
        flips += corner(after) * corner(before) < 0
    assert 4 < flips < 16


def test_rescale_is_within_bounds():
    before = cloud()
    factors = [
        np.ptp(augment.rescale(before, rng(s), most=1.5).points[:, 0]) / np.ptp(before.points[:, 0])
        for s in range(50)
    ]
    assert 1 / 1.5 <= min(factors) < 0.85 and 1.2 < max(factors) <= 1.5


@pytest.mark.parametrize("factor", [1.0, 2.0**10, 2.0**-20])
def test_jitter_and_crop_and_dropout_do_not_know_the_unit(factor):
    before, scaled = cloud(), cloud().scaled(factor)
    assert np.allclose(
        augment.jitter(scaled, rng()).points / factor, augment.jitter(before, rng()).points
    )
    for cut in (augment.crop, augment.dropout):
        assert (cut(scaled, rng()) == cut(before, rng())).all()


def test_jitter_is_a_fraction_of_the_spacing():
    before = cloud()
    most = 0
    for seed in range(10):
        step = np.abs(augment.jitter(before, rng(seed), spacings=0.3).points - before.points)
        most = max(most, step.std())
    assert 0.1 * point_spacing(before.points) < most < 0.35 * point_spacing(before.points)


def test_color_jitter():
    before = cloud()
    out = [augment.color_jitter(before, rng(s)) for s in range(30)]
    for after in out:
        assert after.colors.min() >= 0 and after.colors.max() <= 1
        assert (after.points == before.points).all()
    spread = [np.ptp(after.colors, axis=1).mean() for after in out]
    assert min(spread) < 1e-3 and max(spread) > 0.2, "some grey, most not"
    still = augment.color_jitter(before, rng(), strength=0.0, grey=0.0)
    assert np.allclose(still.colors, before.colors, atol=1e-6)
    assert augment.color_jitter(before, rng(), dropped=1.0).colors is None
    bare = PointCloud(before.points)
    assert augment.color_jitter(bare, rng()) is bare


@pytest.mark.parametrize("up", UPS)
def test_crop_keeps_a_vertical_neighbourhood(up):
    before = cloud(up, 2000)
    for seed in range(5):
        keep = augment.crop(before, rng(seed), least=0.5)
        assert 1000 <= len(keep) <= 2000 and (np.diff(keep) > 0).all()
    keep = augment.crop(before, rng(1), least=0.5)
    flat = before.points - np.outer(before.points @ before.up, before.up)
    center = flat[keep].mean(axis=0)
    gone = np.setdiff1d(np.arange(2000), keep)
    if len(gone):
        away = np.linalg.norm(flat - center, axis=1)
        assert away[keep].mean() < away[gone].mean()


def test_dropout_keeps_at_least_its_share():
    sizes = [len(augment.dropout(cloud(), rng(s), most=0.4)) for s in range(30)]
    assert 180 <= min(sizes) < 230 and max(sizes) > 270


@pytest.mark.parametrize(
    "change",
    [augment.yaw, augment.mirror, augment.rescale, augment.jitter, augment.color_jitter],
)
def test_pure_seeded_and_at_home_with_one_point(change):
    before = cloud()
    copy = before.points.copy()
    a, b = change(before, rng(5)), change(before, rng(5))
    assert (a.points == b.points).all() and (a.colors == b.colors).all()
    assert (before.points == copy).all()
    one = PointCloud(np.array([[1.0, 2, 3]]))
    assert len(change(one, rng())) == 1
    assert augment.crop(one, rng()).tolist() == augment.dropout(one, rng()).tolist() == [0]


@pytest.mark.parametrize("up", UPS)
def test_cut_takes_the_lower_part(up):
    before = cloud(up, 3000)
    height = before.points @ before.up
    for seed in range(10):
        keep = augment.cut(before, rng(seed), least=0.3, most=0.7)
        rest = np.setdiff1d(np.arange(3000), keep)
        assert height[keep].max() < height[rest].min()
        share = (height[keep].max() - height.min()) / np.ptp(height)
        assert 0.28 < share < 0.72


def test_box_takes_what_lies_in_an_upright_box_of_full_height():
    before = cloud(n=3000)
    shares = []
    for seed in range(20):
        keep = augment.box(before, rng(seed), least=0.5)
        assert (np.diff(keep) > 0).all()
        assert np.ptp(before.points[keep, 2]) > 0.9 * np.ptp(before.points[:, 2])
        shares.append(len(keep) / 3000)
        scaled = augment.box(before.scaled(1000.0), rng(seed), least=0.5)
        assert len(np.setxor1d(keep, scaled)) <= 2
    assert 0.3 < min(shares) < 0.7 < max(shares) <= 1
