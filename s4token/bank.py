"""Training scenes on disk: simulated scans of composed rooms with views, labels and tokens.

Or random crops of scans of one's own, which need no labels. A bank is a folder of
``scene-00000.npz`` (cloud, labels, pictures and the point behind every second pixel) with one
folder per tokenizer beside them, whose files of the same names hold the described tokens. A scene
depends on its number alone and on what ``bank.json`` says, so an interrupted build goes on where it
stopped, and several processes can build one bank; a tokenizer's folder can be deleted and is made
again, as after a change of the partition. S4Token's label-free recipe never reads the labels.
"""

from __future__ import annotations

import logging
import os.path
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from s4token.augment import jitter, yaw
from s4token.backbone import SMALL_CLIP
from s4token.bank_files import kept, opened, settings_of, settle, write_arrays
from s4token.crops import FEWEST, nearest, partial, thinned, upright
from s4token.datasets import Named, Scans
from s4token.datasets.packs import split, training_objects
from s4token.describe import TokenInputs, describe
from s4token.io import read_scan
from s4token.model import TOKENIZATIONS
from s4token.multiview import cameras_for, draw, strided
from s4token.render import orbit, visible
from s4token.scan_simulation import photographed, simulate, simulate_frame
from s4token.synthetic import ROOM_KINDS, room, single, tabletop
from s4token.types import UNITS, Groups, PointCloud, Scan

HOME = ("living", "bedroom", "kitchen", "bathroom", "office", "corridor")
"""Kinds of room that make up a flat."""
COUNTS = (256, 512, 1024)
"""Tokens of a scene, in turn: so that tokens are at home on coarse and on fine partitions."""
ALONE = 4
"""One scene in so many is an object of the pack alone."""
LEAST = 1000
"""A scan of one's own with fewer points is left out."""
WHOLE = 10
"""From so many scans on, a scene to measure with is of a scan that is not trained on."""

