"""Text and NumPy files: what columns mean when nobody says so."""

import zipfile

import numpy as np
import pytest

from s4token.tables import (
    name_columns,
    npz_about,
    read_npy,
    read_npz,
    read_text,
    write_npz,
    write_text,
)

XYZ = np.array([[0.5, -1.25, 3], [1e-3, 2, -7.5], [0.25, 0, 1e5]])
RGB = np.array([[255, 0, 7], [1, 128, 2], [9, 8, 0]])
UNIT = np.array([[0, 0, 1.0], [0.6, 0, -0.8], [-1, 0, 0]])
COLORED = np.hstack([XYZ, RGB])


def _lines(table, delimiter=" ", decimal="."):
    rows = (delimiter.join(f"{v:g}" for v in row).replace(".", decimal) for row in table)
    return "\n".join(rows) + "\n"


TEXTS = {
    "blanks": _lines(COLORED),
    "many blanks": _lines(COLORED, "   ").replace("\n", "  \n  "),
    "tabs": _lines(COLORED, "\t"),
    "commas": _lines(COLORED, ","),
    "commas and blanks": _lines(COLORED, ", "),
    "semicolons": _lines(COLORED, ";"),
    "semicolons, decimal commas": _lines(COLORED, ";", ","),
    "blanks, decimal commas": _lines(COLORED, " ", ","),
    "comma at the end": _lines(COLORED, ",").replace("\n", ",\n"),
    "carriage returns": _lines(COLORED).replace("\n", "\r\n"),
    "no last line end": _lines(COLORED)[:-1],
    "empty lines": "\n\n" + _lines(COLORED).replace("\n", "\n\n"),
    "comments": "# made by hand\n# in 3 parts\n" + _lines(COLORED),
    "header": "x,y,z,red,green,blue\n" + _lines(COLORED, ","),
    "header, quoted": '"X";"Y";"Z";"Red";"Green";"Blue"\n' + _lines(COLORED, ";"),
    "header, commented": "# x y z red green blue\n" + _lines(COLORED),
    "header, other order": "red green blue z y x\n" + _lines(COLORED[:, [3, 4, 5, 2, 1, 0]]),
    "count line": "3\n" + _lines(COLORED),
    "comments behind": _lines(COLORED).replace("\n", " # p, 1.5\n# q\n"),
    "quoted": '"' + _lines(COLORED, '","').replace("\n", '"\n"').removesuffix('"'),
    "quoted, decimal commas": '"'
    + _lines(COLORED, '","', ";").replace("\n", '"\n"').replace(";", ",").removesuffix('"'),
    "byte order mark": "\ufeff" + _lines(COLORED),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text_dialects(tmp_path, case):
    (tmp_path / "a.txt").write_bytes(TEXTS[case].encode("utf-8"))
    columns = read_text(tmp_path / "a.txt")
    assert set(columns) == {"x", "y", "z", "red", "green", "blue"}
    np.testing.assert_array_equal(np.stack([columns[n] for n in "xyz"], 1), XYZ)
    np.testing.assert_array_equal(np.stack([columns[n] for n in ("red", "green", "blue")], 1), RGB)


@pytest.mark.parametrize("mark", [";", " ", "\t"])
def test_decimal_commas_after_whole_numbers(tmp_path, mark):
    (tmp_path / "a.txt").write_text(_lines([[0, 0, 0], [1.5, 2.5, -3e-5]], mark, ","))
    assert read_text(tmp_path / "a.txt")["z"].tolist() == [0, -3e-5]
    (tmp_path / "a.txt").write_text(_lines([[0, 0, 0.5]], mark) + mark.join(["1,500", "2", "3"]))
    with pytest.raises(ValueError, match="1,500"):  # thousands?
        read_text(tmp_path / "a.txt")


def test_text_of_other_encodings_and_headers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("größe\n1 2 3\n".encode("utf-16"))
    assert read_text(path)["z"].tolist() == [3]
    path.write_bytes(b"//X Y Z R G B Scalar_field\n1 2 3 4 5 6 7\n")  # CloudCompare's
    assert list(read_text(path)) == ["x", "y", "z", "r", "g", "b", "scalar_field"]
    path.write_bytes(b"1 2 nan\n4 5 6\n")
    assert np.isnan(read_text(path)["z"][0])


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        (np.zeros((3, 0)), ()),
        (RGB, ("red", "green", "blue")),
        (RGB / 255, ("red", "green", "blue")),
        (RGB * 257, ("red", "green", "blue")),
        (np.eye(3), ("red", "green", "blue")),  # whole numbers of length 1: pure colours
        (UNIT, ("nx", "ny", "nz")),
        (np.abs(UNIT), ("nx", "ny", "nz")),
        (np.hstack([RGB, UNIT]), ("red", "green", "blue", "nx", "ny", "nz")),
        (np.hstack([UNIT, RGB]), ("nx", "ny", "nz", "red", "green", "blue")),
        (np.hstack([np.eye(3), RGB]), ("nx", "ny", "nz", "red", "green", "blue")),
        (np.hstack([np.eye(3), np.abs(UNIT)]), ("red", "green", "blue", "nx", "ny", "nz")),
        (np.hstack([RGB, [[1], [0], [4]]]), ("red", "green", "blue", "column_7")),
        (np.hstack([UNIT, [[1], [0], [4]]]), ("nx", "ny", "nz", "column_7")),
        (RGB[:, :1], ("column_4",)),
        (RGB[:, :2], ("column_4", "column_5")),
        (-RGB, ("column_4", "column_5", "column_6")),
        (RGB + 0.5, ("column_4", "column_5", "column_6")),
        (RGB * 1000, ("column_4", "column_5", "column_6")),
        (np.where(RGB == 7, np.nan, RGB), ("column_4", "column_5", "column_6")),
    ],
)
def test_meaning_of_nameless_columns(extra, names):
    table = np.hstack([XYZ, extra])
    columns = name_columns(table)
    assert tuple(columns) == ("x", "y", "z", *names)
    for i, values in enumerate(columns.values()):
        np.testing.assert_array_equal(values, table[:, i])


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (3, ["x", "y", "z"]),
        (4, ["x", "y", "z", "intensity"]),
        (6, ["x", "y", "z", "red", "green", "blue"]),
        (7, ["x", "y", "z", "intensity", "red", "green", "blue"]),
    ],
)
def test_pts_has_the_intensity_before_the_colours(tmp_path, width, names):
    table = np.hstack([XYZ, [[-5], [100], [7]], RGB]) if width != 6 else COLORED
    (tmp_path / "a.pts").write_text("3\n" + _lines(table[:, :width]))
    assert list(read_text(tmp_path / "a.pts")) == names


