"""LAS and LAZ as named columns, and back."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from math import ceil, log10
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from s4token.tables import RGB, Columns

_CHUNK = 1 << 20  # points
_VARIABLE = 0xFFFFFFFF
"""Chunk size of LAZ files whose chunks differ in size."""
_LARGEST = 1 << 31  # bytes
_KEPT = ("intensity", "return_number", "classification")
_OWNER = "s4token"  # of the variable-length records that hold what is said as a whole
_RECORD = 65_000  # bytes: a record holds 65,535 at most


@contextmanager
def _parsing() -> Iterator[None]:
    try:
        yield
    except BaseException as error:  # parsers of foreign bytes raise anything
        # A panic of the LAZ decoder, which is written in Rust, is not an Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"not a readable LAS or LAZ file ({reason})") from error


def _check_records(head: bytes, size: int) -> None:
    """Refuse more variable-length records than fit, which laspy would look for one by one."""
    if head[:4] != b"LASF" or len(head) < 227:
        raise ValueError("does not begin as LAS files do: not a LAS or LAZ file, or truncated")
    start, points, count = struct.unpack_from("<HII", head, 94)
    extended = (
        struct.unpack_from("<QI", head, 235) if head[25] >= 4 and len(head) >= 247 else (0, 0)
    )
    first, more = extended
    if count * 54 > min(points, size) - start or more * 60 > size - min(first, size):
        raise ValueError(
            f"the header promises {count + more:,} variable-length records, more than fit the "
            "file: damaged file"
        )


def _check_chunks(stream: BinaryIO, header: Any, size: int) -> None:
    """Refuse a LAZ file whose chunks are a lie: the decoder allocates what it says, or aborts."""
    start, record = header.offset_to_point_data, header.point_format.size
    for vlr in header.vlrs.get("LasZipVlr"):
        (points,) = struct.unpack("<I", vlr.record_data[12:16].ljust(4, b"\0"))
        if points != _VARIABLE and points * record > _LARGEST:
            raise ValueError(f"it promises chunks of {points:,} points: damaged file")
    back = stream.tell()
    stream.seek(start)
    at = int.from_bytes(stream.read(8), "little", signed=True)
    if at == -1:  # written to a pipe: the place of the table follows it
        stream.seek(max(size - 8, 0))
        at = int.from_bytes(stream.read(8), "little", signed=True)
    if not start + 8 <= at <= size - 8:
        raise ValueError("its table of compressed chunks lies outside the file: damaged file")
    stream.seek(at + 4)
    chunks = int.from_bytes(stream.read(4), "little")
    # Every chunk begins with one point as it is.
    if chunks * record > size:
        raise ValueError(f"it promises {chunks:,} compressed chunks, more than fit: damaged file")
    stream.seek(back)


def read_las(path: Path) -> Columns:
    """Read LAS or LAZ: coordinates as float64, colours and all other fields in use as stored.

    ValueError says what is wrong with the file.
    """
    import laspy

    with path.open("rb") as stream:
        size = path.stat().st_size
        _check_records(stream.read(375), size)
        stream.seek(0)
        with _parsing():
            reader = laspy.open(stream, closefd=False)
        header = reader.header
        needed = header.offset_to_point_data + header.point_count * header.point_format.size
        if not header.are_points_compressed and needed > size:
            raise ValueError(
                f"the header promises {header.point_count:,} points, {needed:,} bytes, but the "
                f"file has {size:,}: truncated file"
            )
        if header.are_points_compressed:
            _check_chunks(stream, header, size)
        with _parsing():
            # Not all at once: the compressed size says nothing about a count that is a lie.
            chunks = list(reader.chunk_iterator(_CHUNK))
    if sum(map(len, chunks)) != header.point_count or not chunks:
        raise ValueError(
            f"the header promises {header.point_count:,} points, {sum(map(len, chunks)):,} follow"
        )

    def column(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(chunk[name]) for chunk in chunks])

    columns = {axis: column(axis).astype(np.float64) for axis in "xyz"}
    names, extra = header.point_format.dimension_names, header.point_format.extra_dimension_names
    kept = {*_KEPT, *extra}
    for name in names:
        values = column(name)
        # The format has two dozen fields; those that nobody filled in are left out.
        if name not in ("X", "Y", "Z", *RGB) and (name in kept or values.any()):
            columns[name] = values
    colors = {name: column(name) for name in RGB if name in header.point_format.dimension_names}
    return columns | (colors if any(v.any() for v in colors.values()) else {})


def las_about(path: Path) -> dict[str, Any]:
    """Return what a LAS or LAZ of ``write_las`` says as a whole, {} for any other."""
    import laspy

    with path.open("rb") as stream:
        _check_records(stream.read(375), path.stat().st_size)
        stream.seek(0)
        with _parsing():
            records = laspy.open(stream, closefd=False).header.vlrs
    ours = sorted((r for r in records if r.user_id == _OWNER), key=lambda r: r.record_id)
    if not ours:
        return {}
    about = json.loads(b"".join(r.record_data_bytes() for r in ours))
    return about if isinstance(about, dict) else {}


def _fits(values: np.ndarray, dimension: Any) -> bool:
    whole = values.dtype.kind in "iu" or dimension.dtype == np.float64
    return whole and bool(dimension.min <= values.min() and values.max() <= dimension.max)


def _short(name: str, taken: Collection[str]) -> str:
    """Return a name of 32 characters at most, the format's limit, that is not ``taken``."""
    short, number = name[:32], 1
    while short in taken:
        number += 1
        short = f"{name[: 31 - len(str(number))]}_{number}"
    return short


def _scale(points: np.ndarray) -> np.ndarray:
    """Return per axis the power of ten that spreads the extent over most of 31 bits."""
    extent = np.ptp(points, axis=0)
    return np.array([10.0 ** ceil(log10(e / 2e9)) if e > 0 else 1.0 for e in extent])


def write_las(path: Path, columns: Columns, about: Mapping[str, Any]) -> None:
    """Write columns as LAS 1.4 (LAZ by suffix), coordinates to 5e-9 of the extent.

    A column that is none of the format's own becomes an extra dimension; ``about`` goes into
    variable-length records of the user "s4token", as JSON.
    """
    import laspy

    points = np.stack([columns[axis] for axis in "xyz"], axis=1).astype(np.float64)
    header = laspy.LasHeader(point_format=7 if "red" in columns else 6, version="1.4")
    own = {d.name: d for d in header.point_format.dimensions}
    header.scales, header.offsets = _scale(points), points.min(axis=0)
    targets = {}
    for name, values in columns.items():
        if name in (*"xyz", *RGB):
            continue
        if name in own and name not in "XYZ" and _fits(values, own[name]):
            targets[name] = name
            continue
        short = _short(f"source_{name}" if name in own else name, {*own, *targets.values()})
        targets[name] = short
        header.add_extra_dims([laspy.ExtraBytesParams(short, values.dtype)])
    text = json.dumps(about).encode() if about else b""
    for number, start in enumerate(range(0, len(text), _RECORD)):
        piece = text[start : start + _RECORD]
        header.vlrs.append(laspy.VLR(_OWNER, number, "labels and provenance", piece))
    las = laspy.LasData(header)
    las.x, las.y, las.z = points.T
    for color in RGB if "red" in columns else ():
        las[color] = columns[color].astype(np.uint16) * 257  # the format's colours have 16 bits
    for name, target in targets.items():
        las[target] = columns[name]
    with path.open("wb") as stream:
        las.write(stream, do_compress=path.suffix.lower() == ".laz")
