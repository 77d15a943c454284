"""PLY in its dialects, and what tools that are stricter than we need from our files."""

import json

import numpy as np
import pytest

from s4token.ply import ply_about, read_ply, write_ply

ROWS = np.array(
    [(0.5, -1.25, 3.0, 255, 0, 7), (1e-3, 2.0, -7.5, 1, 128, 2), (0.1, 0.2, 0.3, 9, 8, -1)],
    dtype=[("x", "f4"), ("y", "f4"), ("z", "f4"), ("red", "u1"), ("green", "u1"), ("label", "i4")],
)
FIELDS = ("x", "y", "z", "red", "green", "label")
NAMES = {"f4": "float", "u1": "uchar", "i4": "int"}
VERTEX = [f"element vertex {len(ROWS)}"] + [
    f"property {NAMES[ROWS.dtype[n].str[1:]]} {n}" for n in FIELDS
]
ASCII = "".join(" ".join(str(v) for v in row) + "\n" for row in ROWS.tolist()).encode()
FACES = ["element face 2", "property list uchar int vertex_indices"]
FACE_ROWS = b"".join(b"\3" + np.array(f, "<i4").tobytes() for f in ((0, 1, 2), (2, 1, 0)))


def _file(path, kind, body, *lines, end="\n"):
    head = ["ply", f"format {kind} 1.0", *lines, "end_header"]
    path.write_bytes("".join(line + end for line in head).encode("utf-8") + body)
    return path


LITTLE, BIG = "binary_little_endian", "binary_big_endian"
DIALECTS = {
    "ascii": ("ascii", ASCII, VERTEX, "\n"),
    "ascii without last line end": ("ascii", ASCII[:-1], VERTEX, "\n"),
    "ascii, carriage returns": ("ascii", ASCII.replace(b"\n", b"\r\n"), VERTEX, "\r\n"),
    "ascii, empty lines": ("ascii", ASCII.replace(b"\n", b"\n\n"), VERTEX, "\n"),
    "ascii, faces behind": ("ascii", ASCII + b"3 0 1 2\n3 2 1 0\n", VERTEX + FACES, "\n"),
    "ascii, faces before": ("ascii", b"3 0 1 2\n3 2 1 0\n" + ASCII, FACES + VERTEX, "\n"),
    "ascii, whole numbers with a point": (
        "ascii",
        ASCII.replace(b" 255 ", b" 255.0 ").replace(b" -1\n", b" -1e0\n"),
        VERTEX,
        "\n",
    ),
    "ascii, scalars before": (
        "ascii",
        b"4.5\n" + ASCII,
        ["element camera 1", "property float f", *VERTEX],
        "\n",
    ),
    "little endian": (LITTLE, ROWS.tobytes(), VERTEX, "\n"),
    "little endian, carriage returns": (LITTLE, ROWS.tobytes(), VERTEX, "\r\n"),
    "big endian": (BIG, ROWS.astype(ROWS.dtype.newbyteorder(">")).tobytes(), VERTEX, "\n"),
    "bytes behind": (LITTLE, ROWS.tobytes() + b"more", VERTEX, "\n"),
    "faces behind": (LITTLE, ROWS.tobytes() + FACE_ROWS, VERTEX + FACES, "\n"),
    "faces before": (LITTLE, FACE_ROWS + ROWS.tobytes(), FACES + VERTEX, "\n"),
    "scalars before": (
        LITTLE,
        b"12345678" + ROWS.tobytes(),
        ["element camera 1", "property double f", *VERTEX],
        "\n",
    ),
    "comments": (
        LITTLE,
        ROWS.tobytes(),
        ["comment größe \u2028 end_header", "obj_info element vertex 9", "comment", *VERTEX],
        "\n",
    ),
    "list in a vertex": (
        LITTLE,
        b"".join(row.tobytes() + b"\2\5\6" for row in ROWS),
        [*VERTEX, "property list uint8 uint8 seen"],
        "\n",
    ),
}


@pytest.mark.parametrize("case", DIALECTS)
def test_every_dialect_gives_the_same_columns(tmp_path, case):
    kind, body, lines, end = DIALECTS[case]
    columns = read_ply(_file(tmp_path / "a.ply", kind, body, *lines, end=end))
    assert list(columns) == list(FIELDS)
    for name, values in columns.items():
        np.testing.assert_array_equal(values, ROWS[name], err_msg=name)
        assert values.dtype.str[1:] == ROWS.dtype[name].str[1:]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("0 0 0 0 0", "6 columns but 5 were found at row 2$"),
        ("0 0 0 0 0 0 0", "6 columns but 7 were found"),
        ("0 0 0 256 0 0", "'256' to uint8"),
        ("0 0 0 1.5 0 0", "'1.5' to uint8"),
        ("0 0 0 nan 0 0", "'nan' to uint8"),
        ("0 0 chair 0 0 0", "'chair' to float32"),
    ],
)
def test_refuses_a_bad_row_of_text(tmp_path, row, words):
    body = f"{ASCII.decode().splitlines()[0]}\n{row}\n0 0 0 0 0 0\n".encode()
    with pytest.raises(ValueError, match=words):
        read_ply(_file(tmp_path / "a.ply", "ascii", body, *VERTEX))


