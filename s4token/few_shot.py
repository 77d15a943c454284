"""Few-shot and linear probe protocols: what a few examples read off frozen features."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from s4token.benchmark import Row, Source
from s4token.datasets import Scans
from s4token.metrics import class_iou, score_of
from s4token.model import S4Token
from s4token.probes import PROBES, Head, Probing
from s4token.propagation import point_tokens
from s4token.resources import Cost, measured
from s4token.settings import Setting, Settings, encode, resampled, variant
from s4token.tallies import RESAMPLES, SegmentTally, bootstrap, truth_of
from s4token.types import Encoding
from s4token.zero_shot import ObjectRow, Shapes, object_row, shape_features

_log = logging.getLogger(__name__)


def apart(test: Scans, train: Sequence[Scans]) -> None:
    """Raise ValueError when something to learn from is also tested on, or there is nothing."""
    if not train:
        raise ValueError(
            f"train: nothing to learn a probe for {test.spec} from; name data of its kind, as in "
            "--train scannet:ROOT@train"
        )
    keys = lambda scans: {(*map(_resolved, scans.files_of(i)), str(i)) for i in scans.items}  # noqa: E731
    tested = keys(test)
    for scans in train:
        if both := tested & keys(scans):
            raise ValueError(
                f"train: {len(both):,} scans of {scans.spec} are tested on as well, "
                f"{min(both)[-1]} for one; learn from another split"
            )


def _resolved(path: Any) -> str:
    return str(path.resolve())


def _stated(name: str, shots: int | None, fitted: Sequence[Head], train: Sequence[Scans]) -> dict:
    """Return what a probe's figure depends on beside its data, JSON-ready."""
    how = asdict(PROBES[name])
    return {
        "protocol": f"{name} probe" + (f" (penalty {how['penalty']:g})" if how else ""),
        "probe": name,
        "shots": "all" if shots is None else shots,
        "seeds": len(fitted),
        "train": [f"{t.spec.split(':')[0]}, {t.split}" for t in train],
        "classes_learnt": int(fitted[0].known.sum()),
        "prompts": [],
        "templates": [],
        "interval": f"95 %, {RESAMPLES} bootstrap resamples of seeds and of scans or shapes",
    }


def _say_few(
    labels: Int[np.ndarray, "n"], classes: Sequence[str], probing: Probing, what: str
) -> None:
    """Name classes with fewer examples than shots, and those without any, in warnings."""
    most = max((shots for shots in probing.shots if shots), default=1)
    counts = list(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True))
    if few := [f"{name} ({count})" for name, count in counts if 0 < count < most]:
        _log.warning("%s: fewer than %d examples, all are taken: %s", what, most, _some(few))
    if none := [name for name, count in counts if not count]:
        _log.warning("%s: no example, never answered: %s", what, _some(none))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def probe_objects(
    model: S4Token,
    data: Sequence[Scans],
    train: Sequence[Scans],
    settings: Settings,
    probing: Probing,
    *,
    report: Callable[[ObjectRow], object] = lambda row: None,
) -> list[ObjectRow]:
    """Classify shapes by a classifier of their global feature, learnt from ``train``.

    Scales and densities are the tested shapes' alone; the limit counts test shapes and shapes of
    each entry of ``train``. A tested shape whose category has no example is answered wrong.
    Raises ValueError when a tested shape is among those to learn from.
    """
    rows: list[ObjectRow] = []
    settings.check([*data, *train])
    chosen = settings.of(model)
    plain = list(dict.fromkeys(setting.plain for setting in chosen))
    for scans in data:
        apart(scans, train)
    learnt = [shape_features(model, t, plain, settings.limit) for t in train] if data else []
    for scans in data:
        shapes = shape_features(model, scans, chosen, settings.limit)
        for row in probed(model, shapes, learnt, probing):
            rows.append(row)
            report(row)
    return rows