HEADERS = {
    "comment below": ("x,y,z,a\n# metres\n", "x,y,z,a"),
    "count below": ("z,y,x,a\n1\n", "z,y,x,a"),
    "surveyors'": ("Northing,Easting,a,Height\n", "y,x,a,z"),
    "surveyors', with z": ("x,y,height,z\n", "x,y,height,z"),
    "two heights": ("easting,northing,elevation,altitude\n", "x,y,z,altitude"),
    "units": ("a,Y [m],X (m),Z [m]\n", "a,y,x,z"),
    "units, by blanks": ("# a Y [m] X [m] Z [m]\n", "a,y,x,z"),
    "no units": ("Z;Y;n[0];n[1];X\n", "z,y,n[0],n[1],x"),
    "names of two words": ("point id;Z;Y;X\n", "point id,z,y,x"),
    "an index without a name": (",x,y,z\n", "column_1,x,y,z"),
    "an index without a name, by tabs": ("\tx\ty\tz\n", "column_1,x,y,z"),
    "repeated in small letters": ("Y,X,Z,z\n", "y,x,Z,z"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers(tmp_path, caplog, case):
    header, names = HEADERS[case]
    mark = next((c for c in ";\t" if c in header), " " if case.endswith("blanks") else ",")
    (tmp_path / "a.csv").write_text(header + mark.join("12345"[: len(names.split(","))]) + "\n")
    columns = read_text(tmp_path / "a.csv")
    assert [v[0] for v in columns.values()] == [1, 2, 3, 4, 5][: len(columns)]
    assert ",".join(columns) == names
    assert not caplog.records


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("lon,lat,h,label\n", "a.csv: the columns lon, lat, h, label were read by position"),
        ("x,y,z,z\n", "x, y, z, z were read by position"),
        ("# four words of comment\n", None),
        ("1,2,x,5\n", None),
        ("a title\n", None),
    ],
)
def test_says_that_columns_were_read_by_position(tmp_path, caplog, header, said):
    (tmp_path / "a.csv").write_text(header + "1,2,3,400\n")
    assert list(read_text(tmp_path / "a.csv")) == ["x", "y", "z", "column_4"]
    assert said in caplog.text if said else not caplog.records


