"""SemanticKITTI: sweeps of a car's laser scanner. Source: Behley et al., ICCV 2019 (1904.01416)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from s4token.datasets.scans import Scans, absent, choice, explained, folder
from s4token.types import PointCloud, Scan

CLASSES = (
    *("car", "bicycle", "motorcycle", "truck", "other vehicle", "person", "bicyclist"),
    *("motorcyclist", "road", "parking", "sidewalk", "other ground", "building", "fence"),
    *("vegetation", "trunk", "terrain", "pole", "traffic sign"),
)
BACKGROUND = ("road", "parking", "sidewalk", "other ground", "building", "vegetation", "terrain")
"""Left out of the foreground mIoU."""
IDS: dict[str, tuple[int, ...]] = {
    **{"": (0, 1, 52, 99), "car": (10, 252), "bicycle": (11,), "motorcycle": (15,)},
    **{"truck": (18, 258), "other vehicle": (20, 13, 16, 256, 257, 259), "person": (30, 254)},
    **{"bicyclist": (31, 253), "motorcyclist": (32, 255), "road": (40, 60), "parking": (44,)},
    **{"sidewalk": (48,), "other ground": (49,), "building": (50,), "fence": (51,)},
    **{"vegetation": (70,), "trunk": (71,), "terrain": (72,), "pole": (80,)},
    **{"traffic sign": (81,)},
}
"""Raw ids of each class of the single-scan benchmark, its own first; "" is left out of it."""
SEQUENCES = {
    "val": ("08",),
    "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
}
PUBLISHED = {"val": 4071, "train": 19130}
_UNKNOWN = -1


def _lookup() -> np.ndarray:
    table = np.full(1 << 16, _UNKNOWN, dtype=np.int32)
    for name, ids in IDS.items():
        table[list(ids)] = CLASSES.index(name) + 1 if name else 0
    return table


def _label_file(sweep: Path) -> Path:
    return sweep.parents[1] / "labels" / f"{sweep.stem}.label"


def _read_sweep(sweep: Path) -> Scan:
    with explained(sweep):
        size = sweep.stat().st_size
        if size == 0 or size % 16:
            raise ValueError(f"{size:,} bytes are no whole number of points of 16: truncated")
        rows = np.fromfile(sweep, "<f4").reshape(-1, 4)
        cloud = PointCloud(rows[:, :3], attributes={"intensity": rows[:, 3]})
    path = _label_file(sweep)
    with explained(path):
        raw = np.fromfile(path, "<u4")
        if path.stat().st_size != 4 * len(rows):
            raise ValueError(f"{path.stat().st_size:,} bytes for {len(rows):,} points of 4")
        labels = _lookup()[raw & 0xFFFF]
        if (labels == _UNKNOWN).any():
            first = int((raw & 0xFFFF)[labels == _UNKNOWN][0])
            raise ValueError(f"the class id {first} is none of SemanticKITTI's")
    sequence = sweep.parents[1].name
    instances = (raw >> 16).astype(np.int32)
    return Scan(f"{sequence}/{sweep.stem}", cloud, labels, CLASSES, instances)


def semantickitti(root: str | Path, split: str = "val") -> Scans:
    """List the sweeps of ``sequences/08`` (val) or of the training sequences, in the car's frame.

    The lower 16 bits of a label are the class, the upper 16 the instance (unique per class).
    Raises FileNotFoundError or ValueError, here and on reading, naming the file.
    """
    spec = f"semantickitti:{root}@{choice('split', split, tuple(SEQUENCES))}"
    place = folder(root, spec) / "sequences"
    items: list[Path] = []
    for sequence in SEQUENCES[split]:
        sweeps, labels = place / sequence / "velodyne", place / sequence / "labels"
        found = {*sweeps.glob("*.bin"), *(sweeps / f"{p.stem}.bin" for p in labels.glob("*.label"))}
        if not found:
            raise absent(sweeps / "000000.bin", spec)
        items += sorted(found)
    return Scans(
        spec,
        split,
        "segment",
        CLASSES,
        tuple(items),
        _read_sweep,
        lambda p: [p, _label_file(p)],
        BACKGROUND,
        PUBLISHED[split],
    )
