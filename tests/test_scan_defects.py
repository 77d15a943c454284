"""Defects of real scans: what each changes, and what it leaves alone."""

import numpy as np
import pytest

from s4token import scan_defects as defects
from s4token.types import PointCloud, Scan


def plane(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    return np.pad(rng.uniform(-1, 1, (n, 2)), ((0, 0), (0, 1)))


def test_fusing_takes_noise_away_and_thin_things():
    rng = np.random.default_rng(0)
    leg = np.stack([np.zeros(60), np.zeros(60), np.linspace(0.05, 1.0, 60)], axis=1)
    flat = plane() + rng.normal(0, 0.01, (4000, 3)) * [0, 0, 1]
    points, lost = np.concatenate([flat, leg]), []
    for seed in range(8):
        smooth, colors, keep = defects.fused(points, points * 0 + 0.5, np.random.default_rng(seed))
        assert np.std(smooth[:4000, 2]) < 0.8 * np.std(points[:4000, 2])
        assert colors is not None and np.allclose(colors, 0.5) and keep[:4000].mean() > 0.9
        lost.append(1 - keep[4000:].mean())
    assert max(lost) > 0.5 and min(lost) == 0


def test_uneven_density_follows_detail():
    rng = np.random.default_rng(1)
    ball = rng.normal(size=(2000, 3))
    ball = 0.2 * ball / np.linalg.norm(ball, axis=1, keepdims=True) + [0, 0, 2.0]
    keep = defects.uneven(np.concatenate([plane(), ball]), rng)
    assert keep[:4000].mean() < 0.65 and keep[4000:].mean() > keep[:4000].mean() + 0.2


def test_flying_points_leave_along_their_ray():
    points, rays = plane(), np.tile([0.0, 0.6, 0.8], (4000, 1))
    moved, stray = defects.flying(points, rays, np.random.default_rng(0))
    assert (moved[~stray] == points[~stray]).all() and 0 < stray.mean() < 0.02
    assert np.allclose(np.cross(moved - points, rays), 0)


def test_a_step_moves_later_frames_alone():
    points, frame = plane(), np.repeat([0, 1], 2000)
    out = defects.stepped(points, frame, np.random.default_rng(0))
    off = np.linalg.norm(out - points, axis=1)
    assert (off[:2000] == 0).all() and 0 < off[2000:].max() < 0.15


def test_a_tripod_sees_less_far_away():
    distance = np.repeat([1.0, 10.0], 2000)
    keep = defects.falling_off(distance, np.random.default_rng(0))
    assert keep[:2000].all() and 0 < keep[2000:].mean() < 0.3


@pytest.mark.parametrize("name", ["window", "wall"])
def test_panes_are_missing_and_walls_are_not(name):
    points = plane()[:, [0, 2, 1]]
    ones = np.ones(len(points), np.int32)
    scan = Scan("pane", PointCloud(points, points * 0 + 0.5), ones, (name,), ones)
    index, shares, beyond = np.arange(len(points)), [], 0
    for seed in range(20):
        lost, further = defects.panes(scan, index, np.random.default_rng(seed))
        shares.append(lost.mean())
        assert np.isfinite(further[~lost]).sum() == 0
        assert not lost[np.abs(points).max(axis=1) > 0.96].any(), "the frame stays"
        beyond += np.isfinite(further).any()
    assert (max(shares) > 0.3 and beyond > 0) if name == "window" else max(shares) == 0


def test_weathered_colours_stay_colours():
    points, grey = plane(), 0
    colors = np.random.default_rng(0).random(points.shape)
    for seed in range(40):
        out = defects.weathered(colors, points, np.random.default_rng(seed))
        assert out.dtype == np.float32 and out.min() >= 0 and out.max() <= 1
        grey += bool(np.ptp(out, axis=1).max() < 1e-6)
    assert 0 < grey < 12
