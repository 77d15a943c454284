"""LAS and LAZ: coordinates in double precision, colours of 8 and 16 bits, other fields."""

import struct
from contextlib import suppress

import laspy
import numpy as np
import pytest

from s4token.las import read_las, write_las

XYZ = np.array(
    [[500000.25, 5400000.5, 100.125], [500001.5, 5400002.75, 99.5], [500000, 5400001, 0]]
)
RGB = np.array([[255, 0, 7], [1, 128, 2], [9, 8, 0]], dtype=np.uint16)


def _las(path, *, version="1.4", point_format=7, **fields):
    header = laspy.LasHeader(point_format=point_format, version=version)
    header.offsets, header.scales = XYZ.min(axis=0), np.full(3, 0.125)
    header.add_extra_dims([laspy.ExtraBytesParams("label", "i4")])
    las = laspy.LasData(header)
    las.x, las.y, las.z = XYZ.T
    for name, values in fields.items():
        las[name] = values
    with path.open("wb") as stream:
        las.write(stream, do_compress=path.suffix == ".laz")
    return path


@pytest.mark.parametrize("suffix", ["las", "laz"])
@pytest.mark.parametrize(("version", "point_format"), [("1.2", 3), ("1.4", 7)])
def test_reads_what_is_used(tmp_path, suffix, version, point_format):
    path = _las(
        tmp_path / f"a.{suffix}",
        version=version,
        point_format=point_format,
        red=RGB[:, 0] * 257,
        green=RGB[:, 1] * 257,
        blue=RGB[:, 2] * 257,
        label=[1, -5, 2**30],
        classification=[2, 6, 9],
        return_number=[1, 2, 3],
    )
    columns = read_las(path)
    np.testing.assert_array_equal(np.stack([columns[n] for n in "xyz"], 1), XYZ)
    assert columns["x"].dtype == np.float64
    np.testing.assert_array_equal(columns["green"], RGB[:, 1] * 257)
    assert columns["label"].tolist() == [1, -5, 2**30]
    assert columns["classification"].tolist() == [2, 6, 9]
    assert columns["return_number"].tolist() == [1, 2, 3]
    assert columns["intensity"].tolist() == [0, 0, 0]
    assert "gps_time" not in columns and "user_data" not in columns


def test_no_two_columns_share_a_name_or_the_place_of_another(tmp_path):
    long = "a_name_of_exactly_32_characters_"
    names = (*"xyz", "X", f"{long}b", f"{long}c", long, "source_intensity", "intensity")
    columns = {name: np.array([0, 1, i], dtype=np.int32) for i, name in enumerate(names)}
    columns["intensity"] -= 9  # the format's own has no sign
    write_las(tmp_path / "a.las", columns, {})
    found = read_las(tmp_path / "a.las")
    short = [long, f"{long[:30]}_2", f"{long[:30]}_3", "source_intensity", "source_intensity_2"]
    for name, stored in zip(names, [*"xyz", "source_X", *short], strict=True):
        assert found[stored].tolist() == columns[name].tolist(), name


def test_colours_that_nobody_filled_in_are_none(tmp_path):
    assert "red" not in read_las(_las(tmp_path / "a.las"))
    assert "red" not in read_las(_las(tmp_path / "b.las", point_format=6))