def probed(
    model: S4Token, shapes: Shapes, learnt: Sequence[Shapes], probing: Probing
) -> Iterator[ObjectRow]:
    """Yield the lines of all probes under every setting of the tested shapes that has examples.

    learnt: examples, at scale and density 1. Raises ValueError when there is no shape of a tested
    category among them.
    """
    classes = shapes.scans.classes
    names = [part.scans.classes[i] for part in learnt for i in part.truth.tolist()]
    labels = np.array([classes.index(n) if n in classes else -1 for n in names], dtype=int)
    known = labels >= 0
    if not known.any():
        raise ValueError(f"train: no shape of a category of {shapes.scans.spec} to learn from")
    _say_few(labels[known], classes, probing, "shapes")
    fits: dict[Setting, dict[tuple[str, int | None], list[Head]]] = {}
    for setting, features in shapes.features.items():
        plain, weights = setting.plain, variant(model, setting.tokenizer, setting.normalise)[3]
        if any(plain not in part.features for part in learnt):
            continue
        if plain not in fits:
            pooled = np.concatenate([part.features[plain] for part in learnt])
            fits[plain] = probing(pooled[known], labels[known], len(classes))
        for (name, shots), fitted in fits[plain].items():
            stated = _stated(name, shots, fitted, [part.scans for part in learnt])
            stated |= {"weights": weights, "train_shapes": int(known.sum())}
            tables = (head(features) for head in fitted)
            yield _without_retrieval(object_row(shapes, setting, tables, **stated))


def _without_retrieval(row: ObjectRow) -> ObjectRow:
    kept = {name: row.intervals[name] for name in ("top1", "top5")}
    return replace(row, mAP=None, intervals=kept)


def token_truth(
    encoding: Encoding, labels: Int[np.ndarray, "N"], classes: int
) -> Int[np.ndarray, "M"]:
    """Return the most frequent label of each token's points, 0 where that is no class."""
    flat = point_tokens(encoding.cloud, encoding.groups).astype(np.int64) * (classes + 1) + labels
    votes = np.bincount(flat, minlength=len(encoding.groups) * (classes + 1))
    return votes.reshape(-1, classes + 1).argmax(axis=1)


@dataclass(frozen=True, eq=False)
class _Tokens:
    """Hold the labelled tokens of training scans: unit rows, classes from 0, scans in all."""

    features: Float[np.ndarray, "n E"]
    labels: Int[np.ndarray, "n"]
    scans: int


def _learnt(
    model: S4Token, train: Sequence[Scans], settings: Settings, how: Setting,
    number: dict[str, int],
) -> _Tokens:  # fmt: skip
    """Encode training scans; keep the tokens of classes that are asked for."""
    used, name, _, _ = variant(model, how.tokenizer, how.normalise)
    features, labels, count = [], [], 0
    for scan in itertools.chain(*(t.subset(settings.limit) for t in train)):
        _log.info("learning from %s, %s", scan.name, how.tokenizer)
        cloud = settings.scaled(scan.cloud, how)
        encoding = encode(used, cloud, name, **settings.pictures(scan.name, how))
        truth = token_truth(encoding, truth_of(scan), len(scan.classes))
        table = np.array([-1, *(number.get(c, -1) for c in scan.classes)])
        kept = table[truth] >= 0
        features.append(encoding.features[kept])
        labels.append(table[truth][kept])
        count += 1
    found = _Tokens(np.concatenate(features), np.concatenate(labels), count)
    if not len(found.labels):
        raise ValueError(f"train: no token of {', '.join(number)} in {count} scans to learn from")
    return found


def point_labels(head: Head, encoding: Encoding) -> Int[np.ndarray, "N"]:
    """Label every point, 1 .. C, with the class of its token."""
    best = head(encoding.features).argmax(axis=1) + 1
    return best[point_tokens(encoding.cloud, encoding.groups)]


def _mean_iou(counts: Int[np.ndarray, "S n 3 C"]) -> Callable[[np.ndarray, np.ndarray], float]:
    """Return the mean over drawn seeds of the mIoU over drawn scans."""
    exact = counts.astype(np.float64)

    def score(seeds: np.ndarray, scans: np.ndarray) -> float:
        iou = class_iou(np.einsum("n,sntc->tsc", scans, exact))
        seen = np.isfinite(iou)
        mean = np.where(seen, iou, 0).sum(axis=1) / np.where(seen.any(axis=1), seen.sum(axis=1), 1)
        return float(seeds @ mean / seeds.sum()) if seen.any() else float("nan")

    return score


