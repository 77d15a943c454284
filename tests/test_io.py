"""Reading and writing scans: what is kept, what is refused, and that no file is left half."""

import errno
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4token import io
from s4token.io import READERS, WRITERS, read, read_scan, write
from s4token.types import PointCloud, Segmentation

EXACT = ("ply", "pcd", "npz", "xyz", "txt", "csv")  # LAS rounds to a grid


def _cloud(n=20, seed=0, dtype: Any = np.float32, **fields):
    rng = np.random.default_rng(seed)
    return PointCloud(
        rng.standard_normal((n, 3)).astype(dtype),
        rng.integers(0, 256, (n, 3)).astype(np.float32) / np.float32(255),
        **fields,
    )


def _segmentation(n=20, classes=("chair", "Stühle 😀"), **changes):
    rng = np.random.default_rng(1)
    good = {
        "classes": classes,
        "labels": rng.integers(0, len(classes) + 1, n).astype(np.int32),
        "confidence": rng.random(n).astype(np.float32),
        "superpoints": rng.integers(0, 2**31 - 1, n).astype(np.int32),
        "scores": np.zeros((3, len(classes)), np.float32),
        "provenance": {"model": "small", "seed": np.int64(3), "vector": np.arange(2)},
    }
    return Segmentation(**{**good, **changes})


def _same(found, cloud):
    assert found.points.shape == cloud.points.shape
    np.testing.assert_array_equal(found.points.astype(cloud.points.dtype), cloud.points)
    for name in ("colors", "normals"):
        mine, its = getattr(cloud, name), getattr(found, name)
        assert (mine is None) == (its is None), name
        if mine is not None:
            np.testing.assert_array_equal(its, mine, err_msg=name)


# --- what is written comes back ---------------------------------------------------------------


@pytest.mark.parametrize("suffix", EXACT)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_written_comes_back(tmp_path, suffix, dtype):
    normals = np.tile(np.array([[0.6, 0, -0.8]], np.float32), (20, 1))
    cloud = _cloud(dtype=dtype, normals=normals, attributes={"time": np.arange(20) / 8})
    path = tmp_path / f"ä b.{suffix.upper()}"
    write(path, cloud)
    found = read(str(path))
    _same(found, cloud)
    assert suffix in ("xyz", "txt", "csv") or found.points.dtype == dtype
    np.testing.assert_array_equal(found.attributes["time"], np.arange(20) / 8)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["las", "laz"])
def test_las_comes_back_on_its_grid(tmp_path, suffix):
    cloud = _cloud(dtype=np.float64)
    write(tmp_path / f"a.{suffix}", cloud)
    found = read(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(found.points, cloud.points, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(found.colors, cloud.colors)


COORDINATE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.mark.parametrize("suffix", EXACT)
@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(*[COORDINATE] * 3, *[st.integers(0, 255)] * 3), min_size=1))
def test_every_bit_of_float32_comes_back(tmp_path_factory, suffix, rows):
    table = np.array(rows, dtype=np.float64)
    # Colours of 0 and 1 of 255 only would be read from a text as 0 .. 1.
    colors = np.vstack([[[255, 0, 0]], table[:, 3:]]) / 255
    points = np.vstack([[[0, 0, 0]], table[:, :3]]).astype(np.float32)
    cloud = PointCloud(points, colors.astype(np.float32))
    path = tmp_path_factory.getbasetemp() / f"bits.{suffix}"
    write(path, cloud)
    found = read(path)
    if found.offset.any():  # float64 text and hardly any extent
        assert suffix in ("xyz", "txt", "csv")
        np.testing.assert_allclose(found.points + found.offset, points, rtol=1e-6)
    else:
        _same(found, cloud)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("n", [1, 2])
def test_one_point_and_equal_points(tmp_path, suffix, n):
    cloud = PointCloud(np.full((n, 3), 0.5, np.float32))
    write(tmp_path / f"a.{suffix}", cloud, _segmentation(n))
    found = read(tmp_path / f"a.{suffix}")
    assert len(found) == n and found.colors is None
    np.testing.assert_array_equal(found.points + found.offset, cloud.points)


