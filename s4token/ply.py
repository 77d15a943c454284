"""PLY, the exchange format: as named columns, and back."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from s4token.tables import Columns

_TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"}
_TYPES |= {"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"}
_TYPES |= {f"{sign}int{8 * n}": f"{sign or 'i'}{n}" for sign in ("", "u") for n in (1, 2, 4)}
_COMMENT = 900  # bytes: readers built on rply refuse header lines above 1024


class _Element(NamedTuple):
    name: str
    count: int
    properties: list[tuple[str, str | None, str]]  # name, type or None for a list, its length type

    @property
    def has_lists(self) -> bool:
        return any(kind is None for _, kind, _ in self.properties)

    def least_bytes(self, text: bool) -> int:
        """Bytes that the rows need at least."""
        one = [2 if text else np.dtype(kind or length).itemsize for _, kind, length in self[2]]
        return self.count * sum(one)


class _Header(NamedTuple):
    order: str  # "<", ">" or "" for ascii
    elements: list[_Element]
    comments: list[str]
    size: int


def _header(data: bytes) -> _Header:
    """Parse the header of a PLY, which plyfile refuses when a comment is not ASCII."""
    if data[:4] not in (b"ply\n", b"ply\r"):
        raise ValueError("does not begin with 'ply': not a PLY file")
    end = re.search(rb"[\r\n]end_header[ \t]*(\r\n|\n|\r)", data)
    if end is None:
        raise ValueError("has no end_header: truncated, or not a PLY file")
    order, elements, comments = None, [], []
    for line in re.split(r"[\r\n]+", data[4 : end.start()].decode("utf-8", "replace")):
        match line.split():
            case ["format", kind, _]:
                orders = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
                order = orders.get(kind)
            case ["comment" | "obj_info", *_]:
                comments.append(line.split(maxsplit=1)[-1])
            case ["element", name, count] if count.isdecimal():
                elements.append(_Element(name, int(count), []))
            case ["property", "list", length, kind, name] if elements and length in _TYPES:
                elements[-1].properties.append((name, None, _TYPES[length]))
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].properties.append((name, _TYPES[kind], ""))
            case []:
                pass
            case _:
                raise ValueError(f"the header line {line[:60]!r} is not PLY")
    if order is None:
        raise ValueError("the header has no known format line: not a PLY file")
    return _Header(order, elements, comments, end.end())


def _rows(data: bytes, header: _Header, before: list[_Element], vertex: _Element) -> Any:
    """Return the rows of the vertices as a structured array."""
    if vertex.has_lists or any(e.has_lists for e in before):
        return _with_lists(data, header, [*before, vertex])
    kinds = np.dtype([(name, header.order + str(kind)) for name, kind, _ in vertex.properties])
    if header.order:
        start = header.size + sum(e.least_bytes(text=False) for e in before)
        return np.frombuffer(data, dtype=kinds, count=vertex.count, offset=start)
    start = sum(e.count for e in before)
    lines = [line for line in data[header.size :].splitlines() if line.strip()][start:]
    if len(lines) < vertex.count:
        raise ValueError(
            f"the header promises {vertex.count:,} vertices, {len(lines):,} follow: truncated file"
        )
    return _text_rows(lines[: vertex.count], kinds)


def _text_rows(lines: list[bytes], kinds: np.dtype) -> np.ndarray:
    """Parse lines of numbers; whole ones may be written as 10.0."""
    try:
        return np.loadtxt(lines, dtype=kinds, ndmin=1, comments=None)
    except ValueError as error:  # what follows ";" is advice to programmers
        said, names = str(error).split(";")[0], kinds.names or ()
        if "could not convert" not in said:
            raise ValueError(said) from error
    try:
        numbers = np.loadtxt(lines, dtype=[(n, "f8") for n in names], ndmin=1, comments=None)
    except ValueError:
        raise ValueError(said) from None
    with np.errstate(all="ignore"):
        rows = numbers.astype(kinds)
    if any((rows[n] != numbers[n]).any() for n in names if kinds[n].kind in "iu"):
        raise ValueError(said)
    return rows


def _with_lists(data: bytes, header: _Header, elements: list[_Element]) -> Any:
    """Parse the elements up to the vertices, value by value: rows of unknown length are rare."""
    from plyfile import PlyData

    kept, wanted = [], True
    for line in re.split(r"[\r\n]+", data[: header.size].decode("latin-1").strip()):
        words = line.split()
        if words[:1] == ["element"]:
            wanted = words[1] in [e.name for e in elements]
        if words[:1] != ["comment"] and words[:1] != ["obj_info"] and wanted:
            kept.append(line)
    text = "\n".join(kept if wanted else [*kept, "end_header"]) + "\n"
    ply = PlyData.read(io.BytesIO(text.encode("latin-1") + data[header.size :]))
    return ply["vertex"].data


def read_ply(path: Path) -> Columns:
    """Read the scalar vertex properties of a PLY; faces are left out.

    ValueError says what is wrong with the file.
    """
    data = path.read_bytes()
    header = _header(data)
    names = [e.name for e in header.elements]
    if "vertex" not in names:
        raise ValueError("has no element 'vertex'")
    before = header.elements[: names.index("vertex")]
    vertex = header.elements[names.index("vertex")]
    if vertex.count == 0 or not vertex.properties:
        raise ValueError("holds no vertices")
    text, left = header.order == "", len(data) - header.size
    needed = sum(e.least_bytes(text) for e in [*before, vertex])
    if needed > left + text:  # the last line of a text needs no line end
        raise ValueError(
            f"the header promises {vertex.count:,} vertices, at least {needed:,} bytes, but only "
            f"{left:,} follow: truncated file"
        )
    rows = _rows(data, header, before, vertex)
    return {name: rows[name] for name, kind, _ in vertex.properties if kind is not None}


def _about_lines(about: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Spread a two-level mapping over JSON lines, each short and ASCII.

    What is too long for a line is cut there; then pieces of the whole text follow.
    """
    lines, whole_text = [], json.dumps(about)
    cut = False
    for section, entries in about.items():
        packed: dict[str, Any] = {}
        for key, whole in entries.items():
            fits = len(json.dumps({section: {key: whole}})) <= _COMMENT
            value = whole if fits else f"{str(whole)[:50]} ..."  # 12 bytes each, at worst
            cut |= not fits
            if packed and len(json.dumps({section: {**packed, key: value}})) > _COMMENT:
                lines.append(json.dumps({section: packed}))
                packed = {}
            packed[key] = value
        if packed:
            lines.append(json.dumps({section: packed}))
    step = _COMMENT // 2  # every quote and backslash may need two bytes
    pieces = [whole_text[i : i + step] for i in range(0, len(whole_text), step)] if cut else []
    return lines + [json.dumps({"piece": [i, len(pieces), p]}) for i, p in enumerate(pieces)]


