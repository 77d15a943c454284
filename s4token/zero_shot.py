"""Objects by words: zero-shot classification, and finding shapes for a text."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from s4token.benchmark import encode, resampled, variant
from s4token.datasets import Scans
from s4token.metrics import retrieval_map
from s4token.model import S4Token
from s4token.resources import Cost, measured
from s4token.segment import TEMPLATES, text_features
from s4token.tallies import RESAMPLES, SEED, bootstrap, category_means
from s4token.types import PointCloud

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ObjectRow:
    """Hold one line of the table of objects, in percent.

    top1, top5: share of shapes whose category is the best, among the best five; mAcc: mean of top1
    over categories; mAP: text-to-shape retrieval, one query per category that occurs; interval:
    95 % bootstrap of top1 over shapes; stated: everything that the figures depend on.
    """

    data: str
    tokenizer: str
    normalise: str
    scale: float
    density: float
    top1: float
    top5: float
    mAcc: float  # noqa: N815
    mAP: float  # noqa: N815
    seconds: float
    peak_mb: float | None = None
    interval: tuple[float, float] | None = None
    stated: dict[str, Any] = field(default_factory=dict)


def rank_of_truth(scores: Float[np.ndarray, "n C"], truth: Int[np.ndarray, "n"]) -> np.ndarray:
    """Return how many classes score at least as high as the true one, itself left out, (n,).

    Ties count against the truth, so that a constant answer earns nothing.
    """
    own = np.take_along_axis(scores, truth[:, None], axis=1)
    return (scores >= own).sum(axis=1) - 1


def object_scores(
    scores: Float[np.ndarray, "n C"], truth: Int[np.ndarray, "n"]
) -> dict[str, float]:
    """Score similarity of n shapes with C categories; truth: category numbers from 0."""
    rank = rank_of_truth(scores, truth)
    first = 100.0 * (rank == 0)
    asked = np.unique(truth)
    return {
        "top1": float(first.mean()),
        "top5": float(100.0 * (rank < 5).mean()),
        "mAcc": float(np.mean(category_means(first.tolist(), [f"{t:09}" for t in truth]))),
        "mAP": retrieval_map(scores.T[asked], truth[None] == asked[:, None]),
    }


def shape_feature(model: S4Token, cloud: PointCloud, tokenizer: str) -> Float[np.ndarray, "E"]:
    """Return the unit feature of a whole cloud; no category is involved."""
    return encode(model, cloud, tokenizer).global_feature


def _row(
    scans: Scans, key: tuple[str, str, float, float], scores: np.ndarray, truth: np.ndarray,
    cost: Cost, **stated: Any,
) -> ObjectRow:  # fmt: skip
    first = (rank_of_truth(scores, truth) == 0).astype(float)
    interval = bootstrap(len(first), lambda w: float(100 * (w @ first) / w.sum()))
    about = {
        "protocol": "zero-shot classification and retrieval",
        "split": scans.split,
        "classes": list(scans.classes),
        "prompts": list(scans.classes),
        "templates": list(TEMPLATES),
        "seed": SEED,
        "shapes": len(truth),
        "interval": f"95 % of top1, {RESAMPLES} bootstrap resamples of shapes",
    }
    return ObjectRow(
        scans.spec.split(":")[0],
        *key,
        **object_scores(scores, truth),
        seconds=cost.seconds,
        peak_mb=cost.peak_mb or None,
        interval=interval,
        stated=about | stated,
    )


def _baselines(scans: Scans, truth: np.ndarray, listed: int) -> list[ObjectRow]:
    """Return the lines of random scores and of the most frequent category."""
    count = len(scans.classes)
    draw = np.random.default_rng(SEED).random((len(truth), count))
    constant = np.zeros((len(truth), count))
    constant[:, np.bincount(truth).argmax()] = 1
    lines = {"random": draw, "majority": constant}
    more = {"weights": "none", "shapes_listed": listed, "points": 0}
    return [
        _row(scans, (name, "-", 1.0, 1.0), scores, truth, Cost(), **more)
        for name, scores in lines.items()
    ]


def evaluate_objects(
    model: S4Token,
    data: Sequence[Scans],
    *,
    tokenizers: Sequence[str] = ("superpoint", "knn", "radius"),
    normalise: Sequence[str | None] = (None,),
    scales: Sequence[float] = (1.0,),
    densities: Sequence[float] = (1.0,),
    limit: int | None = None,
    report: Callable[[ObjectRow], object] = lambda row: None,
) -> list[ObjectRow]:
    """Classify the shapes of data sets by the cosine of their global feature with category names.

    Arguments as of ``benchmark.evaluate``; the categories of the whole data set compete, also
    where ``limit`` leaves shapes of few. Raises ValueError for a shape of no category.
    """
    rows: list[ObjectRow] = []
    for scans in data:
        chosen = scans.subset(limit)
        text = text_features(model, chosen.classes, TEMPLATES)
        combos = itertools.product(densities, scales, tokenizers, normalise)
        keys = dict.fromkeys((t, variant(model, t, n)[2], s, d) for d, s, t, n in combos)
        features: dict[tuple, list[np.ndarray]] = {key: [] for key in keys}
        costs = {key: Cost() for key in keys}
        truth, points = [], 0
        for number, scan in enumerate(chosen, start=1):
            _log.info("%s: shape %d of %d, %s", scans.spec, number, len(chosen), scan.name)
            if scan.category not in chosen.classes:
                raise ValueError(f"{scan.name}: '{scan.category}' is no category of {scans.spec}")
            truth.append(chosen.classes.index(scan.category))
            points += len(scan.cloud)
            for key in keys:
                tokenizer, kind, scale, density = key
                used, name, _, _ = variant(model, tokenizer, kind)
                cloud = resampled(scan.cloud, density)[0].scaled(scale)
                with measured(model.clip.device) as cost:
                    features[key].append(shape_feature(used, cloud, name))
                costs[key].add(cost)
        target = np.array(truth)
        lines = _baselines(chosen, target, len(scans))
        for key in keys:
            scores = np.stack(features[key]) @ text.T
            more = {
                "weights": variant(model, key[0], key[1])[3],
                "shapes_listed": len(scans),
                "points": points,
            }
            lines.append(_row(chosen, key, scores, target, costs[key], **more))
        for row in lines:
            rows.append(row)
            report(row)
    return rows


def object_rows_json(rows: Sequence[ObjectRow]) -> list[dict[str, Any]]:
    """Return rows as flat JSON-ready dictionaries, scores rounded to 0.001."""
    out = []
    for row in rows:
        flat = asdict(row)
        stated = flat.pop("stated")
        low, high = flat.pop("interval") or (None, None)
        flat |= {"top1_low": low, "top1_high": high}
        exact = ("scale", "density")
        rounded = {
            k: round(v, 3) if isinstance(v, float) and k not in exact else v
            for k, v in flat.items()
        }
        out.append(rounded | stated)
    return out