BAD_TEXT = {
    "words": (b"there are\nno numbers here\n", "no line of three or more numbers"),
    "two columns": (b"1 2\n3 4\n", "no line of three"),
    "blank": (b" \n \n", "no line of three"),
    "binary": (b"1 2 3\n\0\0\0", "is not text"),
    "ragged": (b"1 2 3\n4 5\n", "number of columns"),
    "word within": (b"1 2 3\n4 chair 6\n", "'chair'"),
    "count line": (b"5\n1 2 3\n4 5 6\n", "promises 5 points, 2 follow"),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_refuses_text(tmp_path, case):
    data, words = BAD_TEXT[case]
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(ValueError, match=words):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize("suffix", ["xyz", "csv"])
def test_text_brings_every_bit_back(tmp_path, suffix):
    rng = np.random.default_rng(0)
    columns = {
        "x": rng.standard_normal(50).astype(np.float32),
        "y": rng.standard_normal(50) * 1e7,
        "z": rng.standard_normal(50).astype(np.float32) * np.float32(1e-20),
        "label": rng.integers(-(2**31), 2**31, 50).astype(np.int32),
    }
    write_text(tmp_path / f"a.{suffix}", columns, {})
    found = read_text(tmp_path / f"a.{suffix}")
    assert list(found) == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(found[name].astype(values.dtype), values)


@pytest.mark.parametrize("width", [3, 6, 8])
def test_npy(tmp_path, width):
    table = np.hstack([COLORED, [[1, 2], [3, 4], [5, 6]]])[:, :width].astype(np.float32)
    np.save(tmp_path / "a.npy", table)
    columns = read_npy(tmp_path / "a.npy")
    full = ["x", "y", "z", "red", "green", "blue", "column_7", "column_8"]
    assert list(columns) == full[:width]
    assert columns["x"].dtype == np.float32
    np.testing.assert_array_equal(np.stack(list(columns.values()), 1), table)


def test_npy_of_named_fields(tmp_path):
    rows = np.zeros(4, dtype=[("x", "f8"), ("y", "f8"), ("z", "f8"), ("v", "f4", 2), ("l", "u1")])
    np.save(tmp_path / "a.npy", rows)
    assert list(read_npy(tmp_path / "a.npy")) == ["x", "y", "z", "l"]


def _npy(shape, dtype="<f4", body=b""):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode() + body


BAD_NPY = {
    "magic": (b"hello, world", "not an NPY"),
    "header cut": (_npy((3, 3))[:40], "EOF"),
    "one axis": (_npy((3,), body=bytes(12)), "expected a table"),
    "two columns": (_npy((3, 2), body=bytes(24)), "expected a table"),
    "truncated": (_npy((3, 3), body=bytes(35)), "promises.*truncated"),
    "count": (_npy((10**12, 3), body=bytes(36)), "promises.*truncated"),
    "overflow": (_npy((2**40, 2**40), body=bytes(36)), "promises.*truncated"),
    "objects": (_npy((3, 3), "|O", body=bytes(72)), "Python objects"),
}


@pytest.mark.parametrize("case", BAD_NPY)
def test_refuses_npy(tmp_path, case):
    data, words = BAD_NPY[case]
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(ValueError, match=words):
        read_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("points", ["points", "xyz", "coords"])
@pytest.mark.parametrize("colors", ["colors", "rgb"])
def test_npz_spellings(tmp_path, points, colors):
    arrays = {points: XYZ, colors: RGB.astype(np.uint8), "normals": UNIT, "time": np.arange(3)}
    np.savez(tmp_path / "a.npz", **arrays, licence=np.array("MIT"), table=np.zeros((3, 9)))
    columns = read_npz(tmp_path / "a.npz")
    assert list(columns) == ["x", "y", "z", "red", "green", "blue", "nx", "ny", "nz", "time"]
    np.testing.assert_array_equal(columns["green"], RGB[:, 1])
    assert npz_about(tmp_path / "a.npz") == {}


@pytest.mark.parametrize(
    ("names", "index", "labels", "classes"),
    [
        (["a", "b"], [0, 1, 0], [1, 2, 1], {1: "a", 2: "b"}),
        (["a", "b"], [-1, -100, 1], [0, 0, 2], {1: "a", 2: "b"}),
        (["unlabelled", "a", "b"], [0, 1, 2], [0, 1, 2], {1: "a", 2: "b"}),
        (["a", "Unlabeled", "b"], [0, 1, 2], [1, 0, 2], {1: "a", 2: "b"}),
        ([], [-1, -1, -1], [0, 0, 0], {}),
    ],
)
def test_npz_labels_count_from_zero_and_ours_from_one(tmp_path, names, index, labels, classes):
    np.savez(
        tmp_path / "a.npz", points=XYZ, label=np.array(index), names=np.array(names, dtype=np.str_)
    )
    assert read_npz(tmp_path / "a.npz")["label"].tolist() == labels
    about = npz_about(tmp_path / "a.npz")
    assert {int(i): name for i, name in about.get("labels", {}).items()} == classes


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"instance_model": np.array(["m", "n"])}, [1, 2, 0]),  # 0 is the first model
        ({}, [1, 2, 0]),  # a negative one says that counting begins at 0
    ],
)
def test_npz_instances(tmp_path, extra, expected):
    truth = {"label": np.zeros(3, int), "names": np.array(["a"])}
    np.savez(tmp_path / "a.npz", points=XYZ, instance=np.array([0, 1, -1]), **truth, **extra)
    assert read_npz(tmp_path / "a.npz")["instance"].tolist() == expected
    np.savez(tmp_path / "a.npz", points=XYZ, instance=np.array([0, 1, 2]), **truth)
    assert read_npz(tmp_path / "a.npz")["instance"].tolist() == [0, 1, 2]


