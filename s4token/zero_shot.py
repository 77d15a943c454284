"""Objects by words: zero-shot classification, and finding shapes for a text."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from s4token.datasets import Scans
from s4token.metrics import average_precision
from s4token.model import S4Token
from s4token.resources import Cost, measured
from s4token.segment import TEMPLATES, text_features
from s4token.settings import Setting, Settings, encode, resampled, variant
from s4token.tallies import RESAMPLES, SEED, bootstrap, category_means
from s4token.types import PointCloud

_log = logging.getLogger(__name__)
DRAWS = 20
"""Random answers whose mean is the chance level."""
TOGETHER = 64
"""Shapes that are read and encoded at a time."""


@dataclass(frozen=True)
class ObjectRow:
    """Hold one line of the table of objects, in percent.

    top1, top5: share of shapes whose category is the best, among the best five; mAcc: mean of top1
    over categories; mAP: text-to-shape retrieval, one query per category that occurs, None for a
    probe; intervals: 95 % bootstrap of top1 and top5 over shapes, of mAP over queries; stated:
    everything that the figures depend on.
    """

    data: str
    tokenizer: str
    normalise: str
    scale: float
    density: float
    top1: float
    top5: float
    mAcc: float  # noqa: N815
    mAP: float | None  # noqa: N815
    seconds: float
    peak_mb: float | None = None
    intervals: dict[str, tuple[float, float] | None] = field(default_factory=dict)
    stated: dict[str, Any] = field(default_factory=dict)


def rank_of_truth(scores: Float[np.ndarray, "n C"], truth: Int[np.ndarray, "n"]) -> np.ndarray:
    """Return how many classes score at least as high as the true one, itself left out, (n,).

    Ties count against the truth, so that a constant answer earns nothing.
    """
    own = np.take_along_axis(scores, truth[:, None], axis=1)
    return (scores >= own).sum(axis=1) - 1


def object_scores(
    draws: Iterable[Float[np.ndarray, "n C"]], truth: Int[np.ndarray, "n"]
) -> tuple[dict[str, float], dict[str, tuple[float, float] | None]]:
    """Score similarity of n shapes with C categories, a table per seed; return means, intervals.

    truth: category numbers from 0. A mean is over seeds and shapes (mAP: queries), and an interval
    resamples both.
    """
    asked, found = np.unique(truth), {"top1": [], "top5": [], "mAP": []}
    for scores in draws:
        rank = rank_of_truth(scores, truth)
        found["top1"].append(100.0 * (rank == 0))
        found["top5"].append(100.0 * (rank < 5))
        found["mAP"].append(average_precision(scores.T[asked], truth[None] == asked[:, None]))
    tables = {name: np.stack(rows) for name, rows in found.items()}
    first = tables["top1"].mean(axis=0).tolist()
    means = {name: float(table.mean()) for name, table in tables.items()}
    means["mAcc"] = float(np.mean(category_means(first, [f"{t:09}" for t in truth])))
    return means, {name: _interval(table) for name, table in tables.items()}


def _interval(table: np.ndarray) -> tuple[float, float] | None:
    mean = lambda s, u: float(s @ table @ u / (s.sum() * u.sum()))  # noqa: E731
    return bootstrap(mean, *table.shape)


def whole_features(
    model: S4Token, clouds: Sequence[PointCloud], tokenizer: str
) -> Float[np.ndarray, "n E"]:
    """Return the unit features of whole clouds; no category is involved."""
    if tokenizer != "multiview":
        return model.encode_shapes(clouds, tokenizer=tokenizer)
    return np.stack([encode(model, cloud, tokenizer).global_feature for cloud in clouds])


@dataclass(frozen=True)
class Shapes:
    """Hold the features of a list of shapes under every setting.

    features: (n, E) unit rows; truth: (n,) category numbers from 0; points: in all; listed: shapes
    of the data set, before a limit.
    """

    scans: Scans
    features: dict[Setting, Float[np.ndarray, "n E"]]
    truth: Int[np.ndarray, "n"]
    costs: dict[Setting, Cost]
    points: int
    listed: int


def shape_features(
    model: S4Token, scans: Scans, settings: Sequence[Setting], limit: int | None = None
) -> Shapes:
    """Encode a list of shapes under settings, ``TOGETHER`` of them in memory at a time.

    Raises ValueError for a shape of no category.
    """
    features: dict[Setting, list[np.ndarray]] = {setting: [] for setting in settings}
    costs = {setting: Cost() for setting in settings}
    chosen, truth, points = scans.subset(limit), [], 0
    for start in range(0, len(chosen), TOGETHER):
        some = list(chosen[start : start + TOGETHER])
        _log.info("%s: shapes %d to %d of %d", scans.spec, start, start + len(some), len(chosen))
        for scan in some:
            if scan.category not in scans.classes:
                raise ValueError(f"{scan.name}: '{scan.category}' is no category of {scans.spec}")
            truth.append(scans.classes.index(scan.category))
            points += len(scan.cloud)
        for setting in settings:
            used, name, _, _ = variant(model, setting.tokenizer, setting.normalise)
            clouds = [resampled(s.cloud, setting.density)[0].scaled(setting.scale) for s in some]
            with measured(model.clip.device) as cost:
                features[setting].append(whole_features(used, clouds, name))
            costs[setting].add(cost)
    stacked = {setting: np.concatenate(rows) for setting, rows in features.items()}
    return Shapes(chosen, stacked, np.array(truth), costs, points, len(scans))


def object_row(
    shapes: Shapes, setting: Setting, draws: Iterable[np.ndarray], **stated: Any
) -> ObjectRow:
    """Return the line of similarity tables (n, C), one per seed."""
    scans, cost = shapes.scans, shapes.costs.get(setting, Cost())
    means, intervals = object_scores(draws, shapes.truth)
    about = {
        "protocol": "zero-shot classification and retrieval",
        "split": scans.split,
        "classes": list(scans.classes),
        "prompts": list(scans.classes),
        "templates": list(TEMPLATES),
        "seed": SEED,
        "shapes": len(shapes.truth),
        "shapes_listed": shapes.listed,
        "points": shapes.points,
        "interval": f"95 %, {RESAMPLES} bootstrap resamples of shapes (mAP: of queries)",
    }
    return ObjectRow(
        scans.spec.split(":")[0],
        *astuple(setting),
        **means,
        seconds=cost.seconds,
        peak_mb=cost.peak_mb or None,
        intervals=intervals,
        stated=about | stated,
    )


def _baselines(shapes: Shapes) -> list[ObjectRow]:
    """Return the lines of chance, the mean of many draws, and of the most frequent category."""
    size = (len(shapes.truth), len(shapes.scans.classes))
    rng = np.random.default_rng(SEED)
    constant = np.zeros(size)
    constant[:, np.bincount(shapes.truth).argmax()] = 1
    lines = {"random": (rng.random(size) for _ in range(DRAWS)), "majority": [constant]}
    return [
        object_row(shapes, Setting(name, "-"), draws, weights="none")
        for name, draws in lines.items()
    ]


def evaluate_objects(
    model: S4Token,
    data: Sequence[Scans],
    settings: Settings,
    *,
    report: Callable[[ObjectRow], object] = lambda row: None,
) -> list[ObjectRow]:
    """Classify the shapes of data sets by the cosine of their global feature with category names.

    ``report`` sees rows as they come. The categories of the whole data set compete, also where
    the limit leaves shapes of few. Raises ValueError for a shape of no category.
    """
    rows: list[ObjectRow] = []
    settings.check(data)
    chosen = settings.of(model)
    for scans in data:
        for row in named(model, shape_features(model, scans, chosen, settings.limit)):
            rows.append(row)
            report(row)
    return rows


def named(model: S4Token, shapes: Shapes) -> Iterator[ObjectRow]:
    """Yield the lines of chance, and of every setting that shapes are encoded under."""
    yield from _baselines(shapes)
    text = text_features(model, shapes.scans.classes, TEMPLATES)
    for setting, features in shapes.features.items():
        weights = variant(model, setting.tokenizer, setting.normalise)[3]
        yield object_row(shapes, setting, [features @ text.T], weights=weights)


def object_rows_json(rows: Sequence[ObjectRow]) -> list[dict[str, Any]]:
    """Return rows as flat JSON-ready dictionaries, scores rounded to 0.001."""
    out = []
    for row in rows:
        flat = asdict(row)
        stated = flat.pop("stated")
        for name, interval in flat.pop("intervals").items():
            flat[f"{name}_low"], flat[f"{name}_high"] = interval or (None, None)
        exact = ("scale", "density")
        rounded = {
            k: round(v, 3) if isinstance(v, float) and k not in exact else v
            for k, v in flat.items()
        }
        out.append(rounded | stated)
    return out