@pytest.mark.parametrize("suffix", ["las", "laz"])
def test_written_columns_come_back(tmp_path, suffix):
    columns = {n: XYZ[:, i] for i, n in enumerate("xyz")}
    columns |= {n: RGB[:, i].astype(np.uint8) for i, n in enumerate(("red", "green", "blue"))}
    columns |= {
        "label": np.array([1, 2, -3], np.int32),
        "confidence": np.array([0.5, 0.25, 1], np.float32),
        "classification": np.array([2, 6, 255], np.uint8),
        "intensity": np.array([0.5, 0.25, 1], np.float32),  # the format's own is an integer
        "return_number": np.array([1, 2, 16], np.int32),  # the format's own has 4 bits
        "a_name_of_more_than_thirty_two_letters": np.arange(3, dtype=np.int16),
    }
    write_las(tmp_path / f"a.{suffix}", columns, {})
    found = read_las(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(np.stack([found[n] for n in "xyz"], 1), XYZ, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(found["red"], RGB[:, 0] * 257)
    for name in ("label", "confidence", "classification"):
        np.testing.assert_array_equal(found[name], columns[name])
        assert found[name].dtype == columns[name].dtype
    np.testing.assert_array_equal(found["source_intensity"], columns["intensity"])
    np.testing.assert_array_equal(found["source_return_number"], columns["return_number"])
    assert found["a_name_of_more_than_thirty_two_l"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_precision_is_relative_to_the_extent(tmp_path, scale):
    points = np.random.default_rng(0).random((100, 3)) * scale
    write_las(tmp_path / "a.las", {n: points[:, i] for i, n in enumerate("xyz")}, {})
    found = read_las(tmp_path / "a.las")
    error = np.abs(np.stack([found[n] for n in "xyz"], 1) - points).max()
    assert error <= 1e-8 * scale


def test_flat_and_single_points(tmp_path):
    for points in (XYZ[:1], XYZ * [1, 1, 0]):
        write_las(tmp_path / "a.las", {n: points[:, i] for i, n in enumerate("xyz")}, {})
        found = read_las(tmp_path / "a.las")
        np.testing.assert_allclose(np.stack([found[n] for n in "xyz"], 1), points, atol=2e-6)


def test_refuses_a_count_larger_than_the_file(tmp_path):
    path = _las(tmp_path / "a.las")
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(ValueError, match=r"promises 3 points.*truncated"):
        read_las(path)
    count = (10**12).to_bytes(8, "little")
    path.write_bytes(data[:247] + count + data[255:])  # where LAS 1.4 keeps it
    with pytest.raises(ValueError, match="promises 1,000,000,000,000 points"):
        read_las(path)


@pytest.mark.parametrize("kept", [0, 50, 300])
@pytest.mark.parametrize("suffix", ["las", "laz"])
def test_refuses_the_beginning_of_a_file(tmp_path, suffix, kept):
    path = _las(tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"not a LAS or LAZ|not a readable LAS|promises"):
        read_las(path)


def test_chunks_are_put_together(tmp_path, monkeypatch):
    columns = {n: np.arange(10.0) * (i + 1) for i, n in enumerate("xyz")}
    write_las(tmp_path / "a.laz", columns | {"label": np.arange(10, dtype=np.int32)}, {})
    whole = read_las(tmp_path / "a.laz")
    monkeypatch.setattr("s4token.las._CHUNK", 3)
    for name, values in read_las(tmp_path / "a.laz").items():
        np.testing.assert_array_equal(values, whole[name])
    assert whole["label"].tolist() == list(range(10))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("count", [10**8, 10**12])
def test_refuses_a_compressed_count_that_is_a_lie(tmp_path, count):
    path = _las(tmp_path / "a.laz")
    data = path.read_bytes()
    path.write_bytes(data[:247] + count.to_bytes(8, "little") + data[255:])
    with pytest.raises(ValueError, match=r"LAZ|promises"):
        read_las(path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("place", [100, 243])
def test_refuses_a_number_of_records_that_is_a_lie(tmp_path, place):
    data = bytearray(_las(tmp_path / "a.las").read_bytes())
    data[place : place + 4] = (2**31).to_bytes(4, "little")
    (tmp_path / "a.las").write_bytes(data)
    with pytest.raises(ValueError, match=r"promises 2,147,483,6\d\d variable-length records"):
        read_las(tmp_path / "a.las")


@pytest.mark.parametrize("part", ["place", "version and length"])
def test_refuses_a_chunk_table_that_is_a_lie(tmp_path, part):
    path = _las(tmp_path / "a.laz")
    whole = {name: values.tolist() for name, values in read_las(path).items()}
    data = path.read_bytes()
    (start,) = struct.unpack_from("<I", data, 96)
    (table,) = struct.unpack_from("<q", data, start)
    first = start if part == "place" else table
    # The decoder would allocate what is promised, and take the process with it.
    for where in range(first, first + 8):
        for byte in (0, 1, 2, 127, 128, 254, 255):
            path.write_bytes(data[:where] + bytes([byte]) + data[where + 1 :])
            with suppress(ValueError):
                assert {k: v.tolist() for k, v in read_las(path).items()} == whole
    path.write_bytes(data[: table + 4] + b"\xff" * 4 + data[table + 8 :])
    with pytest.raises(ValueError, match="compressed chunks"):
        read_las(path)


def test_refuses_chunks_larger_than_memory(tmp_path):
    path = _las(tmp_path / "a.laz")
    data = path.read_bytes()
    size = data.index((50_000).to_bytes(4, "little"))
    path.write_bytes(data[:size] + b"\x50\xc3\x00\x7f" + data[size + 4 :])
    with pytest.raises(ValueError, match="chunks of 2,130,756,432 points"):
        read_las(path)