BAD = {
    "magic": (b"plx\nformat ascii 1.0\nend_header\n", "not a PLY"),
    "header cut": (b"ply\nformat ascii 1.0\nelement ver", "no end_header"),
    "format": (b"ply\nformat morse 1.0\nelement vertex 1\nend_header\n", "no known format"),
    "no format": (b"ply\nelement vertex 1\nproperty float x\nend_header\n", "no known format"),
    "line": (b"ply\nformat ascii 1.0\nelephant vertex 1\nend_header\n", "'elephant vertex 1'"),
    "count": (b"ply\nformat ascii 1.0\nelement vertex -1\nend_header\n", "element vertex -1"),
    "type": (
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty quad x\nend_header\n",
        "property quad x",
    ),
    "no vertex": (b"ply\nformat ascii 1.0\nelement face 0\nend_header\n", "no element 'vertex'"),
    "empty": (
        b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n",
        "no vertices",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses_a_bad_header(tmp_path, case):
    data, words = BAD[case]
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(ValueError, match=words):
        read_ply(tmp_path / "a.ply")


@pytest.mark.parametrize("kind", [LITTLE, BIG, "ascii"])
@pytest.mark.parametrize("count", [4, 10**6, 10**15])
def test_refuses_a_count_larger_than_the_file_before_allocating(tmp_path, kind, count):
    body = ASCII if kind == "ascii" else ROWS.tobytes()
    lines = [f"element vertex {count}", *VERTEX[1:]]
    with pytest.raises(ValueError, match=rf"promises {count:,} vertices.*truncated"):
        read_ply(_file(tmp_path / "a.ply", kind, body, *lines))


@pytest.mark.parametrize("lost", [1, 20, 60])
def test_refuses_a_truncated_body(tmp_path, lost):
    with pytest.raises(ValueError, match="truncated"):
        read_ply(_file(tmp_path / "a.ply", LITTLE, ROWS.tobytes()[:-lost], *VERTEX))


@pytest.mark.parametrize("body", [ASCII[: ASCII.find(b"\n")] + b" " * 40, b"\n" * 200])
def test_refuses_missing_lines(tmp_path, body):
    with pytest.raises(ValueError, match=r"promises 3 vertices, [01] follow: truncated"):
        read_ply(_file(tmp_path / "a.ply", "ascii", body, *VERTEX))


def _columns():
    return {name: ROWS[name] for name in FIELDS}


def test_written_files_are_binary_and_have_short_ascii_header_lines(tmp_path):
    names = {"1": "stühle", "2": "😀" * 500, "3": "line\nbreak"}
    names |= {str(i): f"prompt number {i}, in words" for i in range(4, 300)}
    about = {"labels": names, "provenance": {"note": "x" * 5000, "prompts": list(names.values())}}
    write_ply(tmp_path / "a.ply", _columns(), about)
    head = (tmp_path / "a.ply").read_bytes().split(b"end_header")[0]
    assert head.isascii()
    assert max(map(len, head.split(b"\n"))) < 1000  # rply's buffer has 1024
    assert b"format binary_little_endian 1.0" in head
    assert b"property float x\nproperty float y\nproperty float z" in head
    assert b"list" not in head and b"face" not in head
    assert ply_about(tmp_path / "a.ply")["labels"] == names, "what is cut follows in pieces"
    for name, values in read_ply(tmp_path / "a.ply").items():
        np.testing.assert_array_equal(values, ROWS[name])


def test_other_comments_hold_no_class_names(tmp_path):
    comments = ["made by hand", "[1]", "{}", '{"labels": 3}', '{"labels": {"x": "chair"}}']
    lines = [f"comment {c}" for c in comments]
    path = _file(tmp_path / "a.ply", LITTLE, ROWS.tobytes(), *lines, *VERTEX)
    assert ply_about(path) == {}
    named = [*lines, "comment " + json.dumps({"labels": {"2": "chair"}})]
    path = _file(tmp_path / "a.ply", LITTLE, ROWS.tobytes(), *named, *VERTEX)
    assert ply_about(path) == {"labels": {"2": "chair"}}
