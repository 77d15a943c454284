"""A data set as a lazy sequence of scans, and what is missing of it on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from s4token.types import PointCloud, Scan

Task = Literal["segment", "classify", "parts"]
UP_Y = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True, eq=False)
class Scans(Sequence[Scan]):
    """Hold a list of what to read; nothing is read before it is indexed, nothing is kept.

    spec: how the command line names it, such as ``scannet:ROOT@val``; split: which part.
    classes: names of labels (task ``segment``) or categories (``classify``, ``parts``).
    items: one entry per scan, given to ``read_item``; ``files_of`` names the files it needs.
    background: classes left out of the foreground mIoU.
    published: entries of the whole split, where no list of them comes with the files.
    """

    spec: str
    split: str
    task: Task
    classes: tuple[str, ...]
    items: tuple[Any, ...]
    read_item: Callable[[Any], Scan]
    files_of: Callable[[Any], Sequence[Path]]
    background: tuple[str, ...] = ()
    published: int | None = None

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Scan: ...
    @overload
    def __getitem__(self, index: slice) -> Scans: ...
    def __getitem__(self, index: int | slice) -> Scan | Scans:
        """Read one scan, or select some without reading.

        Raises FileNotFoundError naming the first missing file and how to check the whole set, or
        ValueError that begins with the file's name.
        """
        if isinstance(index, slice):
            return replace(self, items=self.items[index])
        item = self.items[index]
        for path in self.files_of(item):
            if not path.is_file():
                raise absent(path, self.spec)
        return self.read_item(item)

    def subset(self, count: int | None) -> Scans:
        """Return ``count`` entries evenly spread over the list, or all."""
        if count is None or count >= len(self):
            return self
        if count < 1:
            raise ValueError(f"limit: expected at least 1 scan, got {count}")
        at = np.linspace(0, len(self) - 1, count).round().astype(int)
        return replace(self, items=tuple(self.items[i] for i in at))

    def missing(self) -> Iterator[Path]:
        """Yield every file that some entry needs and that is not there, or empty, in order."""
        seen: set[Path] = set()
        for item in self.items:
            for path in self.files_of(item):
                if path not in seen:
                    seen.add(path)
                    if not path.is_file() or not path.stat().st_size:
                        yield path


def joined(data: Sequence[Scans], groups: Sequence[str]) -> list[Scans]:
    """Return data sets in which names that mean nearly the same count as one class.

    groups: names between bars, as ``"table | desk"``; the class is called as the group, less what
    a data set has no class for, and takes the place of its first name. Raises ValueError for less
    than two names, a name in two groups, one that none of the data has, or data of another task.
    """
    words = [[w.strip() for w in group.split("|")] for group in groups]
    listed = [word for group in words for word in group]
    for entry in data if groups else ():
        if entry.task != "segment":
            raise ValueError(f"join: {entry.spec} is no set of labelled scans")
    known = {c for e in data if groups for c in (e.classes if e.split != "file" else e[0].classes)}
    for group, text in zip(words, groups, strict=True):
        if len(group) < 2:
            raise ValueError(f"join: expected names between bars, as 'table | desk', got '{text}'")
        for word in group:
            if listed.count(word) > 1:
                raise ValueError(f"join: '{word}' is named twice")
            if word not in known:
                raise ValueError(f"join: no class is called '{word}'; there are {_some(known)}")
    return [_joined(entry, words) for entry in data]


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:40]) + (", ..." if len(names) > 40 else "")


def _joined(entry: Scans, groups: Sequence[Sequence[str]]) -> Scans:
    def called(classes: Sequence[str]) -> list[str]:
        own = [[w for w in group if w in classes] for group in groups]
        name = {word: " | ".join(group) for group in own for word in group}
        return [name.get(c, c) for c in classes]

    def read(item: Any) -> Scan:
        scan = entry.read_item(item)
        names = called(scan.classes)
        classes = tuple(dict.fromkeys(names))
        table = np.array([0, *(classes.index(n) + 1 for n in names)], np.int32)
        labels = None if scan.labels is None else table[scan.labels]
        return replace(scan, labels=labels, classes=classes)

    if not groups:
        return entry
    names = called(entry.classes)
    left_out = [n for n, c in zip(names, entry.classes, strict=True) if c in entry.background]
    return replace(
        entry,
        classes=tuple(dict.fromkeys(names)),
        background=tuple(dict.fromkeys(left_out)),
        read_item=read,
    )


def absent(path: Path, spec: str) -> FileNotFoundError:
    """Return the error for a missing file of a data set, with the command that lists them all."""
    return FileNotFoundError(
        f"{path}: missing or empty; `python -m s4token check {spec}` lists what is, and "
        "docs/datasets.md says how the folder must look"
    )


def needed(path: Path, spec: str) -> Path:
    """Return a file that the listing itself needs, or raise ``absent``."""
    if not path.is_file():
        raise absent(path, spec)
    return path


def folder(root: str | Path, spec: str) -> Path:
    """Return the root folder of a data set, or raise FileNotFoundError."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: no such folder; docs/datasets.md says how it must look, and "
            f"`python -m s4token check {spec}` what is missing of it"
        )
    return root


def choice(name: str, value: str, known: Sequence[str]) -> str:
    """Return a split or variant that exists, or raise ValueError listing those that do."""
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got '{value}'")
    return value


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside a file into one ValueError that begins with its name."""
    try:
        yield
    except (ImportError, FileNotFoundError):
        raise
    except Exception as error:  # parsers of foreign bytes raise anything
        text = " ".join(str(error).split())[:300]
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        raise ValueError(f"{path}: {kind}{text}") from error


def table(source: Path | Sequence[str], columns: int, delimiter: str | None = None) -> np.ndarray:
    """Read a text file, or its lines, of at least ``columns`` numbers a line, float64."""
    if isinstance(source, Path) and not source.stat().st_size:
        raise ValueError("the file is empty")
    rows = np.loadtxt(source, delimiter=delimiter, ndmin=2, comments=None)
    if rows.shape[1] < columns or len(rows) == 0:
        raise ValueError(f"expected {columns} numbers a line, got a table of {rows.shape}")
    return rows


def unit_normals(normals: np.ndarray) -> np.ndarray | None:
    """Return unit normals, or None when some have no length."""
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / length if (length > 0).all() and np.isfinite(length).all() else None


def named_object(
    name: str, category: str, points: np.ndarray, *, up: np.ndarray | None = None, **columns: Any
) -> Scan:
    """Return one object as a Scan with a category and no point labels."""
    cloud = PointCloud(points, **columns) if up is None else PointCloud(points, up=up, **columns)
    return Scan(name, cloud, category=category)
