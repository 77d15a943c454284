"""Splat rendering: against a brute-force twin, in any unit, with true occlusion."""

import numpy as np
import pytest

from s4token.render import GREY, _pose, orbit, render, splat_radii, visible
from s4token.types import Camera, PointCloud

LARGEST, NEAR, SPLAT = 1 / 16, 0.004, 2.5


def random_cloud(n=400, seed=0, colours=True):
    rng = np.random.default_rng(seed)
    return PointCloud(
        rng.normal(size=(n, 3)), rng.random((n, 3)).astype(np.float32) if colours else None
    )


def twin(cloud, camera, radii):
    """Render every pixel by asking every point."""
    pose, focal = _pose(camera)
    local = (cloud.points - pose[3]) @ pose[:3].T
    near = NEAR * np.linalg.norm(np.ptp(cloud.points, axis=0))
    owner = np.full((camera.height, camera.width), -1)
    depth = np.full(owner.shape, np.inf)
    for i, (x, y, z) in enumerate(local):
        if z <= near:
            continue
        u, v = camera.width / 2 + focal * x / z, camera.height / 2 + focal * y / z
        r = np.clip(focal * radii[i] / z, 0.5, camera.height * LARGEST)
        rows, columns = np.mgrid[: camera.height, : camera.width]
        inside = (columns + 0.5 - u) ** 2 + (rows + 0.5 - v) ** 2 <= r * r
        inside |= (rows == np.floor(v)) & (columns == np.floor(u))
        inside &= z < depth
        depth[inside], owner[inside] = z, i
    return owner


@pytest.mark.parametrize("size", [(40, 32), (17, 48)])
def test_equals_brute_force(size):
    cloud = random_cloud()
    radii = np.random.default_rng(1).uniform(0, 0.2, len(cloud))
    inside = Camera(np.zeros(3), np.ones(3), width=size[0], height=size[1])
    cameras = [*orbit(cloud, 3, size=size), inside]
    views = render(cloud, cameras, radii=radii)
    for v, camera in enumerate(cameras):
        expected = twin(cloud, camera, radii)
        assert (views.point_index[v] == expected).all()
        shown = views.images[v][expected >= 0]
        assert (shown == np.round(cloud.colors[expected[expected >= 0]] * 255)).all()
        assert (views.images[v][expected < 0] == 255).all()


@pytest.mark.parametrize("factor", [2.0**-20, 1e-3, 1000.0, 1e6])
def test_same_picture_in_any_unit(factor):
    cloud = random_cloud(2000)
    cameras = orbit(cloud, 4, size=48)
    scaled = [
        Camera(c.position * factor, c.target * factor, c.up, c.fov, c.width, c.height)
        for c in cameras
    ]
    a, b = render(cloud, cameras), render(cloud.scaled(factor), scaled)
    assert (a.point_index == b.point_index).mean() > 0.999
    assert len(np.unique(a.point_index)) > 200
    assert (visible(cloud, cameras) == visible(cloud.scaled(factor), scaled)).mean() > 0.999
    # Fixed radii are the negative control: in other units they draw another picture.
    fixed, as_large = np.full(2000, 0.3), np.full(2000, 0.3 * factor)
    a = render(cloud.scaled(factor), scaled, radii=as_large)
    b = render(cloud.scaled(factor), scaled, radii=fixed)
    assert (a.point_index == b.point_index).mean() < 0.99


def wall_and_ball():
    y, z = np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 60))
    wall = np.stack([np.zeros(3600), y.ravel(), z.ravel()], axis=1)
    ball = np.array([[1.0, 0, 0]]) + np.random.default_rng(0).normal(size=(300, 3)) * 0.05
    hidden = np.array([[-1.0, 0, 0]]) + np.random.default_rng(1).normal(size=(300, 3)) * 0.05
    return PointCloud(np.concatenate([wall, ball, hidden]))


def test_occlusion_and_visibility():
    cloud = wall_and_ball()
    front = Camera([3, 0, 0], [0, 0, 0], fov=40, width=64, height=64)
    back = Camera([-3, 0, 0], [0, 0, 0], fov=40, width=64, height=64)
    owner = render(cloud, [front]).point_index[0]
    assert 3600 <= owner[32, 32] < 3900
    assert not (owner >= 3900).any()
    seen = visible(cloud, [front])
    assert seen[:3600].mean() > 0.9 and seen[3600:3900].mean() > 0.6
    assert not seen[3900:].any()
    both = visible(cloud, [front, back])
    assert both[3900:].mean() > 0.6 and both[seen].all()