# --- coordinates ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITERS)
def test_an_offset_is_added_back(tmp_path, suffix):
    utm = np.array([449_123.25, 5_411_987.5, 312.125])
    points = np.random.default_rng(0).random((50, 3)) * [12, 30, 3] + utm
    first = tmp_path / f"a.{suffix}"
    write(first, PointCloud(points))
    cloud = read(first)
    assert cloud.points.dtype == np.float32
    np.testing.assert_allclose(cloud.points + cloud.offset, points, rtol=0, atol=4e-6)
    assert (cloud.offset % 10 == 0).all() and cloud.points.max() < 60
    second = tmp_path / f"b.{suffix}"
    write(second, cloud)
    again = read(second)
    np.testing.assert_array_equal(again.offset, cloud.offset)
    np.testing.assert_allclose(again.points, cloud.points, rtol=0, atol=4e-6)


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**-10, 1.0, 2.0**10, 2.0**60])
@pytest.mark.parametrize(("away", "needed"), [(0, False), (50, False), (200, True), (1e6, True)])
def test_the_need_of_an_offset_does_not_depend_on_the_unit(tmp_path, scale, away, needed):
    points = (np.random.default_rng(0).random((50, 3)) + away) * scale
    np.save(tmp_path / "a.npy", points)
    cloud = read(tmp_path / "a.npy")
    assert bool(cloud.offset.any()) is needed
    assert cloud.points.dtype == (np.float32 if needed else np.float64)
    error = np.abs(cloud.points.astype(np.float64) + cloud.offset - points).max()
    assert error <= 2e-6 * scale


def test_extreme_float64_coordinates_are_kept(tmp_path):
    for points in ([[1e300] * 3, [1.001e300] * 3], [[-1e308] * 3, [1e308] * 3], [[1e-310] * 3] * 2):
        np.save(tmp_path / "a.npy", np.array(points))
        cloud = read(tmp_path / "a.npy")
        np.testing.assert_array_equal(cloud.points + cloud.offset, points)


def test_float32_stays_as_it_is_however_far_away(tmp_path):
    points = np.random.default_rng(0).random((50, 3)).astype(np.float32) + np.float32(1e6)
    np.save(tmp_path / "a.npy", points)
    cloud = read(tmp_path / "a.npy")
    assert not cloud.offset.any()
    np.testing.assert_array_equal(cloud.points, points)


# --- colours ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "most"),
    [
        (np.array([0, 1, 1], np.uint8), 255),
        (np.array([0, 100, 255], np.uint8), 255),
        (np.array([0, 100, 255], np.int32), 255),
        (np.array([0, 100, 255], np.uint16), 255),  # 8 bits in a 16 bit field
        (np.array([0, 100, 65535], np.uint16), 65535),
        (np.array([0, 0.5, 1], np.float32), 1),
        (np.array([0, 0.25, 0.5], np.float64), 1),
        (np.array([0, 100, 255], np.float32), 255),
        (np.array([0, 0.5, 1.0000001], np.float32), 1),
    ],
)
def test_colours_of_any_type_become_0_to_1(tmp_path, stored, most):
    np.savez(tmp_path / "a.npz", points=np.eye(3), colors=np.tile(stored, (3, 1)))
    colors = read(tmp_path / "a.npz").colors
    assert colors is not None and colors.dtype == np.float32
    np.testing.assert_allclose(colors[0], stored.astype(np.float64) / most, atol=2e-7)


def test_plys_other_names_and_big_endian_attributes(tmp_path):
    names = ["X", "Y", "Z", "diffuse_red", "diffuse_green", "diffuse_blue", "alpha"]
    lines = [f"property float {n}" for n in names] + ["property int label"]
    head = ["ply", "format binary_big_endian 1.0", "element vertex 2", *lines, "end_header", ""]
    row = np.array([1, 2, 3, 0, 0.5, 1, 0.25], ">f4").tobytes() + (7).to_bytes(4, "big")
    (tmp_path / "a.ply").write_bytes("\n".join(head).encode() + row * 2)
    cloud = read(tmp_path / "a.ply")
    assert cloud.points[1].tolist() == [1, 2, 3] and cloud.points.dtype == np.float32
    assert cloud.colors is not None and cloud.colors[0].tolist() == [0, 0.5, 1]
    assert set(cloud.attributes) == {"alpha", "label"}
    assert cloud.attributes["label"].dtype == np.int32 and cloud.attributes["label"][0] == 7


