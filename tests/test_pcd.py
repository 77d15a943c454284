"""PCD in its three encodings, and the LZF decoder against a slow twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4token.pcd import lzf_decompress, read_pcd, write_pcd


def _lzf_compress(data: bytes) -> bytes:
    """Find the first earlier occurrence of every run of 3 and more bytes."""
    out, literals, at = bytearray(), bytearray(), 0

    def flush():
        for start in range(0, len(literals), 32):
            run = literals[start : start + 32]
            out.append(len(run) - 1)
            out.extend(run)
        literals.clear()

    while at < len(data):
        best, where = 0, 0
        for length in range(3, min(264, len(data) - at) + 1):
            found = data.find(data[at : at + length], max(0, at - 8192), at + length - 1)
            if found < 0:
                break
            best, where = length, found
        if best < 3:
            literals.append(data[at])
            at += 1
            continue
        flush()
        back = at - where - 1
        length = best - 2
        out.append(min(length, 7) << 5 | back >> 8)
        if length >= 7:
            out.append(length - 7)
        out.append(back & 255)
        at += best
    flush()
    return bytes(out)


def _lzf_slow(data: bytes) -> bytes:
    out, at = bytearray(), 0
    while at < len(data):
        control = data[at]
        if control < 32:
            out += data[at + 1 : at + 2 + control]
            at += 2 + control
            continue
        length, at = control >> 5, at + 1
        if length == 7:
            length, at = length + data[at], at + 1
        start = len(out) - ((control & 31) << 8 | data[at]) - 1
        for k in range(length + 2):
            out.append(out[start + k])
        at += 1
    return bytes(out)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=6), st.integers(1, 120)), max_size=8))
def test_lzf_gives_back_what_was_compressed(runs):
    data = b"".join(part * times for part, times in runs)
    packed = _lzf_compress(data)
    assert _lzf_slow(packed) == data
    assert lzf_decompress(packed, len(data)).tobytes() == data


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 300))
def test_lzf_refuses_rubbish_and_never_writes_outside(data, size):
    try:
        assert len(lzf_decompress(data, size)) == size
    except ValueError as error:
        assert "damaged" in str(error)


def test_lzf_refuses_an_impossible_size_before_allocating():
    with pytest.raises(ValueError, match="cannot hold"):
        lzf_decompress(b"\0a", 1 << 60)


RGB = np.array([[255, 1, 2], [3, 254, 4], [0, 0, 77]], dtype=np.uint32)
PACKED = RGB[:, 0] << 16 | RGB[:, 1] << 8 | RGB[:, 2]
XYZ = np.array([[0.1, 2, 3], [-4, 5.5, 1e-4], [7, 8, -9]], dtype=np.float32)
ROWS = np.zeros(3, dtype=[(n, "f4") for n in "xyz"] + [("rgb", "u4"), ("f", "f4", 2), ("l", "i2")])
for i, n in enumerate("xyz"):
    ROWS[n] = XYZ[:, i]
ROWS["rgb"], ROWS["f"], ROWS["l"] = PACKED, XYZ[:, :2] * 2, [5, -6, 7]
HEADER = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS x y z rgb f l
SIZE 4 4 4 4 4 2
TYPE F F F {rgb} F I
COUNT 1 1 1 1 2 1
WIDTH 3
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS 3
DATA {data}
"""
TEXT = "".join(
    f"{r['x']} {r['y']} {r['z']} {r['rgb']} {r['f'][0]} {r['f'][1]} {r['l']}\n" for r in ROWS
).encode()
BY_FIELD = b"".join(
    np.ascontiguousarray(ROWS[n]).tobytes() for n in ("x", "y", "z", "rgb", "f", "l")
)


def _compressed(raw: bytes, size: int | None = None) -> bytes:
    packed = _lzf_compress(raw)
    return np.array([len(packed), size or len(raw)], "<u4").tobytes() + packed


BODIES = {
    "ascii": ("ascii", "U", TEXT),
    "binary": ("binary", "U", ROWS.tobytes()),
    "binary, rgb as float": ("binary", "F", ROWS.tobytes()),
    "compressed": ("binary_compressed", "U", _compressed(BY_FIELD)),
    "compressed, bytes behind": ("binary_compressed", "F", _compressed(BY_FIELD) + b"more"),
}


def _check(columns):
    np.testing.assert_array_equal(np.stack([columns[n] for n in "xyz"], 1), XYZ)
    np.testing.assert_array_equal(np.stack([columns[n] for n in ("red", "green", "blue")], 1), RGB)
    np.testing.assert_array_equal(np.stack([columns["f_0"], columns["f_1"]], 1), XYZ[:, :2] * 2)
    np.testing.assert_array_equal(columns["l"], [5, -6, 7])
    assert len(columns) == 9