def _row(
    source: Source, setting: Setting, tallies: Sequence[SegmentTally], cost: Cost,
    stated: dict[str, Any],
) -> Row:  # fmt: skip
    counts = np.stack([np.stack(tally.counts) for tally in tallies])
    scores = [score_of(c) for c in counts.sum(axis=1)]
    mean = {k: float(np.mean([getattr(s, k) for s in scores])) for k in ("mIoU", "mAcc", "OA")}
    extras = [tally.extras()["foreground_mIoU"] for tally in tallies]
    foreground = None if None in extras else float(np.mean(np.array(extras, float)))
    return Row(
        source.name,
        *astuple(setting),
        **mean,
        seconds=cost.seconds,
        peak_mb=cost.peak_mb or None,
        interval=bootstrap(_mean_iou(counts), *counts.shape[:2]),
        stated=stated | {"foreground_mIoU": foreground},
    )


def probe_scans(
    model: S4Token,
    data: Sequence[Scans],
    train: Sequence[Scans],
    settings: Settings,
    probing: Probing,
    *,
    report: Callable[[Row], object] = lambda row: None,
) -> list[Row]:
    """Segment labelled scans by a classifier of token features, learnt from ``train``.

    An example is a token with the most frequent label of its points; classes are matched by name,
    and those that are not asked for are left out. Scales, densities and limit as of
    ``probe_objects``; scores are over the original points.
    Raises ValueError when a tested scan is among those to learn from, or the task is another.
    """
    rows: list[Row] = []
    settings.check([*data, *train])
    chosen = sorted(settings.of(model), key=lambda s: (s.tokenizer, s.normalise))
    for entry in data:
        if entry.task != "segment":
            raise ValueError(f"{entry.spec}: probes label scans or shapes, not {entry.task}")
        apart(entry, train)
        source = Source.of(entry, settings.limit)
        number = {name: i for i, name in enumerate(source.classes)}
        for how, some in itertools.groupby(chosen, lambda s: s.plain):
            tokens = _learnt(model, train, settings, how, number)
            _say_few(tokens.labels, source.classes, probing, f"{how.tokenizer} tokens")
            fitted = probing(tokens.features, tokens.labels, len(number))
            for setting in some:
                for row in _tested(model, source, settings, setting, fitted, train, tokens):
                    rows.append(row)
                    report(row)
    return rows


def _tested(
    model: S4Token, source: Source, settings: Settings, setting: Setting,
    fitted: dict[tuple, list[Head]], train: Sequence[Scans], tokens: _Tokens,
) -> Iterator[Row]:  # fmt: skip
    """Label the test scans of one setting by every head; yield a row per probe and shots."""
    used, name, _, weights = variant(model, setting.tokenizer, setting.normalise)
    tallies = {
        case: [SegmentTally(source.classes, source.background) for _ in some]
        for case, some in fitted.items()
    }
    cost, points, given = Cost(), 0, 0
    for scan in source.scans:
        _log.info("%s: testing on %s, %s", source.name, scan.name, setting.tokenizer)
        cloud, answer = resampled(scan.cloud, setting.density)
        pictures = settings.pictures(scan.name, setting)
        with measured(model.clip.device) as step:
            encoding = encode(used, settings.scaled(cloud, setting), name, **pictures)
        cost.add(step)
        points, given = points + len(scan.cloud), given + len(cloud)
        for case, some in fitted.items():
            for head, tally in zip(some, tallies[case], strict=True):
                tally.add(scan, point_labels(head, encoding)[answer])
    for (probe, shots), some in fitted.items():
        stated = source.stated(points, given, weights) | _stated(probe, shots, some, train)
        stated |= {"train_scans": tokens.scans, "train_tokens": len(tokens.labels)}
        stated |= settings.stated(setting)
        yield _row(source, setting, tallies[probe, shots], cost, stated)