@pytest.mark.parametrize("names", ["x,y,z,X,label,Label", "X,y,z,x,Label,label"])
def test_an_exact_spelling_wins(tmp_path, names):
    (tmp_path / "a.csv").write_text(f"{names}\n1,2,3,4,5,6\n0,0,0,0,0,0\n")
    scan = read_scan(tmp_path / "a.csv")
    row = dict(zip(names.split(","), range(1, 7), strict=True))
    assert scan.cloud.points[0].tolist() == [row["x"], 2, 3]
    assert scan.labels is not None and scan.labels[0] == row["label"]
    assert scan.cloud.attributes["X"][0] == row["X"]


# --- bad files --------------------------------------------------------------------------------

PLY = b"ply\nformat ascii 1.0\nelement vertex 2\n" + b"".join(
    b"property float %c\n" % c for c in b"xyz"
)
BAD_FILES = {
    "empty.ply": (b"", "the file is empty"),
    "magic.ply": (b"hello", "not a PLY"),
    "count.ply": (PLY.replace(b"2", b"999999999") + b"end_header\n1 2 3\n", "truncated"),
    "columns.ply": (PLY.replace(b" x", b" u") + b"end_header\n1 2 3\n4 5 6\n", "x, y, z.*holds u"),
    "nan.ply": (PLY + b"end_header\n1 2 3\n4 nan 6\n", "1 of 2 rows.*--drop-invalid"),
    "inf.xyz": (b"1 2 3\n4 inf 6\n-inf 1 nan\n", "2 of 3 rows.*--drop-invalid"),
    "color.ply": (
        PLY + b"".join(b"property float %s\n" % c for c in (b"red", b"green", b"blue"))
        + b"end_header\n1 2 3 0 0 nan\n4 5 6 0 0 1\n",
        "1 of 2 rows",
    ),
    "range.ply": (
        PLY + b"".join(b"property float %s\n" % c for c in (b"red", b"green", b"blue"))
        + b"end_header\n1 2 3 0 0 -1\n4 5 6 0 0 1\n",
        r"colors: expected values in \[0, 1\]",
    ),
    "bad.pcd": (b"hello\n", "no DATA"),
    "bad.las": (b"hello", "not a LAS or LAZ file"),
    "bad.laz": (b"LASF" + bytes(400), "not a readable LAS or LAZ"),
    "bad.npz": (b"hello", "not an NPZ"),
    "bad.npy": (b"hello", "not an NPY"),
    "bad.txt": (b"hello", "no line of three"),
    "bad.obj": (b"hello", "no triangles and no points"),
    "bad.glb": (b"hello", "not a readable GLB"),
    "cloud.docx": (b"hello", r"unknown suffix '\.docx'; known are ply, pcd, las, .*stl"),
    "cloud": (b"hello", "unknown suffix"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("reader", [read, read_scan])
def test_bad_files_get_one_line_that_names_them(tmp_path, name, reader):
    data, words = BAD_FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=words) as caught:
        reader(tmp_path / name)
    message = str(caught.value)
    assert message.startswith(f"{name}: ") and "\n" not in message and len(message) < 500
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("suffix", READERS)
@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=300))
def test_rubbish_is_refused_and_nothing_else_happens(tmp_path_factory, suffix, data):
    path = tmp_path_factory.getbasetemp() / f"rubbish.{suffix}"
    path.write_bytes(data)
    try:
        read(path)
    except ValueError as error:
        assert str(error).startswith(f"rubbish.{suffix}: ") and "\n" not in str(error)