def test_nothing_behind_the_camera_and_ties_go_to_the_lower_index():
    cloud = PointCloud(np.array([[1.0, 0, 0], [1.0, 0, 0], [-1.0, 0, 0]]))
    owner = render(cloud, [Camera([0, 0, 0], [1, 0, 0], width=8, height=8)]).point_index
    assert set(np.unique(owner)) == {-1, 0}


@pytest.mark.parametrize("target", [[0, 0, -1], [0, 0, 1]])
def test_camera_may_look_along_up(target):
    cloud = PointCloud(np.array([[0, 0, -1.0], [0, 0, 1.0], [1, 0, 0]]))
    views = render(cloud, [Camera([0, 0, 0], target, width=9, height=9)])
    assert views.point_index[0, 4, 4] == (0 if target[2] < 0 else 1)


def test_picture_is_upright_and_not_mirrored():
    cloud = PointCloud(np.array([[1.0, 0, 0.3], [1.0, -0.3, 0]]))  # above; to the right
    owner = render(cloud, [Camera([0, 0, 0], [1, 0, 0], width=33, height=33)]).point_index[0]
    above = np.median(np.argwhere(owner == 0), axis=0)
    right = np.median(np.argwhere(owner == 1), axis=0)
    assert above[0] < 14 and abs(above[1] - 16) <= 1
    assert right[1] > 18 and abs(right[0] - 16) <= 1


def test_grey_background_shading_and_point_size():
    cloud = random_cloud(500, colours=False)
    cameras = orbit(cloud, 1, size=96)
    plain = render(cloud, cameras, background=(10, 20, 30))
    hit = plain.point_index >= 0
    assert (plain.images[hit] == GREY).all() and (plain.images[~hit] == (10, 20, 30)).all()
    shaded = render(cloud, cameras, shading=True)
    assert shaded.images[hit].min() < GREY and (shaded.point_index == plain.point_index).all()
    assert (render(cloud, cameras, point_size=0.3).point_index >= 0).sum() < hit.sum()


@pytest.mark.parametrize("points", [[[1.0, 2, 3]], [[1.0, 2, 3]] * 5])
def test_one_point_and_equal_points(points):
    cloud = PointCloud(np.array(points))
    views = render(cloud, orbit(cloud, 2, size=16))
    assert (views.point_index[:, 8, 8] == 0).all()


def test_orbit_frames_the_cloud_whatever_is_up():
    for up in ([0, 0, 1.0], [0, 1.0, 0], [1.0, 1, 1]):
        cloud = PointCloud(np.random.default_rng(0).uniform(size=(3000, 3)) * 50 + 7, up=up)
        for view in render(cloud, orbit(cloud, 3, size=(60, 40)), point_size=0.3).point_index:
            covered = view >= 0
            border = np.concatenate([covered[0], covered[-1], covered[:, 0], covered[:, -1]])
            assert covered.mean() > 0.15 and border.mean() < 0.1
        heights = [camera.position @ cloud.up for camera in orbit(cloud, 3)]
        assert np.ptp(heights) < 1e-9 and heights[0] > cloud.points.mean(axis=0) @ cloud.up


def test_local_radii_follow_density():
    rng = np.random.default_rng(0)
    cloud = PointCloud(np.concatenate([rng.random((500, 3)), rng.random((500, 3)) * 0.3 + 5]))
    radii = splat_radii(cloud)
    assert radii[:500].mean() > 2 * radii[500:].mean()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"radii": np.ones(3)}, "radii"),
        ({"radii": np.full(400, np.nan)}, "radii"),
        ({"radii": -np.ones(400)}, "radii"),
        ({"point_size": 0}, "point_size"),
        ({"point_size": np.inf}, "point_size"),
    ],
)
def test_bad_options(options, match):
    cloud = random_cloud()
    with pytest.raises(ValueError, match=match):
        render(cloud, orbit(cloud, 1), **options)


def test_bad_cameras():
    cloud = random_cloud()
    with pytest.raises(ValueError, match="cameras"):
        render(cloud, [])
    with pytest.raises(ValueError, match="cameras"):
        render(cloud, orbit(cloud, 1, size=8) + orbit(cloud, 1, size=9))
    with pytest.raises(ValueError, match="count"):
        orbit(cloud, 0)
