"""Points as binary files for the browser: written once per scan, gone with the scan."""

from __future__ import annotations

import atexit
import secrets
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from s4token import PointCloud
from viewer.session import Layer

UNHELD = np.uint32(1 << 31)
"""This bit of a point's superpoint id says that no token holds the point."""
SHADES = (0.28, 0.92)
"""Grey of the lowest and the highest point of a scan without colours."""
SPREAD = ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249))
"""Shifts and masks that put two empty bits after each of ten (Morton 1966)."""
NEIGHBOURS = 8
SAMPLE = 20_000
"""Points from which the spacing is estimated."""


@dataclass(frozen=True, eq=False)
class Packed:
    """Hold a cloud as the browser gets it.

    order: (N,) int32, which point stands at each place of the file. A random order, so that the
    first n places are a fair sample of the scan. walk: (N,) int32, those places along a curve
    through the scan, so that neighbours follow each other and labels of points compress well.
    center: (3,) float64 that positions are relative to, in the cloud's own frame; radius, spacing:
    in the scan's unit.
    """

    key: str
    path: Path
    order: np.ndarray
    walk: np.ndarray
    center: np.ndarray
    radius: float
    spacing: float

    @cached_property
    def place(self) -> np.ndarray:
        """Place of each point in the file, (N,) int32: the inverse of ``order``."""
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(self.order), dtype=np.int32)
        return place


def relative(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 3) float32 positions about the middle of the box, and that middle, float64.

    The middle is taken off in double precision, so that far away scans lose nothing.
    """
    middle = (points.min(axis=0).astype(np.float64) + points.max(axis=0)) / 2
    return (points.astype(np.float64) - middle).astype(np.float32), middle


def along_curve(points: np.ndarray) -> np.ndarray:
    """Return the order of points along a Z-curve through 1024 cells an axis, (N,) int64."""
    low = points.min(axis=0).astype(np.float64)
    extent = float((points.max(axis=0) - low).max()) or 1.0
    code = np.zeros(len(points), dtype=np.uint32)
    for axis in range(3):
        cell = ((points[:, axis] - low[axis]) * (1023 / extent)).astype(np.uint32)
        for shift, mask in SPREAD:
            cell = (cell | cell << np.uint32(shift)) & np.uint32(mask)
        code |= cell << np.uint32(axis)
    # Lower half, then upper half: NumPy sorts 16 bits in linear time.
    order = np.argsort((code & 0x7FFF).astype(np.uint16), kind="stable")
    return order[np.argsort((code >> 15).astype(np.uint16)[order], kind="stable")]


def spacing(points: np.ndarray, rng: np.random.Generator) -> float:
    """Estimate the pitch of a grid as dense as the points, from a sample, in the points' unit.

    points: (N, 3), along a curve if it is to be fast.
    The disc out to the k-th neighbour holds k points; their nearest neighbour alone would say too
    little where points lie at random.
    """
    from scipy.spatial import KDTree

    some = points[rng.permutation(len(points))[:SAMPLE]] if len(points) > SAMPLE else points
    k = min(NEIGHBOURS, len(points) - 1) or 1
    # Only a sample asks: a coarse tree that is built fast.
    tree = KDTree(points, leafsize=64, compact_nodes=False, balanced_tree=False)
    near = tree.query(some, k=min(k + 1, len(points)))[0].reshape(len(some), -1)[:, -1]
    near = near[near > 0] * np.sqrt(np.pi / k)
    extent = float(np.linalg.norm(np.ptp(points, axis=0)))
    return float(np.median(near)) if len(near) else extent / 100 or 1.0


def shades(cloud: PointCloud) -> np.ndarray:
    """Return (N, 3) uint8 colours: the scan's own, or grey by height."""
    if cloud.colors is not None:
        return np.rint(cloud.colors * 255).astype(np.uint8)
    height = cloud.points.astype(np.float64) @ cloud.up
    share = (height - height.min()) / (float(np.ptp(height)) or 1.0)
    grey = SHADES[0] + (SHADES[1] - SHADES[0]) * share
    return np.repeat(np.rint(255 * grey).astype(np.uint8)[:, None], 3, axis=1)


