"""Packs of coloured, named objects (``objects.npz``): furniture for rooms, and a test set."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np

from s4token.datasets.scans import Scans, choice, named_object
from s4token.materials import CERAMICS, FABRICS, METALS, PLASTICS, WOODS, tinted
from s4token.synthetic import Named
from s4token.types import Scan

HELD_OUT, HELD_SEED = 0.05, 2
"""Share and seed of the objects that no training scene or picture shows: for measuring."""
SPLITS = {
    "all": "whole pack; not held out from a model that was trained with it",
    "held-out": "held out: in no training room, in no training picture (share 0.05, seed 2)",
    "seen": "seen: in training rooms and in training pictures of single objects",
}
"""What a row says about the split of a pack."""


def split(count: int, share: float, seed: int) -> np.ndarray:
    """Return a mask of what is held out: of a longer list, the same and some more."""
    chance = np.random.default_rng(seed).random(count)
    held = chance < share
    held[:1] |= not held.any()
    return held


def objects(path: str | Path) -> list[Named]:
    """Read a pack of coloured objects (``objects.npz``) to furnish synthetic rooms with.

    Arrays: points uint16 (n, 3), colors uint8 (n, 3), offsets int64 (k + 1), category, scale,
    coloured (k). An object without colours of its own gets one plausible colour, the same on
    every reading.

    Raises FileNotFoundError, or ValueError naming the file and what it lacks.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such object pack")
    if not is_zipfile(path):
        raise ValueError(f"{path.name}: not an .npz file, or cut off; get the pack again")
    wanted = ("points", "colors", "offsets", "category", "scale", "coloured")
    try:
        with np.load(path, allow_pickle=False) as pack:
            missing = [name for name in wanted if name not in pack]
            if missing:
                raise ValueError(f"{path.name}: no array {', '.join(missing)}; not an object pack")
            points, colors, offsets, category, scale, coloured = (pack[name] for name in wanted)
    except (OSError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path.name}: not a readable .npz file ({error})") from error
    if offsets[0] != 0 or offsets[-1] != len(points) or len(category) != len(offsets) - 1:
        raise ValueError(f"{path.name}: offsets do not match {len(points):,} points")
    things = []
    for i in range(len(category)):
        part = slice(int(offsets[i]), int(offsets[i + 1]))
        shown = colors[part].astype(np.float32) / 255
        if not coloured[i]:
            rng = np.random.default_rng(i)
            shade = shown.mean(axis=1, keepdims=True) / max(float(shown.mean()), 1e-3)
            shown = shade * tinted(rng, WOODS + METALS + FABRICS + PLASTICS + CERAMICS)
        unit = points[part].astype(np.float32) / 65535
        shown = np.clip(shown, 0, 1).astype(np.float32)
        things.append(Named(unit, shown, str(category[i]), float(scale[i])))
    return things


def training_objects(path: str | Path) -> list[Named]:
    """Read a pack without the objects that are held out, to furnish training rooms with."""
    named = objects(path)
    held = split(len(named), HELD_OUT, HELD_SEED)
    return [thing for thing, out in zip(named, held, strict=True) if not out]


def object_scans(path: str | Path, part: str = "all") -> Scans:
    """List the objects of a pack as scans with a category; the pack itself is held in memory.

    part: ``all``, ``held-out`` (the objects that training left out) or ``seen`` (the others). The
    categories are those of the whole pack, whatever the split. Raises as ``objects`` does.
    """
    path = Path(path)
    stated = SPLITS[choice("split", part, tuple(SPLITS))]
    things = objects(path)
    categories = tuple(sorted({thing.category for thing in things}))

    def read_one(index: int) -> Scan:
        thing = things[index]
        return named_object(
            f"{path.stem} {index}", thing.category, thing.points, colors=thing.colors
        )

    held = split(len(things), HELD_OUT, HELD_SEED)
    chosen = {"all": held | True, "held-out": held, "seen": ~held}[part]
    items = tuple(np.flatnonzero(chosen).tolist())
    spec = f"objects:{path}" + ("" if part == "all" else f"@{part}")
    return Scans(spec, stated, "classify", categories, items, read_one, lambda i: [path])
