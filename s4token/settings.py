"""What is compared: tokenizers, normalisations, units and densities, and a scan under each."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int
from scipy.spatial import KDTree

from s4token.geometry import knn
from s4token.model import S4Token
from s4token.multiview import encode_views
from s4token.tallies import SEED
from s4token.types import Encoding, PointCloud

MOST_DENSE = 16.0


@dataclass(frozen=True)
class Setting:
    """Name one way to encode a scan; a baseline's tokenizer is its name."""

    tokenizer: str
    normalise: str
    scale: float = 1.0
    density: float = 1.0


@dataclass(frozen=True)
class Settings:
    """Say under which settings data sets are scored.

    tokenizers: of the model, or ``multiview`` for the 2D teacher on superpoints. normalise:
    ``token``, ``none`` (coordinates in the scan's unit), or None for each tokenizer's own. scales
    multiply coordinates, densities the number of points; every figure is about the original
    points. limit: so many scans of a data set, evenly over its list.
    """

    tokenizers: Sequence[str] = ("superpoint", "knn", "radius")
    normalise: Sequence[str | None] = (None,)
    scales: Sequence[float] = (1.0,)
    densities: Sequence[float] = (1.0,)
    limit: int | None = None

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

    def of(self, model: S4Token) -> list[Setting]:
        """Return every combination once, densities outside, then scales, tokenizers inside.

        Raises ValueError for a tokenizer that the model does not have.
        """
        found = itertools.product(self.densities, self.scales, self.tokenizers, self.normalise)
        return list(
            dict.fromkeys(Setting(t, variant(model, t, n)[2], s, d) for d, s, t, n in found)
        )


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


def encode(model: S4Token, cloud: PointCloud, tokenizer: str) -> Encoding:
    """Encode a cloud by a tokenizer of the model, or by the 2D teacher (``multiview``)."""
    if tokenizer == "multiview":
        return encode_views(model.clip, cloud)
    return model.encode(cloud, tokenizer=tokenizer)
