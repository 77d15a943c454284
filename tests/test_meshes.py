"""Meshes: where the samples lie, what colour they have, which way is up."""

import json
import logging

import numpy as np
import pytest
import trimesh
from PIL import Image
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial

from s4token.meshes import SAMPLES, read_mesh

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
UV = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
TEXELS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], dtype=np.uint8)
GREY = 0.8


def _points(columns):
    return np.stack([columns[n] for n in "xyz"], axis=1)


def _colors(columns):
    return np.stack([columns[n] for n in ("red", "green", "blue")], axis=1)


def _textured_square(folder):
    Image.fromarray(TEXELS).save(folder / "t.png")
    (folder / "a.mtl").write_text("newmtl m\nKd 0.1 0.1 0.1\nmap_Kd t.png\n")
    text = f"mtllib a.mtl\n{SQUARE}{UV}usemtl m\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
    (folder / "a.obj").write_text(text)
    return folder / "a.obj"


def test_samples_lie_on_the_surface_in_proportion_to_the_area(tmp_path):
    # Two squares, one of four times the area, at other heights.
    big = SQUARE.replace("1", "2").replace(" 0\n", " 5\n")
    (tmp_path / "a.obj").write_text(f"{SQUARE}{big}f 1 2 3\nf 1 3 4\nf 5 6 7\nf 5 7 8\n")
    points = _points(read_mesh(tmp_path / "a.obj"))
    assert len(points) == SAMPLES
    low, high = points[points[:, 2] == 0], points[points[:, 2] == 5]
    assert len(low) + len(high) == SAMPLES
    assert abs(len(high) / len(low) - 4) < 0.01
    for part, size in ((low, 1), (high, 2)):
        assert part[:, :2].min() >= 0 and part[:, :2].max() <= size
        counts = np.histogram2d(*part[:, :2].T, bins=8, range=[[0, size]] * 2)[0]
        assert counts.std() < 3 * np.sqrt(counts.mean())  # even, as for random samples


def test_reading_twice_gives_the_same_points_and_says_so(tmp_path, caplog):
    path = _textured_square(tmp_path)
    with caplog.at_level(logging.WARNING, logger="s4token.io"):
        first, second = read_mesh(path), read_mesh(path)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])
    assert caplog.messages == ["a.obj: mesh: 200,000 points sampled on 2 triangles"] * 2


def test_a_texture_is_looked_up_where_the_sample_lies(tmp_path):
    columns = read_mesh(_textured_square(tmp_path), samples=5000)
    points = _points(columns)
    column, row = (points[:, 0] >= 0.5).astype(int), (points[:, 1] < 0.5).astype(int)
    np.testing.assert_array_equal(_colors(columns), TEXELS[row, column] / 255)


def test_texture_coordinates_outside_repeat(tmp_path):
    path = _textured_square(tmp_path)
    path.write_text(path.read_text().replace(UV, "vt -1 -1\nvt 3 -1\nvt 3 3\nvt -1 3\n"))
    columns = read_mesh(path, samples=5000)
    u, v = (_points(columns)[:, :2].T * 4 - 1) % 1
    np.testing.assert_array_equal(
        _colors(columns), TEXELS[(v < 0.5).astype(int), (u >= 0.5).astype(int)] / 255
    )


def test_material_colours_and_grey_for_the_rest(tmp_path):
    (tmp_path / "a.mtl").write_text("newmtl m\nKd 0.2 0.4 0.6\n")
    (tmp_path / "a.obj").write_text(f"mtllib a.mtl\n{SQUARE}usemtl m\nf 1 2 3\n")
    colors = _colors(read_mesh(tmp_path / "a.obj", samples=10))
    np.testing.assert_allclose(colors, np.tile([0.2, 0.4, 0.6], (10, 1)), atol=1e-9)
    plain, red = trimesh.creation.box(), trimesh.creation.box()
    red.visual = ColorVisuals(red, vertex_colors=[255, 0, 0, 255])
    red.apply_translation([0, 9, 0])
    (tmp_path / "a.glb").write_bytes(trimesh.Scene([plain, red]).export(file_type="glb"))
    columns = read_mesh(tmp_path / "a.glb", samples=1000)
    is_red = columns["z"] > 5
    assert is_red.sum() == 500
    np.testing.assert_allclose(_colors(columns)[is_red], np.tile([1, 0, 0], (500, 1)), atol=1e-6)
    assert (_colors(columns)[~is_red] == GREY).all()


def test_no_colours_at_all(tmp_path):
    (tmp_path / "a.obj").write_text(f"{SQUARE}f 1 2 3\n")
    assert list(read_mesh(tmp_path / "a.obj", samples=10)) == ["x", "y", "z"]


