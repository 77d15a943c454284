"""Scores over many scans: confusion added up, parts per shape, and how sure a figure is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from s4token.metrics import confusion_matrix
from s4token.types import Scan

RESAMPLES = 1000
SEED = 0


def bootstrap(
    count: int, score: Callable[[Int[np.ndarray, "n"]], float], *, seed: int = SEED
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of ``score(weights)`` over resampled scans.

    weights: how often each of ``count`` scans was drawn. None for fewer than two scans, which say
    nothing about each other. Source: Efron, Annals of Statistics 7 (1979).
    """
    if count < 2:
        return None
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    low, high = np.nanpercentile([score(weights) for weights in draws], (2.5, 97.5))
    return float(low), float(high)


def matrix_iou(matrix: Float[np.ndarray, "C Cp1"]) -> Float[np.ndarray, "C"]:
    """Return IoU per class in percent from a confusion matrix; NaN where the truth has none."""
    total = matrix.sum(axis=1)
    hit = np.diagonal(matrix)
    union = total + matrix[:, :-1].sum(axis=0) - hit
    return np.where(total > 0, 100 * hit / np.maximum(union, 1), np.nan)


def truth_of(scan: Scan) -> Int[np.ndarray, "N"]:
    """Return a scan's labels, or raise ValueError when it has none to compare with."""
    if scan.labels is None:
        raise ValueError(f"{scan.name}: no labels to compare with; evaluate needs a labelled scan")
    return scan.labels


@dataclass
class SegmentTally:
    """Add up confusion over scans of one class list; mIoU over the classes in the truth.

    background: classes that ``foreground`` leaves out of its mean; they still compete.
    """

    classes: tuple[str, ...]
    background: tuple[str, ...] = ()
    matrices: list[Int[np.ndarray, "C Cp1"]] = field(default_factory=list)

    def add(self, scan: Scan, predicted: Int[np.ndarray, "N"]) -> None:
        """Count a scan; points without truth do not count, points without a label are wrong."""
        self.matrices.append(confusion_matrix(truth_of(scan), predicted, len(self.classes)))

    def scores(self) -> dict[str, float]:
        """Return mIoU, mAcc and OA in percent. Raises ValueError without a labelled point."""
        matrix = np.sum(self.matrices, axis=0)
        total, hit = matrix.sum(axis=1), np.diagonal(matrix)
        if total.sum() == 0:
            raise ValueError("truth: no labelled point to score against")
        seen = total > 0
        return {
            "mIoU": float(np.nanmean(matrix_iou(matrix))),
            "mAcc": 100 * float((hit[seen] / total[seen]).mean()),
            "OA": 100 * float(hit.sum() / total.sum()),
        }

    def extras(self) -> dict[str, float | None]:
        """Return the mIoU of the foreground classes alone, None where nothing is left out."""
        return {"foreground_mIoU": self.foreground() if self.background else None}

    def foreground(self) -> float | None:
        """Return the mean IoU of the classes outside ``background`` that the truth has."""
        iou = matrix_iou(np.sum(self.matrices, axis=0))
        kept = iou[[c not in self.background for c in self.classes]]
        return float(np.nanmean(kept)) if np.isfinite(kept).any() else None

    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % bootstrap interval of mIoU over scans."""
        flat = np.stack(self.matrices).reshape(len(self.matrices), -1).astype(np.float64)
        shape = self.matrices[0].shape
        mean = lambda weights: np.nanmean(matrix_iou((weights @ flat).reshape(shape)))  # noqa: E731
        return bootstrap(len(flat), lambda w: float(mean(w)))

    def majority(self) -> SegmentTally:
        """Return the tally of calling every point the most frequent class of all scans."""
        counts = [matrix.sum(axis=1) for matrix in self.matrices]
        best = int(np.sum(counts, axis=0).argmax())
        out = SegmentTally(self.classes, self.background)
        for count in counts:
            matrix = np.zeros((len(count), len(count) + 1), dtype=np.int64)
            matrix[:, best] = count
            out.matrices.append(matrix)
        return out


def part_iou(matrix: Int[np.ndarray, "P Pp1"]) -> float:
    """Return the mean IoU of a shape's parts in percent.

    A part that neither truth nor prediction has counts as 100 (PointNet, arXiv 1612.00593).
    """
    hit = np.diagonal(matrix)
    union = matrix.sum(axis=1) + matrix[:, :-1].sum(axis=0) - hit
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
    matrices: list[Int[np.ndarray, "P Pp1"]] = field(default_factory=list)

    def add(self, scan: Scan, predicted: Int[np.ndarray, "N"]) -> None:
        """Count a shape whose labels are the parts of its category."""
        self.categories.append(str(scan.category))
        self.matrices.append(confusion_matrix(truth_of(scan), predicted, len(scan.classes)))

    def scores(self) -> dict[str, float]:
        """Return class mIoU, mean accuracy over categories, and OA, in percent."""
        hits = np.array([np.trace(m[:, :-1]) for m in self.matrices])
        points = np.array([m.sum() for m in self.matrices])
        accuracy = (100 * hits / np.maximum(points, 1)).tolist()
        return {
            "mIoU": float(np.mean(category_means(self._iou(), self.categories))),
            "mAcc": float(np.mean(category_means(accuracy, self.categories))),
            "OA": 100 * float(hits.sum() / points.sum()),
        }

    def _iou(self) -> list[float]:
        return [part_iou(m) for m in self.matrices]

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

        return bootstrap(len(iou), score)

    def majority(self) -> PartTally:
        """Return the tally of calling every point the most frequent part of its category."""
        sums: dict[str, np.ndarray] = {}
        for category, matrix in zip(self.categories, self.matrices, strict=True):
            sums[category] = sums.get(category, 0) + matrix.sum(axis=1)
        out = PartTally(list(self.categories))
        for category, matrix in zip(self.categories, self.matrices, strict=True):
            constant = np.zeros_like(matrix)
            constant[:, int(sums[category].argmax())] = matrix.sum(axis=1)
            out.matrices.append(constant)
        return out