@pytest.mark.parametrize("suffix", WRITERS)
@settings(max_examples=40, deadline=None)
@given(at=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_files_are_refused_or_read_whole(tmp_path_factory, suffix, at, byte, cut):
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
    write(path, _cloud(30))
    data = bytearray(path.read_bytes())
    where = min(int(at * len(data)), len(data) - 1)
    data[where] = byte
    path.write_bytes(data[:where] if cut else data)
    try:
        cloud = read(path)
    except ValueError as error:
        assert str(error).startswith(f"damaged.{suffix}: ") and "\n" not in str(error)
    else:
        assert len(cloud) == 30 or suffix in ("xyz", "txt", "csv", "ply", "pcd", "las", "laz")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.ply: no such file"):
        read(tmp_path / "no.ply")
    (tmp_path / "a.ply").mkdir()
    with pytest.raises(ValueError, match=r"a\.ply: is a folder"):
        read(tmp_path / "a.ply")


def test_drop_invalid_leaves_out_rows_and_says_so(tmp_path, caplog):
    path = tmp_path / "a.csv"
    path.write_text("x,y,z,label\n1,2,3,7\nnan,2,3,8\n4,5,6,nan\n7,8,inf,9\n")
    cloud = read(path, drop_invalid=True)
    assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert cloud.attributes["label"][0] == 7 and np.isnan(cloud.attributes["label"][1])
    assert caplog.messages == ["2 of 4 rows hold NaN or infinity were left out"]
    path.write_text("x,y,z,r,g,b\n1,2,3,nan,0,0\n4,5,6,0,0,0\n7,8,9,0,0,0\n")
    assert read(path, drop_invalid=True).points.tolist() == [[4, 5, 6], [7, 8, 9]]
    path.write_text("x,y,z\nnan,nan,nan\n")
    with pytest.raises(ValueError, match="nothing is left"):
        read(path, drop_invalid=True)


def test_normals_that_are_not_finite_are_left_out(tmp_path, caplog):
    path = tmp_path / "a.csv"
    path.write_text("x,y,z,nx,ny,nz\n1,2,3,0,0,1\n4,5,6,nan,nan,nan\n")
    assert read(path).normals is None
    assert "normals" in caplog.text


# --- labelled scans ---------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("with_json", [True, False])
def test_a_segmentation_comes_back_as_labels(tmp_path, suffix, with_json):
    result = _segmentation()
    write(tmp_path / f"a.{suffix}", _cloud(), result)
    if not with_json:
        (tmp_path / "a.json").unlink()
    scan = read_scan(tmp_path / f"a.{suffix}")
    assert scan.name == "a" and scan.labels is not None and scan.instances is None
    np.testing.assert_array_equal(scan.labels, result.labels)
    named = with_json or suffix in ("ply", "npz", "las", "laz")
    assert scan.classes == (result.classes if named else ("class 1", "class 2"))
    np.testing.assert_array_equal(scan.cloud.attributes["superpoint"], result.superpoints)
    np.testing.assert_array_equal(
        scan.cloud.attributes["confidence"].astype(np.float32), result.confidence
    )


def test_a_scan_without_labels(tmp_path):
    write(tmp_path / "a.ply", _cloud(attributes={"scalar_instance": np.arange(20) - 1.0}))
    scan = read_scan(tmp_path / "a.ply")
    assert scan.labels is None and scan.classes == () and scan.instances is not None
    assert scan.instances.tolist() == [0, *range(19)]


@pytest.mark.parametrize(
    ("legend", "classes"),
    [
        ({"labels": {"1": "a", "2": "b"}}, ("a", "b", "class 3")),
        ({"labels": {"4": "d", "0": "none"}}, ("class 1", "class 2", "class 3", "d")),
        ({"other": 1}, ("class 1", "class 2", "class 3")),
        ([1, 2], ("class 1", "class 2", "class 3")),
    ],
)
def test_class_names_beside_the_file(tmp_path, legend, classes):
    (tmp_path / "a.csv").write_text("x,y,z,scalar_label\n1,2,3,3\n4,5,6,nan\n7,8,9,-1\n")
    (tmp_path / "a.json").write_text(json.dumps(legend))
    scan = read_scan(tmp_path / "a.csv")
    assert scan.classes == classes and scan.labels is not None
    assert scan.labels.tolist() == [3, 0, 0]


BAD_LABELS = {
    "fraction": ("1.5", None, r"a\.csv: label: expected whole"),
    "huge": ("3000000000", None, r"a\.csv: label: expected whole"),
    "ids": ("70000", None, r"a\.csv: label: expected class numbers.*70,000"),
    "json": ("1", "{", r"a\.json: cannot be read"),
    "json keys": ("1", '{"labels": {"chair": 1}}', r'a\.json: labels: .* {"1": "name", '),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels(tmp_path, case):
    label, legend, words = BAD_LABELS[case]
    (tmp_path / "a.csv").write_text(f"x,y,z,label\n1,2,3,{label}\n")
    if legend is not None:
        (tmp_path / "a.json").write_text(legend)
    with pytest.raises(ValueError, match=words):
        read_scan(tmp_path / "a.csv")


# --- what is written --------------------------------------------------------------------------


def test_the_legend_beside_the_file(tmp_path):
    result = _segmentation()
    write(tmp_path / "a.ply", _cloud(), result)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Stühle 😀" in text
    legend = json.loads(text)
    assert list(legend) == ["labels", "counts", "points", "provenance"]
    assert legend["labels"] == {"1": "chair", "2": "Stühle 😀"}
    counts = np.bincount(result.labels, minlength=3).tolist()
    assert legend["counts"] == dict(zip(["unlabelled", "chair", "Stühle 😀"], counts, strict=True))
    assert legend["points"] == 20
    assert legend["provenance"] == {"model": "small", "seed": 3, "vector": [0, 1]}


def _header(path):
    lines = path.read_bytes().split(b"end_header")[0].decode("ascii").splitlines()
    return [line.removeprefix("property ") for line in lines if line.startswith("property")]


SOURCE = {"label": np.arange(20), "intensity": np.ones(20, np.uint16), "ä b": np.ones((20, 2))}


SMALL = np.arange(20, dtype=np.int32)
SOURCE_COLUMNS = ["ushort intensity", "double _b_0", "double _b_1"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ["int label"]),
        (
            {"segmentation": _segmentation()},
            ["int label", "int superpoint", "float confidence"],
        ),
        ({"superpoints": np.arange(20)}, ["int superpoint", "int label"]),
        (
            {"segmentation": _segmentation(superpoints=SMALL), "preset": "cloudcompare"},
            ["float scalar_label", "float scalar_superpoint", "float scalar_confidence"],
        ),
    ],
)
def test_columns_of_a_written_ply(tmp_path, arguments, expected):
    write(tmp_path / "a.ply", _cloud(normals=np.ones((20, 3)), attributes=SOURCE), **arguments)
    start = [f"float {n}" for n in ("x", "y", "z", "nx", "ny", "nz")]
    start += [f"uchar {n}" for n in ("red", "green", "blue")]
    assert _header(tmp_path / "a.ply") == start + expected + SOURCE_COLUMNS
    found = read(tmp_path / "a.ply").attributes
    if "segmentation" in arguments:
        name = expected[0].split()[1]
        np.testing.assert_array_equal(found[name], arguments["segmentation"].labels)
    else:
        np.testing.assert_array_equal(found["label"], SOURCE["label"])
    if "superpoints" in arguments:
        np.testing.assert_array_equal(found["superpoint"], np.arange(20))


