"""Data sets in their official layouts, as lazy sequences of ``Scan``: see docs/datasets.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from s4token.datasets.folder import folder
from s4token.datasets.modelnet40 import modelnet40, modelnet40_resampled
from s4token.datasets.named_meshes import named_meshes
from s4token.datasets.packs import object_scans, objects
from s4token.datasets.s3dis import s3dis
from s4token.datasets.scannet import scannet, scannet200
from s4token.datasets.scanobjectnn import scanobjectnn
from s4token.datasets.scans import Scans, joined
from s4token.datasets.semantickitti import semantickitti
from s4token.datasets.shapenetpart import shapenetpart, shapenetpart_h5
from s4token.io import read_scan
from s4token.synthetic import Named

READERS: dict[str, Callable[..., Scans]] = {
    "scannet": scannet,
    "scannet200": scannet200,
    "s3dis": s3dis,
    "semantickitti": semantickitti,
    "modelnet40": modelnet40,
    "modelnet40-resampled": modelnet40_resampled,
    "scanobjectnn": scanobjectnn,
    "shapenetpart": shapenetpart,
    "shapenetpart-h5": shapenetpart_h5,
    "meshes": named_meshes,
    "objects": object_scans,
    "folder": folder,
}
"""What ``NAME:ROOT`` and ``NAME:ROOT@SPLIT`` call."""


def open_data(spec: str) -> Scans:
    """List a data set by ``NAME:ROOT``, ``NAME:ROOT@SPLIT``, or the path of one labelled scan.

    Raises FileNotFoundError or ValueError naming what is missing or unknown.
    """
    name, colon, rest = spec.partition(":")
    if not colon or Path(spec).exists():
        path = Path(spec)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; known data sets: {', '.join(READERS)}")
        return Scans(spec, "file", "segment", (), (path,), read_scan, lambda p: [p])
    if name not in READERS:
        raise ValueError(
            f"data: no reader for '{name}:'; known are {', '.join(READERS)}, or give a labelled "
            ".npz or .ply"
        )
    root, at, split = rest.rpartition("@")
    root, options = (root, [split]) if at and not Path(rest).exists() else (rest, [])
    if name == "scanobjectnn" and not options:
        raise ValueError(f"data: name the variant, as in {spec}@PB_T50_RS (or OBJ_ONLY, OBJ_BG)")
    if options and name in ("meshes", "folder"):
        raise ValueError(f"data: '{name}' has one split only; leave out @{split}")
    return READERS[name](root, *options)


__all__ = ["READERS", "Named", "Scans", "joined", "objects", "open_data"]
