"""What is compared: tokenizers, normalisations, units and densities, and a scan under each."""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from scipy.spatial import KDTree

from s4token.datasets import Scans
from s4token.datasets.scans import absent
from s4token.geometry import knn
from s4token.model import S4Token
from s4token.multiview import encode_views
from s4token.tallies import SEED
from s4token.types import UNITS, Encoding, PointCloud, Scan

MOST_DENSE = 16.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """Name one way to encode a scan; a baseline's tokenizer is its name."""

    tokenizer: str
    normalise: str
    scale: float = 1.0
    density: float = 1.0

    @property
    def plain(self) -> Setting:
        """The same tokens at the scan's own scale and density."""
        return replace(self, scale=1.0, density=1.0)


@dataclass(frozen=True)
class Settings:
    """Say under which settings data sets are scored.

    tokenizers: of the model, or ``multiview`` for the 2D teacher on superpoints. normalise:
    ``token``, ``none`` (coordinates in the scan's unit), or None for each tokenizer's own. scales
    multiply coordinates, densities the number of points; every figure is about the original
    points. limit: so many scans of a data set, evenly over its list. images: posed photographs for
    the 2D teacher to look at, of one scan, or with a folder of every scan's name (``photographs``).
    unit: of all scans, as ``UNITS`` names it; without it the tokenizers are told none.
    """

    tokenizers: Sequence[str] = ("superpoint", "knn", "radius")
    normalise: Sequence[str | None] = (None,)
    scales: Sequence[float] = (1.0,)
    densities: Sequence[float] = (1.0,)
    limit: int | None = None
    images: Path | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        for name in ("tokenizers", "normalise", "scales", "densities"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for kind in self.normalise:
            if kind not in (None, "none", "token"):
                raise ValueError(f"normalise: expected none or token, got '{kind}'")
        for scale in self.scales:
            if not 0 < scale < float("inf"):
                raise ValueError(f"scales: expected positive numbers, got {scale}")
        for density in self.densities:
            check_density(density)
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit: expected at least 1 scan, got {self.limit}")
        if self.unit not in (None, *UNITS):
            raise ValueError(f"unit: expected one of {', '.join(UNITS)}, got '{self.unit}'")
        if self.images is not None and "multiview" not in self.tokenizers:
            raise ValueError("images: for the 2D teacher; add multiview to the tokenizers")

    def scaled(self, cloud: PointCloud, setting: Setting) -> PointCloud:
        """Return a cloud in the units of a setting; what is told of its unit follows."""
        unit = None if self.unit is None else UNITS[self.unit]
        return replace(cloud, metres_per_unit=unit).scaled(setting.scale)

    def of(self, model: S4Token) -> list[Setting]:
        """Return every combination once, densities outside, then scales, tokenizers inside.

        Raises ValueError for a tokenizer that the model does not have.
        """
        found = itertools.product(self.densities, self.scales, self.tokenizers, self.normalise)
        return list(
            dict.fromkeys(Setting(t, variant(model, t, n)[2], s, d) for d, s, t, n in found)
        )

    def pictures(self, name: str, setting: Setting) -> dict[str, Any]:
        """Return what ``encode`` needs beside the cloud of a scan: its photographs, if any.

        Raises FileNotFoundError naming the folder that should hold them.
        """
        if self.images is None or not self.stated(setting):
            return {}
        place = self.images if (self.images / "color").is_dir() else self.images / name
        if not (place / "color").is_dir():
            raise FileNotFoundError(
                f"{place / 'color'}: no such folder of pictures; photographs of one scan, or of "
                f"each in a folder of its name ({name}), are expected: see docs/datasets.md"
            )
        return {"images": place, "pose_scale": setting.scale}

    def stated(self, setting: Setting) -> dict[str, Any]:
        """Return what a row states of photographs: nothing where none are looked at."""
        looks = self.images is not None and setting.tokenizer == "multiview"
        told = self.unit is not None and setting.normalise == "token"
        stated = {"images": str(self.images)} if looks else {}
        return stated | ({"unit": self.unit} if told and setting.tokenizer != "multiview" else {})

    def check(self, data: Sequence[Scan | Scans]) -> None:
        """Find out before anything is encoded whether files are there and photographs fit the data.

        Raises FileNotFoundError naming the first missing file of the scans to be seen, ValueError
        for data without photographs or for several scans with those of one, and as ``pictures`` for
        scans whose names are known without reading them.
        """
        for entry in data:
            if isinstance(entry, Scans):
                for path in entry.subset(self.limit).missing():
                    raise absent(path, entry.spec)
            if self.unit and isinstance(entry, Scans) and entry.task == "classify":
                raise ValueError(f"unit: for scans; the shapes of {entry.spec} are in none")
        if self.images is None:
            return
        if not self.images.is_dir():
            raise FileNotFoundError(f"{self.images}: no such folder of posed photographs")
        chosen = [e.subset(self.limit) if isinstance(e, Scans) else [e] for e in data]
        for entry in data:
            if isinstance(entry, Scans) and entry.task != "segment":
                raise ValueError(f"images: {entry.spec} is no set of scans with photographs")
        count = sum(map(len, chosen))
        if count > 1 and (self.images / "color").is_dir():
            raise ValueError(
                f"images: {self.images} holds photographs of one scan, but {count:,} are to be "
                "seen; give a folder that has one for each, of its name"
            )
        for name in itertools.chain(*map(_names, chosen)):
            self.pictures(name, Setting("multiview", "token"))


def _names(scans: Sequence[Scan]) -> list[str]:
    """Return the names of scans that are known without reading them."""
    if not isinstance(scans, Scans):
        return [scan.name for scan in scans]
    if scans.split == "file":
        return [path.stem for path in scans.items]
    return [item for item in scans.items if isinstance(item, str)]


def check_density(density: float) -> None:
    """Raise ValueError beyond (0, 16]."""
    if not 0 < density <= MOST_DENSE:
        raise ValueError(f"densities: expected numbers in (0, {MOST_DENSE:g}], got {density}")


def resampled(cloud: PointCloud, density: float) -> tuple[PointCloud, Int[np.ndarray, "N"]]:
    """Return the cloud at another density, and which of its points answers for each original one.

    Below 1 a random share of the points is kept and each original point is answered by the nearest.
    Above 1 copies are added, moved up to half way to one of their six nearest neighbours; original
    points answer for themselves. The same for the same density. Raises ValueError beyond (0, 16].
    """
    check_density(density)
    count, rng = len(cloud), np.random.default_rng(SEED)
    if density == 1:
        return cloud, np.arange(count)
    if density < 1:
        keep = np.sort(rng.permutation(count)[: max(1, round(density * count))])
        thin = cloud.select(keep)
        return thin, np.asarray(KDTree(thin.points).query(cloud.points)[1])
    extra = round((density - 1) * count)
    source = np.concatenate([rng.permutation(count) for _ in range(-(-extra // count))])[:extra]
    index, _ = knn(cloud.points, min(7, count))
    pick = rng.integers(min(1, index.shape[1] - 1), index.shape[1], extra)
    towards = cloud.points[index[source, pick]] - cloud.points[source]
    share = rng.uniform(0, 0.5, (extra, 1)).astype(cloud.points.dtype)
    dense = cloud.select(np.concatenate([np.arange(count), source]))
    points = np.concatenate([cloud.points, cloud.points[source] + share * towards])
    return replace(dense, points=points), np.arange(count)


def variant(
    model: S4Token, tokenizer: str, normalise: str | None = None
) -> tuple[S4Token, str, str, str]:
    """Return the model and tokenizer name to use, the normalisation, and what its weights are.

    Without trained weights for a combination, the tokenizer's own are fed coordinates of the other
    normalisation, and the last value says so. Raises ValueError for an unknown tokenizer.
    """
    if tokenizer == "multiview":
        return model, tokenizer, "token", "no tokenizer"
    grouping = model.grouping(tokenizer)
    own = model.tokenizations[tokenizer]
    trained = "trained for this" if model.trained else "untrained"
    if normalise in (None, own.normalise):
        return model, tokenizer, own.normalise, trained
    for name, other in model.tokenizations.items():
        if type(other.grouping) is type(grouping) and other.normalise == normalise:
            return model, name, normalise, trained
    changed = copy.copy(model)
    swapped: Any = replace(own, normalise=normalise)
    changed.tokenizations = {**model.tokenizations, tokenizer: swapped}
    return changed, tokenizer, str(normalise), f"trained with normalise={own.normalise}, not this"


def encode(model: S4Token, cloud: PointCloud, tokenizer: str, **pictures: Any) -> Encoding:
    """Encode a cloud by a tokenizer of the model, or by the 2D teacher (``multiview``).

    pictures: as ``Settings.pictures`` returns them; what they leave out is said in the log.
    """
    if tokenizer == "multiview":
        encoding = encode_views(model.clip, cloud, **pictures)
        for note in encoding.notes if pictures else ():
            _log.warning("%s: %s", pictures["images"], note)
        return encoding
    return model.encode(cloud, tokenizer=tokenizer)
