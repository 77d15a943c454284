"""Posed photographs: pictures of our own renderer must give the features of its own cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from trees import matrix, posed

from s4token import multiview
from s4token.backbone import FrozenCLIP
from s4token.multiview import cameras_for, draw, encode_views, picture_views, splats
from s4token.photographs import photographs
from s4token.render import _pose, render
from s4token.superpoints import Superpoints
from s4token.types import Camera, PointCloud

SIZE = 32


@pytest.fixture(scope="module")
def photo_clip(tiny_clip):
    """The tiny CLIP, read as one that knows photographs."""
    return FrozenCLIP(tiny_clip.clip, tiny_clip.tokenize, name="tiny", tag="random", dense="value")


def one_lens(cloud, count):
    """Return cameras of one field of view, as one intrinsic matrix describes them."""
    return [replace(c, fov=60.0) for c in cameras_for(cloud, count, size=SIZE)]


@pytest.fixture
def virtual(monkeypatch, room_cloud):
    """Return cameras that the engine itself takes too."""
    cameras = one_lens(room_cloud, 6)
    monkeypatch.setattr(multiview, "cameras_for", lambda *a, **k: cameras)
    return cameras


def likeness(first, second):
    return (first.features * second.features).sum(axis=1)


def encoded(clip, cloud, **how):
    return encode_views(clip, cloud, grouping=Superpoints(24), **how)


@pytest.mark.parametrize(("suffix", "least"), [("png", 1 - 1e-5), ("jpg", 0.9)])
def test_photographs_agree_with_virtual_cameras(
    photo_clip, room_cloud, tmp_path, virtual, suffix, least
):
    images = draw(room_cloud, virtual).images
    posed(tmp_path / "right", virtual, images, suffix=suffix)
    first = encoded(photo_clip, room_cloud)
    real = encoded(photo_clip, room_cloud, images=tmp_path / "right")
    assert likeness(first, real).min() > least
    assert real.global_feature @ first.global_feature > least
    assert real.engine == "multiview" and real.notes == first.notes
    posed(tmp_path / "wrong", virtual, images[::-1], suffix=suffix)
    wrong = encoded(photo_clip, room_cloud, images=tmp_path / "wrong")
    assert likeness(first, wrong).mean() < likeness(first, real).mean() - 0.01


def test_the_small_clip_sees_them_in_relief(tiny_clip, room_cloud, tmp_path, virtual):
    assert tiny_clip.pictures == "relief"
    posed(tmp_path, virtual, render(room_cloud, virtual, radii=splats(room_cloud).radii).images)
    first = encoded(tiny_clip, room_cloud)
    real = encoded(tiny_clip, room_cloud, images=tmp_path)
    assert likeness(first, real).min() > 1 - 1e-5


@pytest.mark.parametrize("unit", [2.0**-10, 1000.0])
def test_poses_are_in_the_unit_of_the_scan(photo_clip, room_cloud, tmp_path, unit):
    cameras = one_lens(room_cloud, 4)
    images = draw(room_cloud, cameras).images
    posed(tmp_path / "a", cameras, images)
    posed(tmp_path / "b", cameras, images, unit=unit)
    first = encoded(photo_clip, room_cloud, images=tmp_path / "a")
    second = encoded(photo_clip, room_cloud.scaled(unit), images=tmp_path / "b")
    assert likeness(first, second).min() > 0.999
    with pytest.raises(ValueError, match="in the scan's unit and frame"):
        far = replace(room_cloud, points=room_cloud.points + 1e5)
        encoded(photo_clip, far, images=tmp_path / "a")
    shifted = replace(room_cloud, points=room_cloud.points - 7, offset=np.full(3, 7.0))
    third = encoded(photo_clip, shifted, images=tmp_path / "a")
    assert likeness(first, third).min() > 0.999


@pytest.mark.parametrize("tall", [False, True])
def test_oblong_pictures_off_centre_and_of_oblong_pixels(room_cloud, tmp_path, tall):
    """What a pixel shows still has its point's colour, and squares cover the picture."""
    size = (64, 128) if tall else (128, 64)
    cameras = [replace(c, width=size[0], height=size[1]) for c in one_lens(room_cloud, 3)]
    plain = render(room_cloud, cameras, radii=splats(room_cloud).radii)
    # Ten columns off the left, and every column twice.
    images = np.repeat(plain.images[:, :, 10:], 2, axis=2)
    posed(tmp_path, cameras, images)
    focal = _pose(cameras[0])[1]
    cx, cy = 2 * (size[0] / 2 - 10), size[1] / 2
    matrix(tmp_path / "intrinsic" / "intrinsic_color.txt",
           [[2 * focal, 0, cx], [0, focal, cy], [0, 0, 1]])  # fmt: skip
    taken, lost = photographs(tmp_path, SIZE)
    camera = taken[0].camera
    across = 2 * (size[0] / 2 - 10)  # of the uncut picture's pixels, about its middle
    assert lost == 0 and min(camera.width, camera.height) == SIZE
    assert camera.width / camera.height == pytest.approx(across / size[1], rel=0.04)
    views, _ = picture_views(room_cloud, tmp_path, 9, size=SIZE, style="photo")
    longer = max(camera.width, camera.height)
    assert views.images.shape == (3 * -(-longer // SIZE), SIZE, SIZE, 3)
    shown = views.point_index >= 0
    real = room_cloud.colors[views.point_index[shown]]
    gap = np.abs(views.images[shown] / 255 - real).max(axis=1)
    shuffled = np.abs(views.images[shown] / 255 - np.roll(real, 997, axis=0)).max(axis=1)
    assert np.quantile(gap, 0.85) < 0.15 and gap.mean() < 0.4 * shuffled.mean()


def test_the_best_covering_pictures_are_taken(room_cloud, tmp_path):
    """Of five pictures of one corner and one of the room, the room's is among two."""
    good = cameras_for(room_cloud, 1, size=SIZE)[0]
    away = Camera([2.0, 1.5, 1.5], [4.0, 3.0, 2.5], fov=20, width=SIZE, height=SIZE)
    cameras = [away] * 5 + [good]
    images = [np.full((SIZE, SIZE, 3), 40 * i, np.uint8) for i in range(6)]
    posed(tmp_path, [replace(c, fov=good.fov) for c in cameras], images)
    views, _ = picture_views(room_cloud, tmp_path, 2, size=SIZE, style="photo")
    assert len(views) == 2 and 200 in views.images[:, 0, 0, 0]


def test_measured_depths_hide_what_the_scan_lacks(tmp_path):
    """Something stands before the left quarter of a wall, and is not in the scan."""
    share = np.random.default_rng(0).random((4000, 2))
    wall = PointCloud(np.stack([4 * share[:, 0], np.zeros(4000), 4 * share[:, 1]], axis=1))
    camera = Camera([2.0, -3.0, 2.0], [2.0, 0.0, 2.0], fov=60, width=SIZE, height=SIZE)
    depth = np.full((SIZE, SIZE), 3000)
    depth[:, : SIZE // 4] = 1500
    depth[:4] = 0  # not measured
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    for unit in (1.0, 100.0):
        root = posed(tmp_path / str(unit), [camera], [image], depths=[depth], unit=unit)
        views, _ = picture_views(wall.scaled(unit), root, 4, size=SIZE, style="photo")
        seen = views.point_index[0] >= 0
        assert not seen[4:, : SIZE // 4].any() and seen[4:, SIZE // 4 :].mean() > 0.95
        assert seen[:4].mean() > 0.9
    (root / "depth" / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"0\.png: missing"):
        picture_views(wall, root, 4, size=SIZE, style="photo")


def test_hidden_tokens_take_their_neighbours_feature(photo_clip, room_cloud, tmp_path):
    cameras = one_lens(room_cloud, 1)
    posed(tmp_path, cameras, draw(room_cloud, cameras).images)
    encoding = encode_views(photo_clip, room_cloud, grouping=Superpoints(200), images=tmp_path)
    assert any("seen by no view" in note for note in encoding.notes)
    np.testing.assert_allclose(np.linalg.norm(encoding.features, axis=1), 1, atol=1e-5)


@pytest.fixture
def folder(tmp_path):
    cameras = [Camera([i, 0.0, 0.0], [i, 1.0, 0.0], width=40, height=30) for i in range(11)]
    return posed(tmp_path, cameras, [np.zeros((30, 40, 3), np.uint8)] * 11)


def test_lost_poses_are_counted(folder, photo_clip, room_cloud):
    for number in (2, 10):
        matrix(folder / "pose" / f"{number}.txt", np.full((4, 4), -np.inf))
    taken, lost = photographs(folder, SIZE)
    assert lost == 2 and [p.image.stem for p in taken] == [str(i) for i in (0, 1, *range(3, 10))]
    np.testing.assert_allclose(taken[3].camera.position, [4, 0, 0])
    np.testing.assert_allclose(taken[3].camera.up, [0, 0, 1], atol=1e-12)
    encoding = encode_views(photo_clip, room_cloud, grouping=Superpoints(8), images=folder)
    assert "2 photographs without a finite pose were left out" in encoding.notes
    for number in range(11):
        matrix(folder / "pose" / f"{number}.txt", np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match="pose: none of 11 poses is finite"):
        photographs(folder, SIZE)


def test_frames_with_intrinsics_in_the_folder_itself(photo_clip, room_cloud, tmp_path, virtual):
    images = draw(room_cloud, virtual).images
    depths = np.full((len(images), SIZE, SIZE), 900)
    export = posed(tmp_path / "sens", virtual, images, depths=depths)
    frames = posed(tmp_path / "frames", virtual, images, depths=depths)
    for name in ("color", "depth"):
        old = frames / "intrinsic" / f"intrinsic_{name}.txt"
        old.rename(frames / f"intrinsics_{name}.txt")
    (frames / "intrinsic").rmdir()
    first, second = (encoded(photo_clip, room_cloud, images=f) for f in (export, frames))
    assert (first.features == second.features).all() and first.notes == second.notes
    (frames / "intrinsics_depth.txt").unlink()
    with pytest.raises(FileNotFoundError, match="intrinsic_depth"):
        encoded(photo_clip, room_cloud, images=frames)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("pose/3.txt", None, r"pose/3\.txt: missing"),
        ("pose/3.txt", b"1 2 x", r"pose/3\.txt: not a matrix of numbers"),
        ("pose/3.txt", b"1 2 3\n4 5 6\n", r"pose/3\.txt: expected 4 x 4 numbers"),
        ("pose/3.txt", b"2 0 0 0\n0 2 0 0\n0 0 2 0\n0 0 0 1\n", r"3\.txt: not a camera-to-world"),
        ("intrinsic/intrinsic_color.txt", None, r"intrinsic_color\.txt: missing"),
        ("intrinsic/intrinsic_color.txt", b"0 0 20\n0 9 15\n0 0 1\n", "positive focal lengths"),
        ("intrinsic/intrinsic_color.txt", b"90 0 640\n0 90 480\n0 0 1\n", "of another size"),
        ("color/0.png", b"", r"0\.png: not a readable picture"),
        ("color/4.png", b"\x89PNG\r\n\x1a\nhm", r"4\.png: not a readable picture"),
    ],
)
def test_bad_files_are_named(folder, room_cloud, file, content, message):
    path = folder / file
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        picture_views(room_cloud, folder, 20, size=SIZE, style="photo")


def test_pictures_of_two_sizes_and_no_pictures(folder, room_cloud, tmp_path):
    Image.new("RGB", (80, 60)).save(folder / "color" / "5.png")
    with pytest.raises(ValueError, match=r"5\.png: 80 x 60 pixels, the first picture has 40 x 30"):
        picture_views(room_cloud, folder, 20, size=SIZE, style="photo")
    for path in (folder / "color").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="no picture in it"):
        photographs(folder, SIZE)
    with pytest.raises(FileNotFoundError, match="color: no such folder"):
        photographs(tmp_path / "nowhere", SIZE)
