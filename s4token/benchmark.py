"""The comparison in numbers: tokenizers, normalisation, units and densities on labelled scans."""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Int
from scipy.spatial import KDTree

from s4token.baselines import geometric_labels, random_labels
from s4token.datasets import Scans
from s4token.geometry import knn
from s4token.model import S4Token
from s4token.multiview import encode_views
from s4token.resources import Cost, measured
from s4token.segment import TEMPLATES, segment
from s4token.tallies import RESAMPLES, SEED, PartTally, SegmentTally, truth_of
from s4token.types import Encoding, PointCloud, Scan

PART_PROMPT = "{part} of a {category}"
"""The one prompt of part segmentation; never searched over."""
MOST_DENSE = 16.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """Hold one line of the table.

    mIoU, mAcc, OA: percent over the classes in the truth (parts: see ``PartTally``); low and high:
    95 % bootstrap interval of mIoU over scans, None for a single scan. seconds: in all, grouping
    to labels; peak_mb: most memory while at it. stated: everything that the figure depends on.
    """

    data: str
    tokenizer: str
    normalise: str
    scale: float
    density: float
    mIoU: float  # noqa: N815
    mAcc: float  # noqa: N815
    OA: float
    seconds: float
    peak_mb: float | None = None
    interval: tuple[float, float] | None = None
    stated: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """Name one way to encode a scan."""

    density: float
    scale: float
    tokenizer: str
    normalise: str


def present_classes(scan: Scan) -> Scan:
    """Return the scan with the classes that occur in it, in their order.

    Raises ValueError when it has no labels.
    """
    if not truth_of(scan).any():
        raise ValueError(f"{scan.name}: no labels to compare with; every point is unlabelled")
    labels = truth_of(scan)
    present = np.unique(labels[labels > 0])
    table = np.zeros(len(scan.classes) + 1, dtype=np.int32)
    table[present] = np.arange(1, len(present) + 1)
    names = tuple(scan.classes[i - 1] for i in present)
    return replace(scan, labels=table[labels], classes=names)


def resampled(cloud: PointCloud, density: float) -> tuple[PointCloud, Int[np.ndarray, "N"]]:
    """Return the cloud at another density, and which of its points answers for each original one.

    Below 1 a random share of the points is kept and each original point is answered by the nearest.
    Above 1 copies are added, moved up to half way to one of their six nearest neighbours; original
    points answer for themselves. The same for the same density. Raises ValueError beyond (0, 16].
    """
    if not 0 < density <= MOST_DENSE:
        raise ValueError(f"densities: expected numbers in (0, {MOST_DENSE:g}], got {density}")
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


def predict(
    model: S4Token, cloud: PointCloud, prompts: Sequence[str], tokenizer: str
) -> Int[np.ndarray, "N"]:
    """Label every point of a cloud with one of the prompts: all that a protocol ever sees."""
    encoding = encode(model, cloud, tokenizer)
    return segment(model, encoding, prompts, threshold=0, templates=TEMPLATES).labels


def encode(model: S4Token, cloud: PointCloud, tokenizer: str) -> Encoding:
    """Encode a cloud by a tokenizer of the model, or by the 2D teacher (``multiview``)."""
    if tokenizer == "multiview":
        return encode_views(model.clip, cloud)
    return model.encode(cloud, tokenizer=tokenizer)


@dataclass(frozen=True)
class Source:
    """Hold one data set, or one file, ready to be scored."""

    name: str
    split: str
    task: str
    classes: tuple[str, ...]
    background: tuple[str, ...]
    scans: Sequence[Scan]
    listed: int

    @classmethod
    def of(cls, entry: Scan | Scans, limit: int | None) -> Source:
        if isinstance(entry, Scans) and entry.split == "file":
            entry = entry[0]
        if isinstance(entry, Scan):
            scan = present_classes(entry)
            return cls(scan.name, "file", "segment", scan.classes, (), [scan], 1)
        name = entry.spec.split(":")[0]
        chosen = entry.subset(limit)
        return cls(
            name, entry.split, entry.task, entry.classes, entry.background, chosen, len(entry)
        )

    def tally(self) -> SegmentTally | PartTally:
        """Return an empty tally of this task."""
        if self.task == "parts":
            return PartTally()
        return SegmentTally(self.classes, self.background)

    def prompts(self, scan: Scan) -> tuple[str, ...]:
        """Return the words for a scan's classes, from names alone."""
        if self.task != "parts":
            return self.classes
        return tuple(PART_PROMPT.format(part=p, category=scan.category) for p in scan.classes)

    def stated(self, points: int, given: int, weights: str) -> dict[str, Any]:
        """Return what a row depends on, JSON-ready."""
        parts = self.task == "parts"
        return {
            "protocol": "part segmentation" if parts else "semantic segmentation",
            "split": self.split,
            "scans": len(self.scans),
            "scans_listed": self.listed,
            "classes": list(self.classes),
            "class_list": "present in the scan" if self.split == "file" else "of the data set",
            "prompts": [PART_PROMPT] if parts else list(self.classes),
            "templates": list(TEMPLATES),
            "seed": SEED,
            "points": points,
            "points_given": given,
            "foreground_leaves_out": list(self.background),
            "weights": weights,
            "interval": f"95 %, {RESAMPLES} bootstrap resamples of scans",
        }


