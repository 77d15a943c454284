"""Simulated scans: a visible, noisy, recoloured part of the room, labels in step."""

import numpy as np
import pytest

from s4token.geometry import point_spacing
from s4token.scan_simulation import photographed, simulate, simulate_frame
from s4token.synthetic import room, tabletop
from s4token.types import PointCloud, Scan

ROOM = room("living", 1, points=30_000)


def test_labels_and_instances_stay_in_step():
    scan = simulate(ROOM, np.random.default_rng(0))
    assert scan.classes == ROOM.classes and scan.category == ROOM.category
    assert len(scan.labels) == len(scan.instances) == len(scan.cloud)
    of = dict(zip(ROOM.instances.tolist(), ROOM.labels.tolist(), strict=True)) | {0: 0}
    assert all(of[i] == k for i, k in zip(scan.instances, scan.labels, strict=True))


def test_points_stay_near_the_surface_they_came_from():
    from scipy.spatial import KDTree

    for seed in range(8):
        scan = simulate(ROOM, np.random.default_rng(seed))
        # What hangs in the air, or is seen through glass, has no label.
        assert (scan.labels == 0).mean() < 0.1
        distance = KDTree(ROOM.cloud.points).query(scan.cloud.points[scan.labels > 0])[0]
        assert 0 < np.median(distance) < 0.04 and np.quantile(distance, 0.99) < 0.12


def test_nothing_hidden_is_seen():
    """A box inside a closed box cannot be scanned from outside it."""
    rng = np.random.default_rng(0)

    def shell(side, n, z0):
        p = rng.uniform(-1, 1, (n, 3))
        k = rng.integers(3, size=n)
        p[np.arange(n), k] = np.sign(p[np.arange(n), k])
        return p * side / 2 + [0, 0, z0 + side / 2]

    floor = np.concatenate([rng.uniform(-3, 3, (20_000, 2)), np.zeros((20_000, 1))], axis=1)
    points = np.concatenate([floor, shell(1.0, 20_000, 0.0), shell(0.4, 3000, 0.3)])
    labels = np.repeat([1, 2, 3], [20_000, 20_000, 3000])
    cloud = PointCloud(points, np.full((len(points), 3), 0.6, np.float32))
    scan = Scan("boxes", cloud, labels, ("floor", "outer", "inner"))
    count = np.zeros(4)
    for seed in range(4):
        count += np.bincount(simulate(scan, np.random.default_rng(seed)).labels, minlength=4)
    assert count[2] > 5000 and count[1] > 5000
    assert count[3] < 0.01 * count[2]


def test_same_generator_same_scan_and_budget():
    a, b = (simulate(ROOM, np.random.default_rng(3), points=4000) for _ in range(2))
    assert len(a.cloud) <= 4000
    assert (a.cloud.points == b.cloud.points).all() and (a.cloud.colors == b.cloud.colors).all()
    other = simulate(ROOM, np.random.default_rng(4), points=4000)
    assert (
        a.cloud.points.shape != other.cloud.points.shape
        or (a.cloud.points != other.cloud.points).any()
    )


def test_dark_surfaces_lose_more_points():
    floor = np.random.default_rng(0).uniform(-3, 3, (40_000, 2))
    points = np.pad(floor, ((0, 0), (0, 1)))
    colors = np.where(points[:, :1] > 0, 0.02, 0.7) * np.ones((1, 3))
    scan = Scan("floor", PointCloud(points, colors), (points[:, 0] > 0) + 1, ("light", "dark"))
    count = np.zeros(3)
    for seed in range(4):
        count += np.bincount(simulate(scan, np.random.default_rng(seed)).labels, minlength=3)
    assert count[2] < 0.8 * count[1]


def test_frame_shows_a_part_from_one_side():
    seen = []
    for seed in range(4):
        scan = tabletop(seed, points=20_000)
        frame = simulate_frame(scan, np.random.default_rng(seed), points=8000)
        assert 200 <= len(frame.cloud) <= 8000
        seen.append(len(frame.cloud))
        assert frame.cloud.points[:, 2].min() > -0.1
    assert max(seen) > 1500


def test_cloud_without_colours_or_labels():
    scan = Scan("bare", PointCloud(ROOM.cloud.points))
    for out in (
        simulate(scan, np.random.default_rng(0)),
        simulate_frame(scan, np.random.default_rng(0)),
    ):
        assert out.cloud.colors is None and out.labels is None and len(out.cloud) >= 200


@pytest.mark.parametrize("points", [[[0.0, 0, 0]], [[1.0, 2, 3]] * 4, np.eye(3)])
def test_degenerate_clouds_come_back(points):
    scan = Scan("tiny", PointCloud(np.asarray(points, float)))
    assert 1 <= len(simulate(scan, np.random.default_rng(0)).cloud) <= len(points)
    assert 1 <= len(simulate_frame(scan, np.random.default_rng(0)).cloud) <= len(points)


def test_photographed_changes_exposure_per_picture():
    colors = np.full((2000, 3), 0.5)
    frame = np.repeat([0, 1], 1000)
    out = photographed(colors, np.random.default_rng(0), frame)
    assert out.dtype == np.float32 and out.min() >= 0 and out.max() <= 1
    assert abs(out[:1000].mean() - out[1000:].mean()) > 0.002


def test_density_is_not_that_of_the_room():
    scan = simulate(ROOM, np.random.default_rng(1))
    assert len(scan.cloud) < len(ROOM.cloud)
    assert point_spacing(scan.cloud.points) > 0