@pytest.mark.parametrize("suffix", WRITERS)
def test_attributes_of_every_type(tmp_path, suffix, caplog):
    attributes = {
        "big": np.arange(20) + 2**40,
        "small": np.arange(20),
        "yes": np.arange(20) % 2 == 0,
        "half": np.arange(20).astype(np.float16),
        "ids": np.arange(20).astype(np.uint8),
        "file": np.arange(20).astype(np.int16),
        "names": np.full(20, "chair"),
    }
    write(tmp_path / f"a.{suffix}", _cloud(attributes=attributes))
    found = read(tmp_path / f"a.{suffix}").attributes
    for name, values in attributes.items():
        if name != "names":
            np.testing.assert_array_equal(found[name].astype(values.dtype), values)
    assert "names" not in found
    assert caplog.messages == ["attribute 'names' holds no numbers and was left out"]


OTHER_PRESET: Any = "meshlab"
BAD_WRITES = {
    "suffix": (lambda p: write(p / "a.docx", _cloud()), r"a\.docx: unknown suffix.*ply, pcd"),
    "mesh": (lambda p: write(p / "a.obj", _cloud()), r"a\.obj: unknown suffix"),
    "no folder": (lambda p: write(p / "no" / "a.ply", _cloud()), "does not exist; make it"),
    "folder": (lambda p: write(p / "folder.ply", _cloud()), "is a folder"),
    "legend": (lambda p: write(p / "legend.ply", _cloud(), _segmentation()), "json: is a folder"),
    "rows": (lambda p: write(p / "a.ply", _cloud(9), _segmentation()), "label: expected 9"),
    "superpoints": (
        lambda p: write(p / "a.ply", _cloud(), superpoints=np.zeros(3)),
        "superpoint: expected 20 values",
    ),
    "preset": (lambda p: write(p / "a.ply", _cloud(), preset=OTHER_PRESET), "preset: expected"),
    "preset numbers": (
        lambda p: write(p / "a.ply", _cloud(), _segmentation(), preset="cloudcompare"),
        "superpoint: the preset 'cloudcompare' holds numbers up to 16,777,216",
    ),
    "preset suffix": (
        lambda p: write(p / "a.las", _cloud(), preset="cloudcompare"),
        r"a\.las: the preset 'cloudcompare' is for \.ply",
    ),
}