def settings_of(
    model: S4Token,
    tokenizers: Sequence[str],
    normalise: Sequence[str | None],
    scales: Sequence[float],
    densities: Sequence[float],
) -> Iterable[Setting]:
    """Return every combination once, dense to sparse loops outside, tokenizers inside."""
    found = itertools.product(densities, scales, tokenizers, normalise)
    return dict.fromkeys(Setting(d, s, t, variant(model, t, n)[2]) for d, s, t, n in found)


class _Run:
    """Tallies and costs of one data set."""

    def __init__(self, source: Source, settings: Iterable[Setting]) -> None:
        self.source = source
        self.tallies: dict[Setting | str, SegmentTally | PartTally] = {}
        self.costs: dict[Setting | str, Cost] = {}
        self.given: dict[Setting | str, int] = {}
        self.points = 0
        for key in ("random", "geometry", *settings):
            if key != "geometry" or source.task == "segment":
                self.tallies[key] = source.tally()
                self.costs[key], self.given[key] = Cost(), 0

    def add(self, key: Setting | str, scan: Scan, labels: np.ndarray, cost: Cost, given: int):
        """Count one scan of one setting."""
        self.tallies[key].add(scan, labels)
        self.costs[key].add(cost)
        self.given[key] += given

    def row(self, key: Setting | str, weights: str, tally: Any = None) -> Row:
        """Return the line of a setting or of a baseline."""
        tally = tally or self.tallies[key]
        cost = self.costs.get(key, Cost())
        plain = Setting(1.0, 1.0, str(key), "-")
        setting = plain if isinstance(key, str) else key
        stated = self.source.stated(self.points, self.given.get(key, self.points), weights)
        return Row(
            self.source.name,
            setting.tokenizer,
            setting.normalise,
            setting.scale,
            setting.density,
            **tally.scores(),
            seconds=cost.seconds,
            peak_mb=cost.peak_mb or None,
            interval=tally.interval(),
            stated=stated | tally.extras(),
        )

    def baselines(self) -> list[Row]:
        """Return the lines that need no model."""
        rows = [
            self.row("random", "none"),
            self.row("majority", "none", self.tallies["random"].majority()),
        ]
        return rows + [self.row(key, "none") for key in self.tallies if key == "geometry"]


def _baselines(run: _Run, scan: Scan, rng: np.random.Generator, model: S4Token) -> None:
    count = len(scan.cloud)
    with measured(model.clip.device) as cost:
        labels = random_labels(count, len(scan.classes), rng)
    run.add("random", scan, labels, cost, count)
    if run.source.task == "segment":
        with measured(model.clip.device) as cost:
            labels = geometric_labels(scan.cloud, scan.classes)
        run.add("geometry", scan, labels, cost, count)


def evaluate(
    model: S4Token,
    data: Sequence[Scan | Scans],
    *,
    tokenizers: Sequence[str] = ("superpoint", "knn", "radius"),
    normalise: Sequence[str | None] = (None,),
    scales: Sequence[float] = (1.0,),
    densities: Sequence[float] = (1.0,),
    limit: int | None = None,
    report: Callable[[Row], object] = lambda row: None,
) -> list[Row]:
    """Segment labelled scans by class names, and score them over all scans of a data set.

    data: a scan is scored over the classes present in it, a data set over its class list (parts:
    the parts of each shape's category).
    tokenizers: of the model, or ``multiview`` for the 2D teacher on superpoints. normalise:
    ``token``, ``none`` (coordinates in the scan's unit), or None for each tokenizer's own. Every
    figure is about the original points, whatever the density. limit: so many scans of a data set,
    evenly over its list. Prompts are the class names as they stand, threshold 0, default templates.
    ``report`` sees rows as they come.
    """
    rows: list[Row] = []

    def add(row: Row) -> None:
        rows.append(row)
        report(row)

    settings = list(settings_of(model, tokenizers, normalise, scales, densities))
    for entry in data:
        source = Source.of(entry, limit)
        run, rng = _Run(source, settings), np.random.default_rng(SEED)
        for number, scan in enumerate(source.scans, start=1):
            last = number == len(source.scans)
            _log.info("%s: scan %d of %d, %s", source.name, number, len(source.scans), scan.name)
            run.points += len(scan.cloud)
            _baselines(run, scan, rng, model)
            for row in run.baselines() if last else ():
                add(row)
            for setting, weights in _labelled(run, scan, model, settings):
                if last:
                    add(run.row(setting, weights))
    return rows


def _labelled(
    run: _Run, scan: Scan, model: S4Token, settings: Sequence[Setting]
) -> Iterable[tuple[Setting, str]]:
    """Count a scan's labels under every setting, yielding each, and what its weights are."""
    prompts = run.source.prompts(scan)
    for density, some in itertools.groupby(settings, lambda s: s.density):
        cloud, answer = resampled(scan.cloud, density)
        for setting in some:
            used, name, _, weights = variant(model, setting.tokenizer, setting.normalise)
            scaled = cloud.scaled(setting.scale)
            with measured(model.clip.device) as cost:
                labels = predict(used, scaled, prompts, name)
            run.add(setting, scan, labels[answer], cost, len(cloud))
            yield setting, weights


def rows_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as flat JSON-ready dictionaries, scores rounded to 0.001."""
    rounded = lambda v: round(v, 3) if isinstance(v, float) else v  # noqa: E731
    out = []
    for row in rows:
        flat = asdict(row)
        stated = {k: rounded(v) for k, v in flat.pop("stated").items()}
        low, high = flat.pop("interval") or (None, None)
        flat |= {"mIoU_low": low, "mIoU_high": high}
        exact = ("scale", "density")
        out.append({k: v if k in exact else rounded(v) for k, v in flat.items()} | stated)
    return out
