"""S3DIS (Stanford large-scale 3D indoor spaces): rooms of six areas, one text file per object.

Source: Armeni et al., CVPR 2016. The files of version 1.2 hold a few bytes that a flipped bit made
of digits, the best known in Area_5/hallway_6/Annotations/ceiling_1.txt, line 180389
(``103.0?0000``): they are repaired on reading, and the log says so.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np

from s4token.datasets.scans import Scans, choice, explained, folder, table
from s4token.types import PointCloud, Scan

CLASSES = (
    *("ceiling", "floor", "wall", "beam", "column", "window", "door", "table", "chair", "sofa"),
    *("bookcase", "board", "clutter"),
)
BACKGROUND = ("ceiling", "floor", "wall", "clutter")
"""Left out of the foreground mIoU."""
AREAS = tuple(f"area{i}" for i in range(1, 7))
SPLITS = (*AREAS, "6fold")
ROOMS = (44, 40, 23, 49, 68, 48)
"""Published rooms of each area."""
OTHER = {"stairs": "clutter"}
"""Objects outside the 13 classes, which the field counts as clutter (PointNet, 1612.00593)."""
_FLIPPED = re.compile(rb"[\x10-\x19]")  # a digit whose bit 5 is off
_log = logging.getLogger(__name__)


def _object(path: Path) -> np.ndarray:
    """Read one object: x y z in metres, r g b in 0 .. 255, (N, 6) float64."""
    with explained(path):
        data = path.read_bytes()
        if _FLIPPED.search(data):
            for number, line in enumerate(data.split(b"\n"), start=1):
                if _FLIPPED.search(line):
                    _log.warning(
                        "%s, line %d: a control byte stands for a digit (%s); repaired",
                        "/".join(path.parts[-4:]),
                        number,
                        line.decode("latin-1").strip().encode("unicode_escape").decode(),
                    )
            data = _FLIPPED.sub(lambda found: bytes([found[0][0] | 0x20]), data)
        try:
            lines = data.decode("ascii").splitlines()
        except UnicodeDecodeError as error:
            number = data[: error.start].count(b"\n") + 1
            raise ValueError(f"line {number} holds bytes that are no number") from error
        rows = table(lines, 6)
        return rows[:, :6]


def _objects(room: Path) -> list[Path]:
    """Return the object files of a room, without the thumbnails and lists of macOS and Windows."""
    return sorted(p for p in (room / "Annotations").glob("*.txt") if not p.name.startswith("."))


def _read_room(room: Path) -> Scan:
    paths = _objects(room)
    if not paths:
        raise ValueError(f"{room / 'Annotations'}: no object file *.txt; unpack the room again")
    parts, labels = [], []
    for path in paths:
        kind = path.stem.rsplit("_", 1)[0]
        kind = OTHER.get(kind, kind)
        if kind not in CLASSES:
            raise ValueError(f"{path}: '{kind}' is none of the classes {', '.join(CLASSES)}")
        parts.append(_object(path))
        labels.append(CLASSES.index(kind) + 1)
    sizes = [len(p) for p in parts]
    rows = np.concatenate(parts)
    if rows[:, 3:].min() < 0 or rows[:, 3:].max() > 255:
        raise ValueError(f"{room}: colours outside 0 .. 255")
    cloud = PointCloud(rows[:, :3].astype(np.float32), rows[:, 3:] / 255)
    numbers = np.arange(1, len(parts) + 1)
    return Scan(
        f"{room.parent.name}/{room.name}",
        cloud,
        np.repeat(np.array(labels, np.int32), sizes),
        CLASSES,
        np.repeat(numbers, sizes),
    )


def s3dis(root: str | Path, split: str = "area5") -> Scans:
    """List the rooms of one area (``area1`` .. ``area6``) or of all six (``6fold``).

    Without training there are no folds: ``6fold`` scores every room of the six areas together.
    Raises FileNotFoundError or ValueError, here and on reading, naming the file.
    """
    spec = f"s3dis:{root}@{choice('split', split, SPLITS)}"
    place = folder(root, spec)
    numbers = range(1, 7) if split == "6fold" else [int(split[-1])]
    rooms: list[Path] = []
    for number in numbers:
        area = folder(place / f"Area_{number}", spec)
        found = sorted(p for p in area.iterdir() if p.is_dir() and not p.name.startswith("."))
        if not found:
            raise ValueError(f"{area}: no room in it; unpack Stanford3dDataset_v1.2 again")
        rooms += found
    listed = lambda room: _objects(room) or [room / "Annotations" / "*.txt"]  # noqa: E731
    whole = sum(ROOMS[number - 1] for number in numbers)
    return Scans(
        spec, split, "segment", CLASSES, tuple(rooms), _read_room, listed, BACKGROUND, whole
    )
