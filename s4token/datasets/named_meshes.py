"""Folders of meshes, one folder per category: ``<category>/<model>.{obj,glb,gltf,ply,off,stl}``."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from s4token.datasets.scans import Scans, explained, folder, named_object
from s4token.io import read
from s4token.meshes import sample_mesh
from s4token.types import Scan

POINTS = 8192
"""Points sampled on a mesh; a PLY gives its vertices."""
SUFFIXES = (".obj", ".glb", ".gltf", ".ply", ".off", ".stl")
BESIDE = (".mtl", ".png", ".jpg", ".jpeg", ".bin", ".txt", ".md", ".json")
"""What may lie beside meshes without a word in the log."""
_log = logging.getLogger(__name__)


def _read_model(path: Path) -> Scan:
    category = path.parent.name.replace("_", " ")
    if path.suffix.lower() == ".ply":
        cloud = read(path)
        return Scan(path.stem, cloud, category=category)
    with explained(path):
        columns, _ = sample_mesh(path, POINTS)
        points = np.stack([columns[a] for a in "xyz"], axis=1).astype(np.float32)
        rgb = [columns[a] for a in ("red", "green", "blue") if a in columns]
        colors = np.stack(rgb, axis=1) if rgb else None
        return named_object(path.stem, category, points, colors=colors)


def named_meshes(root: str | Path) -> Scans:
    """List a folder of category folders; the folder names, "_" as a blank, are the categories.

    Files of other kinds are named in the log and left out. Raises FileNotFoundError, or ValueError
    when there is no mesh, or a category folder has none.
    """
    spec = f"meshes:{root}"
    place = folder(root, spec)
    items: list[Path] = []
    names: list[str] = []
    for category in sorted(p for p in place.iterdir() if p.is_dir() and p.name[0] != "."):
        inside = sorted(p for p in category.iterdir() if p.is_file())
        found = [p for p in inside if p.suffix.lower() in SUFFIXES]
        if not found:
            raise ValueError(f"{category}: no mesh in it ({', '.join(SUFFIXES)})")
        for path in inside:
            if path.suffix.lower() not in (*SUFFIXES, *BESIDE):
                _log.warning("%s: no mesh that can be read; left out", path)
        items += found
        names.append(category.name.replace("_", " "))
    if not items:
        raise ValueError(f"{place}: no category folder in it; expected <category>/<model>.obj")
    return Scans(spec, "all", "classify", tuple(names), tuple(items), _read_model, lambda p: [p])