def write_ply(path: Path, columns: Columns, about: Mapping[str, Any]) -> None:
    """Write columns as a binary little-endian PLY, ``about`` as JSON comments."""
    from plyfile import PlyData, PlyElement

    rows = np.empty(len(columns["x"]), dtype=[(k, v.dtype) for k, v in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    vertex = PlyElement.describe(rows, "vertex")
    PlyData([vertex], byte_order="<", comments=_about_lines(about)).write(str(path))


def ply_about(path: Path) -> dict[str, Any]:
    """Return what the comments of a PLY that ``write_ply`` made say, {} for any other PLY."""
    with path.open("rb") as stream:
        header = _header(stream.read(1 << 24))
    about: dict[str, Any] = {}
    pieces: dict[int, str] = {}
    count = 0
    for line in header.comments:
        try:
            said = json.loads(line)
            if "piece" in said:
                number, count, text = said["piece"]
                pieces[number] = str(text)
            else:
                for section, entries in said.items():
                    labels = section == "labels"  # of other programs, too: those with numbers
                    known = {k: v for k, v in entries.items() if not labels or k.isdecimal()}
                    if known:
                        about[section] = {**about.get(section, {}), **known}
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # any other comment
    if count and sorted(pieces) == list(range(count)):
        about = json.loads("".join(pieces[i] for i in range(count)))
    return about
