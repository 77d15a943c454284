"""The Point Cloud Library's PCD files: ascii, binary and LZF-compressed, as named columns."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numba import njit

from s4token.tables import RGB, Columns

_NAMES = {"normal_x": "nx", "normal_y": "ny", "normal_z": "nz"}
_KINDS = {"F": "f", "I": "i", "U": "u"}
_LZF_MOST = 100  # a byte of LZF becomes at most 88 bytes, so a larger claim is a lie


@njit(cache=True)
def _lzf(source, target):
    """Expand LZF; return the bytes written, or -1 when the input is damaged."""
    read, written = 0, 0
    while read < len(source):
        control = np.int64(source[read])
        read += 1
        if control < 32:
            length = control + 1
            if read + length > len(source) or written + length > len(target):
                return -1
            for _ in range(length):
                target[written] = source[read]
                read += 1
                written += 1
            continue
        length = control >> 5
        if length == 7 and read < len(source):
            length += np.int64(source[read])
            read += 1
        if read >= len(source):
            return -1
        start = written - ((control & 31) << 8) - np.int64(source[read]) - 1
        read += 1
        if start < 0 or written + length + 2 > len(target):
            return -1
        for k in range(length + 2):  # byte by byte: source and target may overlap
            target[written] = target[start + k]
            written += 1
    return written


def lzf_decompress(data: bytes, size: int) -> Int[np.ndarray, "size"]:
    """Expand LZF ``data`` into ``size`` bytes (uint8); ValueError when it is damaged."""
    if size > _LZF_MOST * max(len(data), 1):
        raise ValueError(f"{len(data):,} bytes of LZF cannot hold {size:,}: damaged file")
    target = np.empty(size, dtype=np.uint8)
    if _lzf(np.frombuffer(data, dtype=np.uint8), target) != size:
        raise ValueError("the compressed data is damaged; save the file again, uncompressed")
    return target


def _header(data: bytes) -> tuple[dict[str, list[str]], bytes]:
    """Split a PCD into its header entries and the body."""
    entries: dict[str, list[str]] = {}
    start = 0
    while "DATA" not in entries:
        end = data.find(b"\n", start, start + 100_000)
        if end < 0:
            raise ValueError("has no DATA line: truncated, or not a PCD file")
        words = data[start:end].decode("ascii", "replace").split()
        start = end + 1
        if words and not words[0].startswith("#"):
            entries[words[0].upper()] = words[1:]
    return entries, data[start:]


def _layout(entries: dict[str, list[str]]) -> tuple[list[tuple[str, np.dtype, int]], int]:
    """Return (name, type, values per point) of every field, and the number of points."""
    try:
        names = entries["FIELDS"] if "FIELDS" in entries else entries["COLUMNS"]
        sizes, kinds = [int(s) for s in entries["SIZE"]], entries["TYPE"]
        repeats = [int(c) for c in entries.get("COUNT", ["1"] * len(names))]
        types = [np.dtype(f"<{_KINDS[k]}{s}") for k, s in zip(kinds, sizes, strict=True)]
        shape = [entries[k][0] for k in ("WIDTH", "HEIGHT")] if "POINTS" not in entries else None
        count = prod(int(s) for s in shape or entries["POINTS"])
        if count < 0 or min(repeats) < 0:
            raise ValueError("a negative count")
        return list(zip(names, types, repeats, strict=True)), count
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"the header is not that of a PCD file ({error})") from error


def _require(count: int, stride: int, body: int) -> None:
    if count * stride > body:
        raise ValueError(
            f"the header promises {count:,} points of {stride} bytes, but only {body:,} bytes "
            "follow: truncated file"
        )


def _compressed(body: bytes, layout: list[tuple[str, np.dtype, int]], count: int) -> Columns:
    """Expand a binary_compressed body: the fields one after the other, not point by point."""
    if len(body) < 8:
        raise ValueError("the compressed data is missing: truncated file")
    packed, size = (int(v) for v in np.frombuffer(body, dtype="<u4", count=2))
    stride = sum(kind.itemsize * repeat for _, kind, repeat in layout)
    if packed > len(body) - 8 or size != count * stride:
        raise ValueError(
            f"{packed:,} compressed bytes for {count:,} points of {stride} bytes are announced, "
            f"{len(body) - 8:,} follow: truncated or damaged file"
        )
    raw = lzf_decompress(body[8 : 8 + packed], size)
    columns, start = {}, 0
    for name, kind, repeat in layout:
        end = start + count * kind.itemsize * repeat
        columns[name] = raw[start:end].view(kind).reshape(count, repeat)
        start = end
    return columns


def _ascii(body: bytes, layout: list[tuple[str, np.dtype, int]], count: int) -> Columns:
    """Parse an ascii body."""
    kinds = [(f"f{i}", k, (r,)) for i, (_, k, r) in enumerate(layout) if r]
    names = [name for name, _, repeat in layout if repeat]
    _require(count, 2 * sum(repeat for *_, repeat in layout), len(body) + 1)
    lines = [line for line in body.splitlines() if line.strip()][:count]
    if len(lines) != count:
        raise ValueError(f"the header promises {count:,} points, {len(lines):,} follow")
    rows = np.loadtxt(lines, dtype=np.dtype(kinds), ndmin=1, comments=None)
    return {name: rows[f"f{i}"] for i, name in enumerate(names)}


def read_pcd(path: Path) -> Columns:
    """Read the columns of a PCD file; packed ``rgb`` becomes red, green, blue (uint8).

    ValueError says what is wrong with the file.
    """
    entries, body = _header(path.read_bytes())
    layout, count = _layout(entries)
    encoding = " ".join(entries["DATA"]).lower()
    stride = sum(kind.itemsize * repeat for _, kind, repeat in layout)
    if count == 0 or stride == 0:
        raise ValueError("holds no points")
    if encoding == "ascii":
        fields = _ascii(body, layout, count)
    elif encoding == "binary_compressed":
        fields = _compressed(body, layout, count)
    elif encoding == "binary":
        _require(count, stride, len(body))
        kinds = np.dtype([(f"f{i}", k, (r,)) for i, (_, k, r) in enumerate(layout)])
        rows = np.frombuffer(body, dtype=kinds, count=count)
        fields = {name: rows[f"f{i}"] for i, (name, *_) in enumerate(layout)}
    else:
        raise ValueError(f"DATA {encoding!r} is none of ascii, binary, binary_compressed")
    columns: Columns = {}
    for name, values in fields.items():
        if name in ("rgb", "rgba") and values.dtype.itemsize == 4 and values.shape[1] == 1:
            packed = np.ascontiguousarray(values).view(np.uint32)[:, 0]
            for color, shift in zip(RGB, (16, 8, 0), strict=True):
                columns[color] = (packed >> shift & 255).astype(np.uint8)
        elif name != "_":  # padding
            single = values.shape[1] == 1
            for k in range(values.shape[1]):
                columns[_NAMES.get(name, name) if single else f"{name}_{k}"] = values[:, k]
    return columns


def write_pcd(path: Path, columns: Columns, about: Mapping[str, Any]) -> None:
    """Write columns as binary PCD, colours packed as PCL does; ``about`` has no place in it."""
    back = {short: name for name, short in _NAMES.items()}
    fields = {back.get(k, k): v for k, v in columns.items() if k not in RGB}
    if "red" in columns:
        red, green, blue = (columns[k].astype(np.uint32) for k in RGB)
        fields["rgb"] = (red << 16 | green << 8 | blue).view(np.float32)
    kinds = np.dtype([(k, v.dtype.newbyteorder("<")) for k, v in fields.items()])
    rows = np.empty(len(columns["x"]), dtype=kinds)
    for name, values in fields.items():
        rows[name] = values
    types = [kinds[name] for name in fields]
    header = [
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        "FIELDS " + " ".join(fields),
        "SIZE " + " ".join(str(t.itemsize) for t in types),
        "TYPE " + " ".join(t.kind.upper() for t in types),
        "COUNT " + " ".join("1" for _ in types),
        f"WIDTH {len(rows)}",
        "HEIGHT 1",
        "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {len(rows)}",
        "DATA binary",
    ]
    path.write_bytes(("\n".join(header) + "\n").encode("ascii") + rows.tobytes())