_ARRAYS = ("samples", "shape", "centers")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bank:
    """Say what training scenes are made of; ``build`` makes them.

    pack: ``objects.npz`` of named objects to mix in, but for those held out to measure with, or
    None for parametric furniture alone.
    scans: labelled training scans, cropped at random for one scene in ten.
    data: scans that all scenes are random crops of, in turn, instead of composed rooms.
    points: range of points per scene before it is cropped; views: pictures per scene.
    metres_per_unit: the unit of ``data``, if it is known; composed rooms are in metres.
    """

    folder: Path
    pack: Path | None = None
    scans: tuple[Path, ...] = ()
    data: Scans | None = None
    points: tuple[int, int] = (16_000, 140_000)
    views: int = 16
    seed: int = 0
    metres_per_unit: float | None = None

    def __post_init__(self) -> None:
        if self.data is None and self.metres_per_unit is not None:
            raise ValueError("unit: composed rooms are in metres; leave it out, or name other data")

    @property
    def settings(self) -> dict[str, Any]:
        """What decides scenes beside their number, JSON-ready."""
        unit = next((n for n, m in UNITS.items() if m == self.metres_per_unit), None)
        scans = None if self.data is None else len(self.data)
        return {
            "data": "rooms" if self.data is None else _absolute(self.data.spec),
            "scans": scans,
            "unit": unit or self.metres_per_unit,
            "pack": self.pack and os.path.abspath(self.pack),
            "labelled": [os.path.abspath(path) for path in self.scans],
            "points": list(self.points),
            "views": self.views,
            "seed": self.seed,
        }

    def path(self, number: int) -> Path:
        return self.folder / f"scene-{number:05d}.npz"

    def build(self, numbers: Sequence[int], progress=lambda iterable: iterable) -> None:
        """Make the scenes and tokens that are not there yet, each by a rename at the end.

        Damaged files are made anew, with a warning. A scan of ``data`` that cannot be used is
        named in a warning, and the scenes that would be crops of it are not made. Raises
        ValueError for no scenes or numbers below 0, when the bank holds scenes of other
        settings, and when none of the scans can be used, or of those tried and there is no scene.
        """
        if min(numbers, default=-1) < 0:
            raise ValueError(
                "scenes: there is none to make; --scenes must be at least 1, --part k/n needs k "
                "from 1 to n, and n no more than the scenes"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        settle(self.folder, self.settings)
        missing = [n for n in numbers if not kept(self.path(n), "points")]
        named = training_objects(self.pack) if missing and self.pack else None
        scans = [read_scan(p) for p in self.scans] if missing else []
        unusable: dict[int, str] = {}
        for number in progress(numbers):
            path = self.path(number)
            if not kept(path, "points"):
                scan, unit, views = self._made(number, named, scans, unusable)
                if scan is None:
                    continue
                for tokenizer in TOKENIZATIONS:
                    tokens_path(path, tokenizer).unlink(missing_ok=True)
                write_arrays(path, _pictures(scan, views) | {"metres_per_unit": np.array(unit)})
            add_tokens(path)
        if self.data is not None and unusable:
            self._some_use(self.data, unusable)

    def _some_use(self, data: Scans, unusable: dict[int, str]) -> None:
        """Raise ValueError when no scan can be used, or none was and the bank is empty."""
        tried, error = len(unusable), list(unusable.values())[-1]
        if tried == len(data):
            raise ValueError(f"{data.spec}: none of its {tried:,} scans can be used; {error}")
        if not any(self.folder.glob("scene-*.npz")):
            raise ValueError(
                f"{data.spec}: no scene was made: none of the {tried:,} scans tried, of "
                f"{len(data):,}, can be used; {error}"
            )

    def _made(
        self,
        number: int,
        named: list[Named] | None,
        scans: list[Scan],
        unusable: dict[int, str],
    ) -> tuple[Scan | None, float, int]:
        """Return scene ``number``, metres per its unit (NaN if unknown) and how many pictures."""
        if self.data is not None:
            unit = self.metres_per_unit or np.nan
            return self._crop(self.data, number, unusable), unit, self.views
        if named and number % ALONE == ALONE - 1:
            turn = np.random.default_rng(self.seed).permutation(len(named))
            thing = named[turn[number // ALONE % len(named)]]
            scan = _alone(thing, np.random.default_rng([self.seed, number]))
            return scan, thing.scale or np.nan, -(-self.views // 4)
        return self._scan(number, named, scans), 1.0, self.views

    def _crop(self, data: Scans, number: int, unusable: dict[int, str]) -> Scan | None:
        """Return a part of a scan, often seen less densely; None when the scan is of no use."""
        index = number % len(data)
        if index in unusable:
            return None
        try:
            scan = data[index]
            if len(scan.cloud) < LEAST:
                raise ValueError(f"{scan.name}: {len(scan.cloud):,} points; it needs {LEAST:,}")
        except (ValueError, OSError, ImportError) as error:
            unusable[index] = str(error)
            _log.warning("left out: %s", error)
            return None
        rng = np.random.default_rng([self.seed, number])
        points = int(np.exp(rng.uniform(*np.log(self.points))))
        share = float(np.exp(rng.uniform(np.log(min(1.0, FEWEST / len(scan.cloud))), 0)))
        near = nearest(upright(scan), rng, max(LEAST, round(share * len(scan.cloud))))
        scan = partial(thinned(near, rng, points), rng)
        return Scan(scan.name, yaw(scan.cloud, rng), scan.labels, scan.classes)

    def _scan(self, number: int, named: list[Named] | None, scans: list[Scan]) -> Scan:
        """Compose scene ``number``, often cut off."""
        rng = np.random.default_rng([self.seed, number])
        points = int(np.exp(rng.uniform(*np.log(self.points))))
        scan = self._taken(rng, points, named, scans)
        while len(scan.cloud) < min(FEWEST, points // 2):
            scan = self._taken(rng, points, named, scans)
        scan = partial(thinned(scan, rng, points), rng)
        return Scan(scan.name, yaw(scan.cloud, rng), scan.labels, scan.classes)

    def _taken(
        self,
        rng: np.random.Generator,
        points: int,
        named: list[Named] | None,
        scans: list[Scan],
    ) -> Scan:
        """Compose one scan of about so many points: as a model is, or as a depth camera saw it."""
        fate = rng.random()
        if scans and fate < 0.1:
            return nearest(scans[rng.integers(len(scans))], rng, points)
        if fate < 0.35:
            return _flat(rng, points, named)
        if fate < 0.45:
            return simulate_frame(_room(rng, max(3 * points, 250_000), named), rng)
        if fate < 0.58:
            return _close(rng, points, named)
        # Much of a room is behind or inside things, or never looked at.
        dense = _room(rng, min(3 * points, 250_000), named)
        return simulate(dense, rng, points=points) if rng.random() < 0.75 else dense


def part_numbers(scenes: int, part: str = "1/1") -> range:
    """Return the numbers of the k-th of n parts of so many scenes, ``part`` being "k/n".

    Raises ValueError naming the option that is wrong.
    """
    if scenes < 1:
        raise ValueError(f"--scenes: expected at least 1, got {scenes}")
    k, slash, n = part.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise ValueError(f"--part: expected k/n with k from 1 to n, as 2/8, got '{part}'")
    return range(int(k) - 1, scenes, int(n))


def _absolute(spec: str) -> str:
    """Return ``NAME:ROOT``, or a path, with the folder that it stands for wherever one is."""
    name, colon, root = spec.partition(":")
    return f"{name}:{os.path.abspath(root)}" if colon else os.path.abspath(spec)


def _room(
    rng: np.random.Generator,
    points: int,
    named: list[Named] | None,
    kinds: Sequence[str] = ROOM_KINDS,
) -> Scan:
    kind = kinds[int(rng.integers(len(kinds)))]
    return room(kind, int(rng.integers(2**31)), points=points, objects=named)


def _close(rng: np.random.Generator, points: int, named: list[Named] | None) -> Scan:
    """Return a laden table or one thing alone, as a model is or as one frame saw it."""
    seed = int(rng.integers(2**31))
    if rng.random() < 0.3:
        return single(seed, points=points, objects=named)
    if rng.random() < 0.4:
        return tabletop(seed, points=3 * points, objects=named)
    # One frame shows a small part, and that densely.
    dense = tabletop(seed, points=max(3 * points, 400_000), objects=named)
    return simulate_frame(dense, rng, points=points)


def _alone(thing: Named, rng: np.random.Generator) -> Scan:
    """Return an object alone: whole or from one side, some or all of its points, clean or not."""
    colors = photographed(thing.colors, rng) if rng.random() < 0.5 else thing.colors
    one = PointCloud(thing.points.astype(np.float32), colors.astype(np.float32))
    if rng.random() < 0.3:
        high, start = rng.uniform(0, 50), rng.uniform(0, 360)
        camera = orbit(one, 1, elevation=high, start=start)
        one = one.select(np.flatnonzero(visible(one, camera)))
    share = np.exp(rng.uniform(np.log(0.35), 0))
    one = one.select(np.sort(rng.permutation(len(one))[: int(np.ceil(share * len(one)))]))
    one = yaw(jitter(one, rng) if rng.random() < 0.5 else one, rng)
    return Scan(thing.category, one, np.ones(len(one), np.int64), (thing.category,))


def _flat(rng: np.random.Generator, points: int, named: list[Named] | None) -> Scan:
    """Return two to six rooms side by side in two rows, most often as clean as a model."""
    scanned = rng.random() < 0.35
    rooms = []
    for _ in range(int(rng.integers(2, 7))):
        one = _room(rng, 2 * points if scanned else points, named, HOME)
        rooms.append(simulate(one, rng) if scanned else one)
    low = [r.cloud.points.min(axis=0) for r in rooms]
    size = [np.ptp(r.cloud.points, axis=0) for r in rooms]
    area = np.array([s[0] * s[1] for s in size])
    wanted = np.maximum(points * area / area.sum(), 500)
    ends, parts = [0.0, 0.0], []
    for one, corner, extent, count in zip(rooms, low, size, wanted, strict=True):
        row = int(np.argmin(ends))
        at = np.array([ends[row], 0.0 if row else -extent[1], 0.0]) - corner
        ends[row] += extent[0] + rng.uniform(0, 0.2)
        part = thinned(one, rng, int(count))
        parts.append((part.cloud.points + at.astype(np.float32), part))
    classes = tuple(sorted({c for r in rooms for c in r.classes}))
    number = {c: i + 1 for i, c in enumerate(classes)}
    tables = [np.array([0, *(number[c] for c in part.classes)]) for _, part in parts]
    labels = [t[part.labels] for t, (_, part) in zip(tables, parts, strict=True)]
    colors = np.concatenate([part.cloud.colors for _, part in parts])
    cloud = PointCloud(np.concatenate([p for p, _ in parts]), colors)
    return Scan("flat", cloud, np.concatenate(labels), classes)


def _pictures(scan: Scan, views: int) -> dict[str, np.ndarray]:
    cloud = scan.cloud
    cameras = cameras_for(cloud, views, size=SMALL_CLIP["vision_cfg"]["image_size"])
    pictures = draw(cloud, cameras, style="relief")
    labels = scan.labels if scan.labels is not None else np.zeros(len(cloud))
    colors = np.full_like(cloud.points, 0.5) if cloud.colors is None else cloud.colors
    return {
        "points": cloud.points.astype(np.float32),
        "colors": np.rint(255 * colors).astype(np.uint8),
        "coloured": np.array(cloud.colors is not None),
        "labels": labels.astype(np.uint16),
        "classes": np.array(scan.classes),
        "images": pictures.images,
        "pixel_points": strided(pictures),
    }


def tokens_path(path: Path, tokenizer: str) -> Path:
    """Return where a scene's described tokens lie."""
    return path.parent / tokenizer / path.name


def scene_number(path: Path) -> int:
    """Return a scene's number in its bank."""
    return int(path.stem.rpartition("-")[2])


def scene_count(path: Path) -> int:
    """Return how many tokens a scene is cut into."""
    return COUNTS[scene_number(path) % len(COUNTS)]


def finished_scenes(folder: Path) -> list[Path]:
    """Return the scenes of a bank that have the tokens of all tokenizers, by number."""
    names = {path.name for path in folder.glob("scene-*.npz")}
    for tokenizer in TOKENIZATIONS:
        names &= {path.name for path in (folder / tokenizer).glob("scene-*.npz")}
    return [folder / name for name in sorted(names)]


def held_scenes(paths: Sequence[Path], share: float) -> np.ndarray:
    """Return a mask of the scenes to measure with; each by its number, whatever else there is.

    Crops of ``WHOLE`` scans or more are held out by the scan, so that no scan is on both sides.
    """
    numbers = [scene_number(path) for path in paths]
    scans = settings_of(paths[0].parent).get("scans") if paths else None
    if isinstance(scans, int) and scans >= WHOLE:
        return split(scans, share, 1)[[number % scans for number in numbers]]
    return split(max(numbers, default=0) + 1, share, 1)[numbers]


def add_tokens(path: Path) -> None:
    """Group and describe a scene for every tokenizer whose file is not there, or damaged."""
    missing = [t for t in TOKENIZATIONS if not kept(tokens_path(path, t), "pitch")]
    if not missing:
        return
    with opened(path) as scene:
        unit = float(scene.get("metres_per_unit", 1.0))
        colors = scene["colors"].astype(np.float32) / 255
        cloud = PointCloud(scene["points"], colors if scene.get("coloured", True) else None)
    for name in missing:
        grouping = replace(TOKENIZATIONS[name].grouping, count=scene_count(path))
        groups = grouping(cloud)
        inputs = describe(cloud, groups, normalise=TOKENIZATIONS[name].normalise)
        arrays = {
            "index": groups.index,
            "offsets": groups.offsets,
            "samples": inputs.samples.astype(np.float16),
            "shape": inputs.shape,
            "centers": inputs.centers,
            "pitch": np.array(inputs.pitch * unit),
        }
        write_arrays(tokens_path(path, name), arrays)


def token_inputs(tokens: np.lib.npyio.NpzFile) -> TokenInputs:
    """Return the described groups in a tokenizer's file of a scene."""
    if "pitch" not in tokens:
        raise ValueError("its tokens were described by an earlier version")
    samples, shape, centers = (tokens[f].astype(np.float32) for f in _ARRAYS)
    return TokenInputs(samples, shape, centers, float(tokens["pitch"]))


def scene_groups(tokens: np.lib.npyio.NpzFile, points: int) -> Groups:
    """Return the groups in a tokenizer's file of a scene of so many points."""
    return Groups(tokens["index"], tokens["offsets"], points)


def name_shares(tokens: np.lib.npyio.NpzFile, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the share of each class among a token's points, (M, classes); unlabelled count too."""
    owner = np.repeat(np.arange(len(tokens["offsets"]) - 1), np.diff(tokens["offsets"]))
    flat = owner * (classes + 1) + labels[tokens["index"]].astype(np.int64)
    count = np.bincount(flat, minlength=(owner[-1] + 1) * (classes + 1)).reshape(-1, classes + 1)
    return (count[:, 1:] / np.diff(tokens["offsets"])[:, None]).astype(np.float32)
