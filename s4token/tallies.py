"""Scores over many scans: confusion added up, parts per shape, and how sure a figure is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from s4token.metrics import class_counts, class_iou, score_of
from s4token.types import Scan

RESAMPLES = 1000
SEED = 0


def bootstrap(
    score: Callable[..., float], *counts: int, seed: int = SEED
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of ``score(weights, ...)`` over resampled draws.

    counts: how many scans there are, or scans and further things that vary by chance, each
    resampled by itself; weights: how often each was drawn. None where there is but one of
    everything, which says nothing. Source: Efron, Annals of Statistics 7 (1979).
    """
    if max(counts) < 2:
        return None
    rng = np.random.default_rng(seed)
    draws = [rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) for n in counts]
    low, high = np.nanpercentile([score(*w) for w in zip(*draws, strict=True)], (2.5, 97.5))
    return float(low), float(high)


def counts_of(scan: Scan, predicted: Int[np.ndarray, "N"]) -> Int[np.ndarray, "3 C"]:
    """Return ``metrics.class_counts`` of a scan."""
    return class_counts(truth_of(scan), predicted, len(scan.classes))


def constant_counts(counts: Int[np.ndarray, "3 C"], best: int) -> Int[np.ndarray, "3 C"]:
    """Return the counts if every labelled point had been called class ``best``."""
    out = np.zeros_like(counts)
    out[0], out[1, best], out[2, best] = counts[0], counts[0].sum(), counts[0, best]
    return out


def truth_of(scan: Scan) -> Int[np.ndarray, "N"]:
    """Return a scan's labels, or raise ValueError when it has none to compare with."""
    if scan.labels is None:
        raise ValueError(f"{scan.name}: no labels to compare with; evaluate needs a labelled scan")
    return scan.labels


@dataclass
class SegmentTally:
    """Add up counts over scans of one class list; mIoU over the classes in the truth.

    background: classes that ``foreground`` leaves out of its mean; they still compete.
    """

    classes: tuple[str, ...]
    background: tuple[str, ...] = ()
    counts: list[Int[np.ndarray, "3 C"]] = field(default_factory=list)

    def add(self, scan: Scan, predicted: Int[np.ndarray, "N"]) -> None:
        """Count a scan; points without truth do not count, points without a label are wrong.

        Raises ValueError when the scan has no labels or another class list.
        """
        if scan.classes != self.classes:
            raise ValueError(f"{scan.name}: its classes are not those of the data set")
        self.counts.append(counts_of(scan, predicted))

    def scores(self) -> dict[str, float]:
        """Return mIoU, mAcc and OA in percent. Raises ValueError without a labelled point."""
        score = score_of(np.sum(self.counts, axis=0))
        return {"mIoU": score.mIoU, "mAcc": score.mAcc, "OA": score.OA}

    def extras(self) -> dict[str, float | None]:
        """Return the mIoU of the foreground classes alone, None where nothing is left out."""
        return {"foreground_mIoU": self.foreground() if self.background else None}

    def foreground(self) -> float | None:
        """Return the mean IoU of the classes outside ``background`` that the truth has."""
        iou = class_iou(np.sum(self.counts, axis=0))
        kept = iou[[c not in self.background for c in self.classes]]
        return float(np.nanmean(kept)) if np.isfinite(kept).any() else None

    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % bootstrap interval of mIoU over scans."""
        counts = np.stack(self.counts).astype(np.float64)
        flat = counts.reshape(len(counts), -1)
        resum = lambda weights: (weights @ flat).reshape(3, -1)  # noqa: E731

        def score(weights: np.ndarray) -> float:
            iou = class_iou(resum(weights))
            seen = np.isfinite(iou)  # nothing, where only scans without labels were drawn
            return float(iou[seen].mean()) if seen.any() else float("nan")

        return bootstrap(score, len(flat))

    def majority(self) -> SegmentTally:
        """Return the tally of calling every point the most frequent class of all scans."""
        best = int(np.sum(self.counts, axis=0)[0].argmax())
        constant = [constant_counts(c, best) for c in self.counts]
        return SegmentTally(self.classes, self.background, constant)


def part_iou(counts: Int[np.ndarray, "3 P"]) -> float:
    """Return the mean IoU of a shape's parts in percent.

    A part that neither truth nor prediction has counts as 100 (PointNet, arXiv 1612.00593).
    """
    true, predicted, hit = counts
    union = true + predicted - hit
    return 100 * float(np.where(union > 0, hit / np.maximum(union, 1), 1.0).mean())


def category_means(values: Sequence[float], categories: Sequence[str]) -> list[float]:
    """Return the mean of each category's values, categories in alphabetical order."""
    pairs = [(c, v) for c, v in zip(categories, values, strict=True) if np.isfinite(v)]
    return [
        float(np.mean([v for c, v in pairs if c == name])) for name in sorted({c for c, _ in pairs})
    ]


@dataclass
class PartTally:
    """Add up part IoU per shape, by category: the protocol of ShapeNetPart.

    mIoU is the mean over categories of the mean over shapes ("class mIoU"); mAcc is the same mean
    of the shapes' point accuracy.
    """

    categories: list[str] = field(default_factory=list)
    counts: list[Int[np.ndarray, "3 _"]] = field(default_factory=list)

    def add(self, scan: Scan, predicted: Int[np.ndarray, "N"]) -> None:
        """Count a shape whose labels are the parts of its category."""
        self.categories.append(str(scan.category))
        self.counts.append(counts_of(scan, predicted))

    def scores(self) -> dict[str, float]:
        """Return class mIoU, mean accuracy over categories, and OA, in percent."""
        points, hits = (np.array([c[row].sum() for c in self.counts]) for row in (0, 2))
        accuracy = (100 * hits / np.maximum(points, 1)).tolist()
        return {
            "mIoU": float(np.mean(category_means(self._iou(), self.categories))),
            "mAcc": float(np.mean(category_means(accuracy, self.categories))),
            "OA": 100 * float(hits.sum() / points.sum()),
        }

    def _iou(self) -> list[float]:
        return [part_iou(c) for c in self.counts]

    def extras(self) -> dict[str, float | None]:
        """Return the mean over all shapes, whatever their category ("instance mIoU")."""
        return {"instance_mIoU": float(np.mean(self._iou()))}

    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % bootstrap interval of class mIoU over shapes."""
        iou, group = np.array(self._iou()), np.unique(self.categories, return_inverse=True)[1]

        def score(weights: np.ndarray) -> float:
            drawn = np.bincount(group, weights)
            total = np.bincount(group, weights * iou)
            return float((total[drawn > 0] / drawn[drawn > 0]).mean())

        return bootstrap(score, len(iou))

    def majority(self) -> PartTally:
        """Return the tally of calling every point the most frequent part of its category."""
        sums: dict[str, np.ndarray] = {}
        for category, counts in zip(self.categories, self.counts, strict=True):
            sums[category] = sums.get(category, 0) + counts[0]
        constant = [
            constant_counts(counts, int(sums[category].argmax()))
            for category, counts in zip(self.categories, self.counts, strict=True)
        ]
        return PartTally(list(self.categories), constant)
