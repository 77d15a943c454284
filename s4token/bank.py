"""Training scenes on disk: simulated scans of composed rooms with views, labels and tokens.

A bank is a folder of ``scene-00000.npz``. Each file holds all that both trainers need: pictures
with the class of every second pixel (image tower) and described tokens with the way from pixels
to groups (S4Token, which never reads the classes). A scene depends on its number alone, so an
interrupted build goes on where it stopped, and several processes can build one bank.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s4token.augment import yaw
from s4token.backbone import SMALL_CLIP
from s4token.datasets import Named, objects
from s4token.io import read_scan
from s4token.model import TOKENIZATIONS
from s4token.multiview import cameras_for, draw, strided
from s4token.scan_simulation import simulate, simulate_frame
from s4token.synthetic import ROOM_KINDS, room
from s4token.tokenizer import TokenInputs, describe
from s4token.types import Groups, Scan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bank:
    """Say what training scenes are made of; ``build`` makes them.

    pack: ``objects.npz`` of named objects to mix in, or None for parametric furniture alone.
    scans: labelled training scans, cropped at random for one scene in ten.
    points: range of points per scene; views: pictures per scene.
    """

    folder: Path
    pack: Path | None = None
    scans: tuple[Path, ...] = ()
    points: tuple[int, int] = (30_000, 90_000)
    views: int = 24
    seed: int = 0

    def path(self, number: int) -> Path:
        return self.folder / f"scene-{number:05d}.npz"

    def build(self, numbers: Sequence[int], progress=lambda iterable: iterable) -> None:
        """Make the scenes that are not there yet, each through a temporary file and a rename."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [n for n in numbers if not self.path(n).is_file()]
        named = objects(self.pack) if missing and self.pack else None
        scans = [read_scan(p) for p in self.scans] if missing else []
        for number in progress(missing):
            arrays = _arrays(self._scan(number, named, scans), self.views)
            temporary = self.folder / f".{os.getpid()}.npz"
            np.savez(temporary, allow_pickle=False, **arrays)
            os.replace(temporary, self.path(number))

    def _scan(self, number: int, named: list[Named] | None, scans: list[Scan]) -> Scan:
        """Compose scene ``number``: a room or a crop of a scan, as a depth camera saw it."""
        rng = np.random.default_rng([self.seed, number])
        points = int(np.exp(rng.uniform(*np.log(self.points))))
        if scans and rng.random() < 0.1:
            scan = _crop(scans[rng.integers(len(scans))], rng, points)
        else:
            kind = ROOM_KINDS[rng.integers(len(ROOM_KINDS))]
            seed = int(rng.integers(2**31))
            fate = rng.random()
            # A single frame sees little of a room, a trajectory about half of its surfaces.
            dense = max(2 * points, 250_000) if fate < 0.1 else 2 * points
            scan = room(kind, seed, points=dense, objects=named)
            if fate < 0.1:
                scan = simulate_frame(scan, rng)
            elif fate < 0.85:
                scan = simulate(scan, rng, points=points)
        if len(scan.cloud) > points:
            scan = _select(scan, np.sort(rng.permutation(len(scan.cloud))[:points]))
        cloud = yaw(scan.cloud, rng)
        return Scan(scan.name, cloud, scan.labels, scan.classes)


def _select(scan: Scan, index: np.ndarray) -> Scan:
    labels = None if scan.labels is None else scan.labels[index]
    return Scan(scan.name, scan.cloud.select(index), labels, scan.classes)


def _crop(scan: Scan, rng: np.random.Generator, points: int) -> Scan:
    """Return the points nearest to a random one, in plan."""
    plan = scan.cloud.points[:, :2]
    distance = ((plan - plan[rng.integers(len(plan))]) ** 2).sum(axis=1)
    keep = np.argpartition(distance, min(points, len(plan) - 1))[:points]
    return _select(scan, np.sort(keep))


def _arrays(scan: Scan, views: int) -> dict[str, np.ndarray]:
    cloud = scan.cloud
    cameras = cameras_for(cloud, views, size=SMALL_CLIP["vision_cfg"]["image_size"])
    pictures = draw(cloud, cameras, style="relief")
    seen = strided(pictures)
    labels = np.append(scan.labels if scan.labels is not None else np.zeros(len(cloud), int), 0)
    out = {
        "images": pictures.images,
        "pixel_labels": labels[seen].astype(np.uint16),
        "pixel_points": seen,
        "classes": np.array(scan.classes),
        "n_points": np.array(len(cloud)),
    }
    for name, tokenization in TOKENIZATIONS.items():
        groups = tokenization.grouping(cloud)
        inputs = describe(cloud, groups, normalise=tokenization.normalise)
        out |= {
            f"{name}.index": groups.index,
            f"{name}.offsets": groups.offsets,
            f"{name}.samples": inputs.samples.astype(np.float16),
            f"{name}.shape": inputs.shape,
            f"{name}.centers": inputs.centers,
        }
    return out


def token_inputs(scene: np.lib.npyio.NpzFile, tokenizer: str) -> TokenInputs:
    """Return the described groups of a bank's scene."""
    fields = ("samples", "shape", "centers")
    return TokenInputs(*(scene[f"{tokenizer}.{f}"].astype(np.float32) for f in fields))


def scene_groups(scene: np.lib.npyio.NpzFile, tokenizer: str) -> Groups:
    """Return the groups of a bank's scene."""
    return Groups(
        scene[f"{tokenizer}.index"], scene[f"{tokenizer}.offsets"], int(scene["n_points"])
    )