def test_vertex_colours_are_mixed_by_barycentric_weight(tmp_path):
    lines = "v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 1\nf 1 2 3\n"
    (tmp_path / "a.obj").write_text(lines)
    columns = read_mesh(tmp_path / "a.obj", samples=100)
    x, y = columns["x"], columns["y"]
    np.testing.assert_allclose(_colors(columns), np.stack([1 - x - y, x, y], 1), atol=1e-6)


def _glb(folder, **material):
    box = trimesh.creation.box(extents=(1, 2, 4))
    kind = PBRMaterial(**material)
    uv = np.full((len(box.vertices), 2), 0.25)
    box.visual = TextureVisuals(uv=uv, material=kind)
    scene = trimesh.Scene()
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix([0, 10, 0]))
    (folder / "a.glb").write_bytes(scene.export(file_type="glb"))
    return folder / "a.glb"


def test_gltf_is_turned_from_y_up_to_z_up_with_its_pose(tmp_path):
    points = _points(read_mesh(_glb(tmp_path, baseColorFactor=[255, 0, 0, 255])))
    np.testing.assert_allclose(points.min(axis=0), [-0.5, -2, 9], atol=1e-2)
    np.testing.assert_allclose(points.max(axis=0), [0.5, 2, 11], atol=1e-2)


def test_gltf_turn_keeps_the_hand(tmp_path):
    cloud = trimesh.PointCloud(np.eye(3), colors=np.full((3, 4), 255, np.uint8))
    (tmp_path / "a.glb").write_bytes(trimesh.Scene([cloud]).export(file_type="glb"))
    points = _points(read_mesh(tmp_path / "a.glb"))
    np.testing.assert_array_equal(points, [[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    assert np.linalg.det(points) == 1


def test_gltf_factors_are_linear_light(tmp_path):
    colors = _colors(read_mesh(_glb(tmp_path, baseColorFactor=[128, 0, 255, 255]), samples=10))
    np.testing.assert_allclose(colors[0], [0.7372, 0, 1], atol=1e-3)  # sRGB of 128 / 255
    texture = Image.fromarray(np.full((2, 2, 3), (100, 200, 50), np.uint8))
    path = _glb(tmp_path, baseColorFactor=[255, 255, 255, 255], baseColorTexture=texture)
    np.testing.assert_allclose(
        _colors(read_mesh(path, samples=10))[0], np.array([100, 200, 50]) / 255, atol=1e-9
    )
    path = _glb(tmp_path, baseColorFactor=[0, 255, 0, 255], baseColorTexture=texture)
    np.testing.assert_allclose(_colors(read_mesh(path, samples=10))[0], [0, 200 / 255, 0])


def test_a_mesh_without_faces_gives_its_points(tmp_path, caplog):
    (tmp_path / "a.obj").write_text("v 0 0 0 1 0 0\nv 1 2 3 0 1 0\nv 4 5 6 0 0 1\n")
    columns = read_mesh(tmp_path / "a.obj")
    np.testing.assert_array_equal(_points(columns), [[0, 0, 0], [1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(_colors(columns), np.eye(3))
    assert not caplog.messages


STL = bytes(trimesh.creation.box().export(file_type="stl"))  # pyright: ignore
GLB = bytes(trimesh.creation.box().export(file_type="glb"))  # pyright: ignore
BAD = {
    "words.obj": (b"not a mesh at all\n", "no triangles and no points"),
    "words.stl": (b"not a mesh at all\n" * 20, "no triangles|not a readable STL"),
    "words.glb": (b"not a mesh at all\n" * 20, "not a readable GLB mesh"),
    "words.gltf": (b"not a mesh", "not a readable GLTF mesh"),
    "json.gltf": (json.dumps({"a": 1}).encode(), "no triangles"),
    "outside.gltf": (
        json.dumps({"buffers": [{"uri": "../../etc/passwd", "byteLength": 9}]}).encode(),
        "not a readable GLTF mesh",
    ),
    "solid.stl": (b"solid\n", "no triangles|not a readable STL"),
    "flat.obj": (b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "no area"),
    "nan.obj": (b"v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "NaN or infinite; repair"),
    "index.obj": (b"v 0 0 0\nf 1 2 3\n", "mesh|no triangles|no area"),
    "count.stl": (b" " * 80 + (2**31).to_bytes(4, "little") + bytes(100), "STL"),
    "cut.stl": (STL[:300], "STL"),
    "cut.glb": (GLB[:600], "not a readable GLB"),
}


@pytest.mark.parametrize("name", BAD)
def test_refuses(tmp_path, name):
    data, words = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=words):
        read_mesh(tmp_path / name)