@pytest.mark.parametrize("case", BAD_WRITES)
def test_bad_writes_leave_nothing(tmp_path, case):
    (tmp_path / "folder.ply").mkdir()
    (tmp_path / "legend.json").mkdir()
    act, words = BAD_WRITES[case]
    with pytest.raises(ValueError, match=words):
        act(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.ply", "legend.json"]


FULL_DISK = """
import resource, signal, sys
import numpy as np
from s4token.io import write
from s4token.types import PointCloud, Segmentation
n = 20_000
points = np.random.default_rng(0).random((n, 3))
zeros = np.zeros(n, np.int32)
result = Segmentation(("x",), zeros, zeros.astype(np.float32), zeros, np.zeros((1, 1)))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
for path in sys.argv[1:]:
    try:
        write(path, PointCloud(points), result)
    except ValueError as error:
        print(error)
"""


def test_a_full_disk_leaves_the_old_files_and_no_draft(tmp_path):
    paths = [tmp_path / f"a.{suffix}" for suffix in WRITERS]
    for path in [*paths, tmp_path / "a.json"]:
        path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths)
    for path, line in zip(paths, lines, strict=True):
        assert line.startswith(f"{path}: cannot be written (") and "unchanged" in line
        assert path.read_bytes() == b"old"
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == sorted([*paths, tmp_path / "a.json"])


def test_a_failure_after_the_first_file_keeps_both_old_ones(tmp_path, monkeypatch):
    write(tmp_path / "a.ply", _cloud(), _segmentation())
    old = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(io, "legend_text", full)
    with pytest.raises(ValueError, match=r"a\.ply: cannot be written \(No space left on device\)"):
        write(tmp_path / "a.ply", _cloud(seed=5), _segmentation())
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == old


def test_an_interrupt_leaves_no_draft(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(io, "legend_text", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.ply", _cloud(), _segmentation())
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "a.ply").write_bytes(b"old")
    (tmp_path / "link.ply").symlink_to(tmp_path / "a.ply")
    write(tmp_path / "link.ply", _cloud())
    assert (tmp_path / "link.ply").is_symlink()
    _same(read(tmp_path / "a.ply"), _cloud())


def test_long_and_many_prompts(tmp_path):
    classes = ("x" * 10_000, "line\nbreak", *(f"prompt {i} 椅子" for i in range(300)))
    result = _segmentation(classes=classes)
    write(tmp_path / "a.ply", _cloud(), result)
    assert read_scan(tmp_path / "a.ply").classes == classes
    (tmp_path / "a.json").unlink()
    assert read_scan(tmp_path / "a.ply").classes == classes
