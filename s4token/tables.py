"""Text and NumPy files as named columns, and back."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Num

Columns = dict[str, np.ndarray]
"""The columns of a file, one value per point each, under the names that PLY gives them."""

XYZ = ("x", "y", "z")
RGB = ("red", "green", "blue")
NORMAL = ("nx", "ny", "nz")
_POINTS = ("points", "xyz", "coords", "positions", "pos", "vertices")
_COLORS = ("colors", "color", "rgb")
_NORMALS = ("normals", "normal")
_ABOUT = "about"
_NO_CLASS = ("unlabelled", "unlabeled")
_AXES = {"x": ("easting",), "y": ("northing",), "z": ("height", "elevation", "altitude")}
"""What surveyors call x, y and z."""
_log = logging.getLogger("s4token.io")
# Delimiter and decimal mark, in the order in which they are tried on a line.
_DIALECTS = ((None, "."), (",", "."), (";", "."), ("\t", "."), (";", ","), (None, ","))


def _are_colors(triple: np.ndarray) -> bool:
    if not np.isfinite(triple).all() or triple.min() < 0:
        return False
    most = triple.max()
    return bool(most <= 1 or (most <= 65535 and (triple == np.floor(triple)).all()))


def _unit_long(triple: np.ndarray) -> bool:
    length = np.linalg.norm(triple.astype(np.float64), axis=1)
    return bool(np.isfinite(length).all() and (np.abs(length - 1) < 1e-2).all())


def _are_normals(triple: np.ndarray, behind: np.ndarray) -> bool:
    if not _unit_long(triple):
        return False
    if triple.min() < 0 or (triple != np.floor(triple)).any():
        return True
    colors = behind[:, :3]  # else zeros and ones are taken for pure red, green, blue
    return colors.shape[1] == 3 and _are_colors(colors) and not _unit_long(colors)


def name_columns(table: Num[np.ndarray, "N K"], *, intensity_first: bool = False) -> Columns:
    """Name the columns of a nameless table: xyz, then colours and normals by their values.

    Colours are three columns in 0 .. 1, or whole and in 0 .. 255 (65535); normals have length 1.
    """
    if table.ndim != 2 or table.shape[1] < 3:
        raise ValueError(f"expected a table of x y z [red green blue] ..., got {table.shape}")
    columns: Columns = {name: table[:, i] for i, name in enumerate(XYZ)}
    at, width = 3, table.shape[1]
    if intensity_first and width in (4, 7):
        columns["intensity"], at = table[:, 3], 4
    while at < width:
        triple = table[:, at : at + 3]
        whole = triple.shape[1] == 3 and len(triple) > 0
        if whole and "nx" not in columns and _are_normals(triple, table[:, at + 3 :]):
            columns |= dict(zip(NORMAL, triple.T, strict=True))
            at += 3
        elif whole and "red" not in columns and _are_colors(triple):
            columns |= dict(zip(RGB, triple.T, strict=True))
            at += 3
        else:
            columns[f"column_{at + 1}"] = table[:, at]
            at += 1
    return columns


def _plain(line: str) -> str:
    """Return a line without a comment, quotes and delimiters at its end."""
    line = line.split("#", 1)[0]
    if '"' in line:  # a comma within quotes is a decimal mark, whatever delimits
        line = re.sub(r'"([^"]*)"', lambda quoted: quoted[1].replace(",", "."), line)
    return line.rstrip(" ,;\t")


def _numbers(line: str, delimiter: str | None, decimal: str) -> list[float] | None:
    """Parse a line, or return None when it is not three or more numbers."""
    words = [word.strip() for word in _plain(line).split(delimiter)]
    try:
        numbers = [float(word.replace(decimal, ".")) for word in words]
    except ValueError:
        return None
    return numbers if len(numbers) >= 3 else None


def _text(path: Path) -> str:
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:4096]:
        raise ValueError("is not text: it holds binary data")
    return data.decode("utf-8-sig", "replace")


def _data_start(lines: list[str]) -> tuple[int, str | None, str, int]:
    """Find the first line of numbers: its position, delimiter, decimal mark and width."""
    for i, line in enumerate(lines[:1000]):
        for delimiter, decimal in _DIALECTS:
            numbers = _numbers(line, delimiter, decimal)
            if numbers is not None:
                return i, delimiter, decimal, len(numbers)
    raise ValueError("has no line of three or more numbers (x y z [red green blue] ...)")


def _header_words(line: str, delimiter: str | None, width: int) -> list[str] | None:
    """Split a line above the data into one word per column, without quotes and units in brackets.

    None if it holds another number of words, or numbers. A column without a word has a number.
    """
    line = line.lstrip("#/ ").rstrip(" ,;\t")
    found = None
    for text in (re.sub(r"\s*(\[[^]]*\]|\([^)]*\))", "", line), line):
        one_each = [word.strip(" \t\"'") for word in text.split(delimiter or "\t")]
        one_each = [word or f"column_{i}" for i, word in enumerate(one_each, start=1)]
        for words in (one_each, re.split(r"[,;\s]+", text.replace('"', "").strip(" ,;\t"))):
            if len(words) == width and not any(re.fullmatch(r"[-+\d.,]+", w) for w in words):
                if len(set(words)) == width:  # n[0] n[1] do not without what is in brackets
                    return words
                found = found or words
    return found


def _column_names(words: list[str]) -> list[str] | None:
    """Return the names that a header gives, in small letters unless they repeat then.

    None if there is no x, y, z, whatever it is called, or a name stands twice.
    """
    low = [word.lower() for word in words]
    for axis, others in _AXES.items():
        if axis not in low and (found := [i for i, word in enumerate(low) if word in others]):
            low[found[0]] = axis
    names = [
        small if low.count(small) == 1 else word for small, word in zip(low, words, strict=True)
    ]
    return names if len(set(names)) == len(names) and set(XYZ) <= set(low) else None


def _header(path: Path, head: list[str], delimiter: str | None, width: int) -> list[str] | None:
    """Find the column names among the lines above the data, the last first; None if none has x y z.

    A warning says so if a line seems to name other columns.
    """
    other = None
    for line in reversed(head):
        words = _header_words(line, delimiter, width)
        if words and (names := _column_names(words)):
            return names
        if words and not line.lstrip().startswith(("#", "//")):
            other = other or words
    if other:
        _log.warning(
            "%s: the columns %s were read by position as x y z ...; name three of them x, y, z "
            "if that is wrong",
            path.name,
            ", ".join(other),
        )
    return None


def read_text(path: Path) -> Columns:
    """Read lines of numbers: any delimiter, an optional header or count line, # comments.

    Leica PTS (a first line with the count) has the intensity before the colours.
    ValueError says what is wrong with the file.
    """
    lines = [line for line in _text(path).splitlines() if line.strip()]
    start, delimiter, decimal, width = _data_start(lines)
    head, body = lines[:start], [_plain(line) for line in lines[start:]]
    if delimiter != ",":  # the first line may have had whole numbers only
        commas = any("," in line for line in body) and not any("." in line for line in body)
        decimal = "," if commas else decimal
    if decimal == ",":
        body = [line.replace(",", ".") for line in body]
    try:
        table = np.loadtxt(body, delimiter=delimiter, ndmin=2, comments=None)
    except ValueError as error:  # what follows ";" is advice to programmers
        raise ValueError(str(error).split(";")[0]) from error
    if head and head[-1].strip().isdecimal() and int(head[-1]) != len(table):
        raise ValueError(
            f"the first line promises {int(head[-1]):,} points, {len(table):,} follow: truncated?"
        )
    if names := _header(path, head, delimiter, width):
        return dict(zip(names, table.T, strict=True))
    return name_columns(table, intensity_first=path.suffix.lower() == ".pts")


def write_text(path: Path, columns: Columns, about: Mapping[str, Any]) -> None:
    """Write columns as text under a header line: commas for .csv, blanks otherwise."""
    comma = path.suffix.lower() == ".csv"
    forms = {"f4": "%.9g", "f8": "%.17g"}  # the digits that bring every bit back
    np.savetxt(
        path,
        np.stack([values.astype(np.float64) for values in columns.values()], axis=1),
        fmt=[forms.get(values.dtype.str[1:], "%d") for values in columns.values()],
        delimiter="," if comma else " ",
        header=("," if comma else " ").join(columns),
        comments="" if comma else "# ",
        encoding="utf-8",
    )


def _check_npy(stream: IO[bytes], size: int, name: str) -> None:
    """Refuse an array of Python objects, or one that claims more than its ``size`` bytes."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0
    shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(stream)
    if dtype.hasobject:
        raise ValueError(
            f"{name} holds Python objects, which are not read for safety; save plain numbers"
        )
    needed = stream.tell() + dtype.itemsize * int(np.prod([int(s) for s in shape], dtype=object))
    if needed > size:
        raise ValueError(
            f"{name} promises {shape} {dtype}, {needed:,} bytes, but there are {size:,}: truncated"
        )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Load an NPZ after checking every member's header."""
    if not zipfile.is_zipfile(path):
        raise ValueError("is not an NPZ (zip) file, or is truncated")
    with zipfile.ZipFile(path) as archive:
        members = [i for i in archive.infolist() if i.filename.endswith(".npy")]
        for info in members:
            with archive.open(info) as stream:
                _check_npy(stream, info.file_size, f"array {info.filename[:-4]!r}")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _first(arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray | None:
    return next((arrays[name] for name in names if name in arrays), None)


def _ours(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether a labelled cloud was written by ``write_npz``."""
    return _ABOUT in arrays and arrays[_ABOUT].shape == () and arrays[_ABOUT].dtype.kind == "U"


def _classes(arrays: Mapping[str, np.ndarray]) -> tuple[list[str], np.ndarray]:
    """Return the class names without "unlabelled", and the label of every index into names.

    In a file of ``write_npz`` every name is a class.
    """
    names = [str(name) for name in np.atleast_1d(arrays["names"])]
    named = [_ours(arrays) or name.lower() not in _NO_CLASS for name in names]
    named = np.array(named, dtype=bool)
    labels = np.append(np.where(named, np.cumsum(named), 0), 0)  # the last one is for index -1
    return [name for name, keep in zip(names, named, strict=True) if keep], labels


def _labelled(arrays: Mapping[str, np.ndarray], columns: Columns) -> None:
    """Turn indices into ``names`` into labels, where 0 means unlabelled."""
    _, of_index = _classes(arrays)
    index = columns["label"]
    if index.dtype.kind not in "iu" or index.max() >= len(of_index) - 1:
        raise ValueError(
            f"label: expected integers below {len(of_index) - 1}, one per name, got "
            f"{index.dtype} up to {index.max()}"
        )
    columns["label"] = of_index[np.maximum(index, -1)].astype(np.int32)
    if _ours(arrays):
        return
    counted = "instance_model" in arrays  # one entry per instance, so 0 is an instance
    if "instance" in columns and (counted or columns["instance"].min() < 0):
        columns["instance"] = np.maximum(columns["instance"].astype(np.int64) + 1, 0)


def read_npz(path: Path) -> Columns:
    """Read points, colors, normals and every array of one number per point from an NPZ.

    ``label`` comes back as 0 = unlabelled, i = class i, also where the file counts from 0
    (it has ``names``). ValueError says what is wrong with the file.
    """
    arrays = _arrays(path)
    points = _first(arrays, _POINTS)
    if points is None:
        held = ", ".join(arrays) or "nothing"
        raise ValueError(f"has no array 'points' (N, 3); it holds {held}")
    columns = name_columns(points)
    for names, keys in ((RGB, _COLORS), (NORMAL, _NORMALS)):
        array = _first(arrays, keys)
        if array is None:
            continue
        if array.ndim != 2 or array.shape[1] < 3 or len(array) != len(points):
            raise ValueError(f"{keys[0]}: expected ({len(points)}, 3), got {array.shape}")
        columns |= dict(zip(names, array.T[:3], strict=True))
    for name, array in arrays.items():
        singular = {"labels": "label", "instances": "instance"}.get(name, name)
        if array.shape == (len(points),) and array.dtype.kind in "biuf" and singular not in columns:
            columns[singular] = array
    if "names" in arrays and "label" in columns and len(points):
        _labelled(arrays, columns)
    return columns


def npz_about(path: Path) -> dict[str, Any]:
    """Return what an NPZ of ``write_npz`` says as a whole, or the names that another one has."""
    with np.load(path, allow_pickle=False) as arrays:
        if _ours(arrays):
            about = json.loads(str(arrays[_ABOUT]))
            return about if isinstance(about, dict) else {}
        names = _classes(arrays)[0] if "names" in arrays else []
    return {"labels": {str(i): name for i, name in enumerate(names, start=1)}} if names else {}


def write_npz(path: Path, columns: Columns, about: Mapping[str, Any]) -> None:
    """Write points, colors, normals, the other columns and, counted from 0, label and names.

    ``about`` is the array of that name, one JSON text.
    """
    rest = dict(columns)
    arrays = {}
    for name, keys in (("points", XYZ), ("colors", RGB), ("normals", NORMAL)):
        if keys[0] in rest:
            arrays[name] = np.stack([rest.pop(key) for key in keys], axis=1)
    if "labels" in about:
        rest["label"] = rest["label"].astype(np.int32) - 1
        arrays["names"] = np.array(list(about["labels"].values()), dtype=np.str_)
        arrays[_ABOUT] = np.array(json.dumps(about))
    with zipfile.ZipFile(path, "w") as archive:  # np.savez has no room for a column named "file"
        for name, array in {**rest, **arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def read_npy(path: Path) -> Columns:
    """Read an NPY of shape (N, 3 or more), or a structured array by its field names."""
    with path.open("rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise ValueError("does not begin as NPY files do: not an NPY file")
        stream.seek(0)
        _check_npy(stream, path.stat().st_size, "the array")
    table = np.load(path, allow_pickle=False)
    if table.dtype.names:
        return {name: table[name] for name in table.dtype.names if table[name].ndim == 1}
    return name_columns(table)
