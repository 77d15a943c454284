"""ScanNet v2 and ScanNet200: reconstructed rooms with semantic and instance labels.

Source: Dai et al., CVPR 2017 (arXiv 1702.04405); ScanNet200: Rozenberszki et al., ECCV 2022
(arXiv 2204.07761).
"""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from s4token.datasets.scannet200 import SCANNET200
from s4token.datasets.scans import Scans, choice, explained, folder, needed
from s4token.io import read
from s4token.ply import read_ply
from s4token.types import Scan

NYU40 = (
    *("wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf"),
    *("picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror"),
    *("floor mat", "clothes", "ceiling", "books", "refrigerator", "television", "paper", "towel"),
    *("shower curtain", "box", "whiteboard", "person", "night stand", "toilet", "sink", "lamp"),
    *("bathtub", "bag", "otherstructure", "otherfurniture", "otherprop"),
)
"""Names of the NYU40 classes; the id of a class is its position counted from 1."""
SCANNET20 = {
    i: NYU40[i - 1] for i in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)
}
"""NYU40 ids of the 20 classes of the benchmark, and their names."""
BACKGROUND = ("wall", "floor", "otherfurniture")
"""Left out of the foreground mIoU, as in RegionPLC's annotation-free table (arXiv 2304.00962)."""
SPLITS = ("train", "val", "test", "all")
TSV = "scannetv2-labels.combined.tsv"
_log = logging.getLogger(__name__)


def _split(root: Path, split: str, spec: str) -> tuple[str, ...]:
    """Return the names of the scenes of an official list, or of all scene folders."""
    if split == "all":
        with os.scandir(folder(root / "scans", spec)) as entries:
            names = sorted(e.name for e in entries if e.name.startswith("scene") and e.is_dir())
    else:
        name = f"scannetv2_{split}.txt"
        places = [root / name, root / "splits" / name, root / "Tasks" / "Benchmark" / name]
        path = next((p for p in places if p.is_file()), places[0])
        names = needed(path, spec).read_text(encoding="utf-8").split()
    if not names:
        raise ValueError(f"{root}: the split '{split}' lists no scene")
    return tuple(names)


def _paths(root: Path, split: str, name: str) -> list[Path]:
    """Return mesh, label mesh, over-segmentation and instances of a scene; a test scene: mesh."""
    place = root / ("scans_test" if split == "test" else "scans") / name
    tails = ["_vh_clean_2.ply", "_vh_clean_2.labels.ply", "_vh_clean_2.0.010000.segs.json"]
    paths = [place / f"{name}{tail}" for tail in [*tails, ".aggregation.json"]]
    return paths[:1] if split == "test" else paths


@lru_cache(maxsize=4)
def raw_ids(tsv: Path) -> dict[str, int]:
    """Return the id of every raw category in ``scannetv2-labels.combined.tsv``.

    Raises ValueError naming the file and the column that is missing.
    """
    with explained(tsv), tsv.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        if missing := {"id", "raw_category"} - set(rows.fieldnames or ()):
            raise ValueError(f"no column {', '.join(sorted(missing))}")
        return {row["raw_category"]: int(row["id"]) for row in rows}


def segment_groups(
    segs: Path, aggregation: Path, count: int
) -> tuple[Int[np.ndarray, "N"], list[str]]:
    """Return the instance of every vertex, 0 = none, and the raw category of every instance.

    Raises ValueError naming the file that does not fit ``count`` vertices.
    """
    with explained(segs):
        segments = np.asarray(json.loads(segs.read_text(encoding="utf-8"))["segIndices"])
        if segments.shape != (count,):
            raise ValueError(f"{len(segments):,} segment indices for {count:,} vertices")
    with explained(aggregation):
        groups = json.loads(aggregation.read_text(encoding="utf-8"))["segGroups"]
        return owners(segments, groups), [str(group["label"]) for group in groups]