class Files:
    """Write what the browser fetches into one folder with names that cannot be guessed."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="s4token-points-"))
        self._lock = threading.Lock()
        self._clouds: weakref.WeakKeyDictionary[PointCloud, Packed] = weakref.WeakKeyDictionary()
        self._tokens: weakref.WeakKeyDictionary[Layer, str] = weakref.WeakKeyDictionary()
        self._around: weakref.WeakKeyDictionary[Layer, str] = weakref.WeakKeyDictionary()
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)

    def cloud(self, cloud: PointCloud) -> Packed:
        """Return the packed cloud, written on the first call: positions, walk, colours."""
        with self._lock:
            if cloud not in self._clouds:
                rng = np.random.default_rng(0)
                order = rng.permutation(len(cloud)).astype(np.int32)
                points, center = relative(cloud.points)
                radius = float(np.linalg.norm(np.ptp(points, axis=0))) / 2 or 1.0
                key = secrets.token_urlsafe(12)
                places = points[order]
                walk = along_curve(places).astype(np.int32)
                parts = places, walk.astype("<u4"), shades(cloud)[order]
                path = self.write(key, b"".join(part.tobytes() for part in parts))
                packed = Packed(key, path, order, walk, center, radius, spacing(places[walk], rng))
                self._clouds[cloud] = packed
                weakref.finalize(cloud, path.unlink, missing_ok=True)
            return self._clouds[cloud]

    def tokens(self, layer: Layer, order: np.ndarray) -> dict[str, Any]:
        """Return the file of a layer's superpoint ids, (N,) uint32 in the order given."""

        def ids() -> np.ndarray:
            unheld = np.where(layer.token < 0, UNHELD, 0)
            return (layer.nearest.astype(np.uint32) | unheld)[order]

        return self._of_layer(self._tokens, layer, ids)

    def neighbours(self, layer: Layer) -> dict[str, Any]:
        """Return the file of which superpoints touch each, uint32.

        First M + 1 places in the file: where the neighbours of each superpoint begin, and the end.
        """

        def rows() -> np.ndarray:
            sizes = [len(row) for row in layer.neighbours]
            begin = len(sizes) + 1 + np.cumsum([0, *sizes])
            return np.concatenate([begin, *layer.neighbours])

        return self._of_layer(self._around, layer, rows)

    def _of_layer(
        self,
        written: weakref.WeakKeyDictionary[Layer, str],
        layer: Layer,
        make: Callable[[], np.ndarray],
    ) -> dict[str, Any]:
        """Return a file of whole numbers that goes with its layer, written on the first call."""
        with self._lock:
            if layer not in written:
                key = secrets.token_urlsafe(12)
                path = self.write(key, make().astype("<u4").tobytes())
                written[layer] = key
                weakref.finalize(layer, path.unlink, missing_ok=True)
            key = written[layer]
        return {"key": key, "file": self.reference(key)}

    def write(self, key: str, data: bytes) -> Path:
        """Write a file and return its path."""
        path = self.folder / f"{key}.bin"
        path.write_bytes(data)
        return path

    def replace(self, cloud_key: str, data: bytes) -> str:
        """Write the corrections of a cloud in place of older ones and return the key."""
        for old in self.folder.glob(f"{cloud_key}-*.bin"):
            old.unlink(missing_ok=True)
        key = f"{cloud_key}-{secrets.token_urlsafe(6)}"
        self.write(key, data)
        return key

    def reference(self, key: str) -> dict[str, Any]:
        """Return a file as Gradio's front end takes it."""
        return {"path": str(self.folder / f"{key}.bin"), "meta": {"_type": "gradio.FileData"}}
