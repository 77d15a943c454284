"""The comparison in numbers: tokenizers, normalisation, units and densities on labelled scans."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Int

from s4token.baselines import geometric_labels, random_labels
from s4token.datasets import Scans
from s4token.model import S4Token
from s4token.resources import Cost, measured
from s4token.segment import TEMPLATES, segment
from s4token.settings import Setting, Settings, encode, resampled, variant
from s4token.tallies import RESAMPLES, SEED, PartTally, SegmentTally, truth_of
from s4token.types import PointCloud, Scan

PART_PROMPT = "{part} of a {category}"
"""The one prompt of part segmentation; never searched over."""
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


def predict(
    model: S4Token, cloud: PointCloud, prompts: Sequence[str], tokenizer: str, **pictures: Any
) -> Int[np.ndarray, "N"]:
    """Label every point of a cloud with one of the prompts: all that a protocol ever sees.

    pictures: as of ``encode``.
    """
    encoding = encode(model, cloud, tokenizer, **pictures)
    return segment(model, encoding, prompts, threshold=0, templates=TEMPLATES).labels


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
        """Return the source of an entry; raise ValueError when it has no labels or classes."""
        if isinstance(entry, Scans) and entry.split == "file":
            entry = entry[0]
        if isinstance(entry, Scan):
            scan = present_classes(entry)
            return cls(scan.name, "file", "segment", scan.classes, (), [scan], 1)
        if entry.task == "segment" and not entry.classes:
            truth_of(entry[0])
            raise ValueError(
                f"{entry.spec}: scans without a common list of classes; evaluate its labelled "
                "files by name, each over its own classes"
            )
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


class _Run:
    """Tallies and costs of one data set."""

    def __init__(self, source: Source, settings: Settings, chosen: Iterable[Setting]) -> None:
        self.source, self.settings = source, settings
        self.tallies: dict[Setting | str, SegmentTally | PartTally] = {}
        self.costs: dict[Setting | str, Cost] = {}
        self.given: dict[Setting | str, int] = {}
        self.points = 0
        for key in ("random", "geometry", *chosen):
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
        setting = Setting(key, "-") if isinstance(key, str) else key
        stated = self.source.stated(self.points, self.given.get(key, self.points), weights)
        stated |= self.settings.stated(setting)
        return Row(
            self.source.name,
            *astuple(setting),
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
    settings: Settings,
    *,
    report: Callable[[Row], object] = lambda row: None,
) -> list[Row]:
    """Segment labelled scans by class names, and score them over all scans of a data set.

    data: a scan is scored over the classes present in it, a data set over its class list (parts:
    the parts of each shape's category). Prompts are the class names as they stand, threshold 0,
    default templates. ``report`` sees rows as they come.
    """
    rows: list[Row] = []

    def add(row: Row) -> None:
        rows.append(row)
        report(row)

    settings.check(data)
    chosen = settings.of(model)
    for entry in data:
        source = Source.of(entry, settings.limit)
        run, rng = _Run(source, settings, chosen), np.random.default_rng(SEED)
        for number, scan in enumerate(source.scans, start=1):
            last = number == len(source.scans)
            _log.info("%s: scan %d of %d, %s", source.name, number, len(source.scans), scan.name)
            run.points += len(scan.cloud)
            _baselines(run, scan, rng, model)
            for row in run.baselines() if last else ():
                add(row)
            for setting, weights in _labelled(run, scan, model, chosen):
                if last:
                    add(run.row(setting, weights))
    return rows


def _labelled(
    run: _Run, scan: Scan, model: S4Token, chosen: Sequence[Setting]
) -> Iterable[tuple[Setting, str]]:
    """Count a scan's labels under every setting, yielding each, and what its weights are."""
    prompts = run.source.prompts(scan)
    for density, some in itertools.groupby(chosen, lambda s: s.density):
        cloud, answer = resampled(scan.cloud, density)
        for setting in some:
            used, name, _, weights = variant(model, setting.tokenizer, setting.normalise)
            scaled = run.settings.scaled(cloud, setting)
            pictures = run.settings.pictures(scan.name, setting)
            with measured(model.clip.device) as cost:
                labels = predict(used, scaled, prompts, name, **pictures)
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