@pytest.mark.parametrize("case", BODIES)
def test_every_encoding_gives_the_same_columns(tmp_path, case):
    data, rgb, body = BODIES[case]
    (tmp_path / "a.pcd").write_bytes(HEADER.format(rgb=rgb, data=data).encode() + body)
    _check(read_pcd(tmp_path / "a.pcd"))


def test_ascii_rgb_as_a_packed_float(tmp_path):
    floats = PACKED.view(np.float32)
    body = "".join(f"{x} {y} {z} {f!s} 0 0 0\n" for (x, y, z), f in zip(XYZ, floats, strict=True))
    (tmp_path / "a.pcd").write_text(HEADER.format(rgb="F", data="ascii") + body)
    columns = read_pcd(tmp_path / "a.pcd")
    np.testing.assert_array_equal([columns[n] for n in ("red", "green", "blue")], RGB.T)


def test_padding_is_left_out_and_normals_get_their_names(tmp_path):
    header = (
        "FIELDS x y z _ normal_x normal_y normal_z\nSIZE 4 4 4 1 4 4 4\nTYPE F F F U F F F\n"
        "COUNT 1 1 1 4 1 1 1\nWIDTH 1\nHEIGHT 2\nDATA binary\n"
    )
    row = np.arange(3, dtype="f4").tobytes() + b"junk" + np.array([0, 0, 1], "f4").tobytes()
    (tmp_path / "a.pcd").write_bytes(header.encode() + row * 2)
    columns = read_pcd(tmp_path / "a.pcd")
    assert list(columns) == ["x", "y", "z", "nx", "ny", "nz"]
    assert columns["nz"].tolist() == [1, 1]


GOOD = HEADER.format(rgb="U", data="binary").encode()
PACKED_HEADER = HEADER.format(rgb="U", data="binary_compressed").encode()
BAD = {
    "no DATA": (b"FIELDS x y z\nSIZE 4 4 4\n", "no DATA line"),
    "binary rubbish": (bytes(range(256)) * 4, "no DATA line|not that of a PCD"),
    "no FIELDS": (b"SIZE 4\nTYPE F\nPOINTS 1\nDATA ascii\n1\n", "not that of a PCD"),
    "type": (GOOD.replace(b"TYPE F", b"TYPE Q") + ROWS.tobytes(), "not that of a PCD"),
    "size": (GOOD.replace(b"SIZE 4", b"SIZE 3") + ROWS.tobytes(), "not that of a PCD"),
    "lengths": (GOOD.replace(b"SIZE 4 ", b"SIZE ") + ROWS.tobytes(), "not that of a PCD"),
    "negative": (GOOD.replace(b"POINTS 3", b"POINTS -3") + ROWS.tobytes(), "not that of a PCD"),
    "none": (GOOD.replace(b"POINTS 3", b"POINTS 0"), "no points"),
    "encoding": (GOOD.replace(b"DATA binary", b"DATA morse") + ROWS.tobytes(), "'morse'"),
    "truncated": (GOOD + ROWS.tobytes()[:-1], "promises 3 points.*truncated"),
    "count": (GOOD.replace(b"POINTS 3", b"POINTS 3000000000") + ROWS.tobytes(), "3,000,000,000"),
    "ascii count": (
        HEADER.format(rgb="U", data="ascii").replace("POINTS 3", "POINTS 9999999").encode() + TEXT,
        "promises 9,999,999",
    ),
    "ascii truncated": (
        HEADER.format(rgb="U", data="ascii").encode() + TEXT[: TEXT.find(b"\n") + 1] + b" " * 60,
        "promises 3 points, 1 follow",
    ),
    "compressed, nothing": (PACKED_HEADER, "missing"),
    "compressed, truncated": (PACKED_HEADER + _compressed(BY_FIELD)[:-2], "truncated"),
    "compressed, other size": (PACKED_HEADER + _compressed(BY_FIELD[:-1]), "truncated or damaged"),
    "compressed, damaged": (PACKED_HEADER + _compressed(b"\0" * 20, len(BY_FIELD)), "damaged"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(tmp_path, case):
    data, words = BAD[case]
    (tmp_path / "a.pcd").write_bytes(data)
    with pytest.raises(ValueError, match=words):
        read_pcd(tmp_path / "a.pcd")


def test_written_columns_come_back(tmp_path):
    columns = {n: XYZ[:, i] for i, n in enumerate("xyz")}
    columns |= {n: RGB[:, i].astype(np.uint8) for i, n in enumerate(("red", "green", "blue"))}
    columns |= {"f_0": ROWS["f"][:, 0], "f_1": ROWS["f"][:, 1], "l": ROWS["l"]}
    write_pcd(tmp_path / "a.pcd", columns, {})
    _check(read_pcd(tmp_path / "a.pcd"))
    head = (tmp_path / "a.pcd").read_bytes().split(b"DATA")[0].decode()
    assert "FIELDS x y z f_0 f_1 l rgb" in head and "TYPE F F F F F I F" in head