def owners(
    segments: Int[np.ndarray, "N"], groups: Sequence[Mapping[str, Any]]
) -> Int[np.ndarray, "N"]:
    """Return which of ``segGroups`` holds the segment of each vertex, counted from 1, 0 = none.

    Raises ValueError naming an object that holds segments of which there is no vertex.
    """
    known, at_vertex = np.unique(segments, return_inverse=True)
    owner = np.zeros(len(known), dtype=np.int32)
    for number, group in enumerate(groups, start=1):
        at = np.searchsorted(known, group["segments"])
        fits = (at < len(known)) & (known[np.minimum(at, len(known) - 1)] == group["segments"])
        if not fits.all():
            raise ValueError(f"object {group['objectId']} has segments that no vertex has")
        owner[at] = number
    return owner[at_vertex]


def _table(ids: dict[int, str], size: int) -> np.ndarray:
    """Return what turns ids below ``size`` into labels 1 .. C, 0 for the rest."""
    table = np.zeros(size, dtype=np.int32)
    table[list(ids)] = np.arange(1, len(ids) + 1)
    return table


def scannet(root: str | Path, split: str = "val") -> Scans:
    """List ScanNet v2 with the 20 classes of the benchmark.

    split: ``train``, ``val``, ``test`` (no labels) by the official lists, or ``all`` folders.
    Raises FileNotFoundError or ValueError, here and on reading, naming the file.
    """
    spec = f"scannet:{root}@{choice('split', split, SPLITS)}"
    place = folder(root, spec)

    def read_scene(name: str) -> Scan:
        paths = _paths(place, split, name)
        cloud = read(paths[0])
        if split == "test":
            return Scan(name, cloud, classes=tuple(SCANNET20.values()))
        with explained(paths[1]):
            columns = read_ply(paths[1])
            if "label" not in columns:
                raise ValueError("the vertices have no property 'label'")
            nyu = columns["label"].astype(np.int64)
            if len(nyu) != len(cloud):
                raise ValueError(f"{len(nyu):,} labels for {len(cloud):,} vertices of the mesh")
            if nyu.min() < 0 or nyu.max() > 40:
                raise ValueError(f"label: expected NYU40 ids 0 .. 40, got up to {nyu.max()}")
        instances, _ = segment_groups(paths[2], paths[3], len(cloud))
        labels = _table(SCANNET20, 41)[nyu]
        return Scan(name, cloud, labels, tuple(SCANNET20.values()), instances)

    return Scans(
        spec,
        split,
        "segment",
        tuple(SCANNET20.values()),
        _split(place, split, spec),
        read_scene,
        lambda name: _paths(place, split, name),
        BACKGROUND,
    )


def scannet200(root: str | Path, split: str = "val") -> Scans:
    """List ScanNet v2 with the 200 classes of ScanNet200, by way of segments and raw categories.

    Raw categories that the label table does not hold are left unlabelled, which the log says.
    Raises as ``scannet`` does.
    """
    spec = f"scannet200:{root}@{choice('split', split, ('train', 'val', 'all'))}"
    place = folder(root, spec)
    tsv = place / TSV
    lookup = _table(SCANNET200, max(SCANNET200) + 1)

    def files(name: str) -> list[Path]:
        paths = _paths(place, split, name)
        return [paths[0], *paths[2:], tsv]

    def read_scene(name: str) -> Scan:
        mesh, segs, aggregation, _ = files(name)
        cloud = read(mesh)
        instances, raw = segment_groups(segs, aggregation, len(cloud))
        ids = raw_ids(tsv)
        if unknown := sorted({r for r in raw if r not in ids}):
            _log.warning("%s: not in %s: %s; left unlabelled", name, TSV, ", ".join(unknown))
        per_instance = np.array([0, *(ids.get(r, 0) for r in raw)])
        per_instance = np.where(per_instance < len(lookup), per_instance, 0)
        labels = lookup[per_instance][instances]
        return Scan(name, cloud, labels, tuple(SCANNET200.values()), instances)

    return Scans(
        spec,
        split,
        "segment",
        tuple(SCANNET200.values()),
        _split(place, split, spec),
        read_scene,
        files,
        ("wall", "floor"),
    )
