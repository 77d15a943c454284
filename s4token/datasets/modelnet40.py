"""ModelNet40: CAD models in 40 categories, as OFF meshes and as the resampled text files.

Source: Wu et al., CVPR 2015; resampled with normals by Qi et al. for PointNet++.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from s4token.datasets.scans import (
    UP_Y,
    Scans,
    absent,
    choice,
    explained,
    folder,
    named_object,
    needed,
    table,
    unit_normals,
)
from s4token.meshes import sample_mesh
from s4token.types import Scan

CATEGORIES = (
    *("airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair"),
    *("cone", "cup", "curtain", "desk", "door", "dresser", "flower_pot", "glass_box", "guitar"),
    *("keyboard", "lamp", "laptop", "mantel", "monitor", "night_stand", "person", "piano"),
    *("plant", "radio", "range_hood", "sink", "sofa", "stairs", "stool", "table", "tent"),
    *("toilet", "tv_stand", "vase", "wardrobe", "xbox"),
)
SPLITS = ("test", "train")
PUBLISHED = {"test": 2468, "train": 9843}
POINTS = 8192
"""Points sampled on an OFF mesh."""


def _spoken(category: str) -> str:
    return category.replace("_", " ")


def _read_mesh(path: Path) -> Scan:
    with explained(path):
        columns, faces = sample_mesh(path, POINTS)
        if not faces:
            raise ValueError("no triangles: truncated, or not a mesh")
        points = np.stack([columns[a] for a in "xyz"], axis=1).astype(np.float32)
        return named_object(path.stem, _spoken(path.parents[1].name), points)


def modelnet40(root: str | Path, split: str = "test") -> Scans:
    """List ModelNet40's OFF files, ``<category>/test/<category>_0001.off``, z up.

    split: ``test``, or ``train`` to learn a probe from.
    The first line may be glued to the counts (``OFF490 518 0``), as in many of the files.
    Raises FileNotFoundError or ValueError, here and on reading, naming the file.
    """
    spec = f"modelnet40:{root}@{choice('split', split, SPLITS)}"
    place = folder(root, spec)
    items = []
    for category in CATEGORIES:
        found = sorted((place / category / split).glob("*.off"))
        if not found:
            raise absent(place / category / split / f"{category}_*.off", spec)
        items += found
    names = tuple(map(_spoken, CATEGORIES))
    whole = PUBLISHED[split]
    return Scans(
        spec, split, "classify", names, tuple(items), _read_mesh, lambda p: [p], published=whole
    )


def _read_table(path: Path) -> Scan:
    with explained(path):
        rows = table(path, 6, ",")
        normals = unit_normals(rows[:, 3:6])
        points = rows[:, :3].astype(np.float32)
        category = _spoken(path.parent.name)
        return named_object(path.stem, category, points, up=UP_Y, normals=normals)


def modelnet40_resampled(root: str | Path, split: str = "test") -> Scans:
    """List a split of ``modelnet40_normal_resampled``: 10,000 points with normals, y up.

    Needs ``modelnet40_shape_names.txt`` and ``modelnet40_test.txt``, or ``_train.txt``, beside the
    categories.
    Raises FileNotFoundError or ValueError, here and on reading, naming the file.
    """
    spec = f"modelnet40-resampled:{root}@{choice('split', split, SPLITS)}"
    place = folder(root, spec)
    names_file = needed(place / "modelnet40_shape_names.txt", spec)
    names = names_file.read_text(encoding="utf-8").split()
    items = []
    shapes = needed(place / f"modelnet40_{split}.txt", spec)
    for line in shapes.read_text(encoding="utf-8").split():
        category = line.rsplit("_", 1)[0]
        if category not in names:
            raise ValueError(f"{shapes}: '{line}' is of no category in {names_file.name}")
        items.append(place / category / f"{line}.txt")
    if not items:
        raise ValueError(f"{shapes}: lists no shape")
    spoken = tuple(map(_spoken, names))
    return Scans(spec, split, "classify", spoken, tuple(items), _read_table, lambda p: [p])
