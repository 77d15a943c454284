"""ShapeNetPart: 16 categories of CAD shapes, 50 parts. Source: Yi et al., SIGGRAPH Asia 2016."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from s4token.datasets.hdf5 import row, shapes
from s4token.datasets.scans import (
    UP_Y,
    Scans,
    choice,
    explained,
    folder,
    needed,
    table,
    unit_normals,
)
from s4token.types import PointCloud, Scan

PARTS: dict[str, tuple[int, tuple[str, ...]]] = {
    "airplane": (0, ("body", "wing", "tail", "engine")),
    "bag": (4, ("handle", "body")),
    "cap": (6, ("panel", "peak")),
    "car": (8, ("roof", "hood", "wheel", "body")),
    "chair": (12, ("back", "seat", "leg", "arm")),
    "earphone": (16, ("earcup", "headband", "wire")),
    "guitar": (19, ("head", "neck", "body")),
    "knife": (22, ("blade", "handle")),
    "lamp": (24, ("pole", "shade", "canopy", "tube")),
    "laptop": (28, ("keyboard", "screen")),
    "motorbike": (30, ("gas tank", "seat", "wheel", "handlebar", "light", "frame")),
    "mug": (36, ("handle", "body")),
    "pistol": (38, ("barrel", "grip", "trigger")),
    "rocket": (41, ("body", "fin", "nose")),
    "skateboard": (44, ("wheel", "deck", "belt")),
    "table": (47, ("top", "leg", "drawer")),
}
"""First part number and part names of each category. The files number parts without naming them;
these one-word names were written down before any score was seen, and are never searched over."""
SPLITS = ("test", "val", "train")


def _scan(name: str, category: str, points: np.ndarray, parts: np.ndarray, normals=None) -> Scan:
    first, names = PARTS[category]
    own = parts.astype(np.int64) - first
    if own.min() < 0 or own.max() >= len(names):
        raise ValueError(
            f"part numbers {parts.min():g} .. {parts.max():g}; a {category} has "
            f"{first} .. {first + len(names) - 1}"
        )
    cloud = PointCloud(points.astype(np.float32), normals=normals, up=UP_Y)
    return Scan(name, cloud, own + 1, names, category=category)


def shapenetpart(root: str | Path, split: str = "test") -> Scans:
    """List ``shapenetcore_partanno_segmentation_benchmark_v0_normal``: text files, y up.

    Labels of a scan are the parts of its own category. Needs ``synsetoffset2category.txt`` and
    ``train_test_split/shuffled_<split>_file_list.json``.
    Raises FileNotFoundError or ValueError, here and on reading, naming the file.
    """
    spec = f"shapenetpart:{root}@{choice('split', split, SPLITS)}"
    place = folder(root, spec)
    table_file = needed(place / "synsetoffset2category.txt", spec)
    with explained(table_file):
        rows = [line.split() for line in table_file.read_text().splitlines() if line.strip()]
        categories = {offset: name.lower() for name, offset in rows}
        if unknown := set(categories.values()) - set(PARTS):
            raise ValueError(f"'{min(unknown)}' is none of {', '.join(PARTS)}")
    listing = needed(place / "train_test_split" / f"shuffled_{split}_file_list.json", spec)
    with explained(listing):
        entries = [str(e).split("/")[-2:] for e in json.loads(listing.read_text())]
        if stray := [e for e in entries if len(e) != 2 or e[0] not in categories]:
            raise ValueError(f"'{'/'.join(stray[0])}' is of no category in {table_file.name}")
        items = tuple(place / offset / f"{name}.txt" for offset, name in entries)
        if not items:
            raise ValueError("lists no shape")

    def read_one(path: Path) -> Scan:
        with explained(path):
            rows = table(path, 7)
            normals = unit_normals(rows[:, 3:6])
            return _scan(path.stem, categories[path.parent.name], rows[:, :3], rows[:, 6], normals)

    return Scans(spec, split, "parts", tuple(PARTS), items, read_one, lambda p: [p])


def shapenetpart_h5(root: str | Path, split: str = "test") -> Scans:
    """List the release with 2,048 points a shape: ``hdf5_data``, ``test_hdf5_file_list.txt``.

    Raises as ``shapenetpart`` does, and ImportError with the command that installs h5py.
    """
    spec = f"shapenetpart-h5:{root}@{choice('split', split, SPLITS)}"
    place = folder(root, spec)
    listing = needed(place / f"{split}_hdf5_file_list.txt", spec)
    names = [Path(line.strip()).name for line in listing.read_text().splitlines() if line.strip()]
    items: list[tuple[Path, int]] = []
    for name in names:
        path = needed(place / name, spec)
        data, labels, parts = shapes(path, "data", "label", "pid")
        if len(data) != 3 or data[2] != 3 or labels[0] != data[0] or parts != data[:2]:
            raise ValueError(f"{path}: shapes {data}, {labels}, {parts} of data, label, pid differ")
        items += [(path, i) for i in range(data[0])]
    if not items:
        raise ValueError(f"{listing}: lists no shape")

    def read_one(item: tuple[Path, int]) -> Scan:
        path, index = item
        points, label, parts = row(path, index, "data", "label", "pid")
        with explained(path):
            number = int(label.ravel()[0])
            if not 0 <= number < len(PARTS):
                raise ValueError(f"label {number} of shape {index} is none of 0 .. 15")
            return _scan(f"{path.stem} {index}", tuple(PARTS)[number], points, parts)

    return Scans(spec, split, "parts", tuple(PARTS), tuple(items), read_one, lambda i: [i[0]])