BAD_NPZ = {
    "no points": ({"data": XYZ}, "no array 'points'.*it holds data"),
    "flat points": ({"points": XYZ.ravel()}, "expected a table"),
    "colour rows": ({"points": XYZ, "colors": RGB[:2]}, "colors: expected"),
    "colour columns": ({"points": XYZ, "colors": RGB[:, :2]}, "colors: expected"),
    "normal rows": ({"points": XYZ, "normals": UNIT[:2]}, "normals: expected"),
    "label": ({"points": XYZ, "label": np.array([0, 1, 2]), "names": np.array(["a"])}, "label"),
    "label type": ({"points": XYZ, "label": np.zeros(3), "names": np.array(["a"])}, "label"),
    "objects": ({"points": np.array([None] * 3)}, "array 'points' holds Python objects"),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_refuses_npz(tmp_path, case):
    arrays, words = BAD_NPZ[case]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=words):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("shape", [(4, 3), (10**12, 3)])
def test_refuses_a_member_that_promises_more_than_it_has(tmp_path, shape):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("points.npy", _npy(shape, body=bytes(36)))
    with pytest.raises(ValueError, match=r"array 'points' promises.*truncated"):
        read_npz(tmp_path / "a.npz")


def test_refuses_a_truncated_archive(tmp_path):
    np.savez(tmp_path / "a.npz", points=XYZ)
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="truncated"):
        read_npz(tmp_path / "a.npz")


def test_written_npz_counts_labels_from_zero(tmp_path):
    columns = {n: XYZ[:, i].astype(np.float32) for i, n in enumerate("xyz")}
    columns |= {"label": np.array([0, 2, 1]), "file": np.arange(3)}
    write_npz(tmp_path / "a.npz", columns, {"labels": {"1": "chair", "2": "tisch ü"}})
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays["label"].tolist() == [-1, 1, 0]
        assert arrays["names"].tolist() == ["chair", "tisch ü"]
        np.testing.assert_array_equal(arrays["points"], XYZ.astype(np.float32))
    found = read_npz(tmp_path / "a.npz")
    assert found["label"].tolist() == [0, 2, 1] and found["file"].tolist() == [0, 1, 2]
