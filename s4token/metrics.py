"""Scores of labels and of partitions, in percent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from s4token.geometry import knn
from s4token.types import Groups

NEIGHBOURS = 9
"""Nearest points among which ``partition_score`` looks for a boundary."""


@dataclass(frozen=True)
class SegmentationScore:
    """Hold mIoU, mean class accuracy and overall accuracy in percent, and IoU per class."""

    mIoU: float  # noqa: N815
    mAcc: float  # noqa: N815
    OA: float
    iou: tuple[float, ...]


def class_counts(
    truth: Int[np.ndarray, "N"], predicted: Int[np.ndarray, "N"], classes: int
) -> Int[np.ndarray, "3 C"]:
    """Return per class how many points are true, predicted and both: all that a score needs.

    Labels are 0 = unlabelled, 1 .. classes. Points without truth do not count; a labelled point
    predicted 0 counts against its class.
    """
    known = truth > 0
    truth, predicted = truth[known], predicted[known]
    hit = truth[truth == predicted]
    count = lambda labels: np.bincount(labels, minlength=classes + 1)[1:]  # noqa: E731
    return np.stack([count(truth), count(predicted), count(hit)])


def class_iou(counts: Float[np.ndarray, "3 *C"] | Int[np.ndarray, "3 *C"]) -> np.ndarray:
    """Return IoU = TP / (TP + FP + FN) in percent, of counts' shape less its first axis.

    NaN where the truth has none.
    """
    true, predicted, hit = counts
    return np.where(true > 0, 100 * hit / np.maximum(true + predicted - hit, 1), np.nan)


def score_of(counts: Float[np.ndarray, "3 C"] | Int[np.ndarray, "3 C"]) -> SegmentationScore:
    """Score counts over the classes in the truth. Raises ValueError when there are none."""
    true, _, hit = counts
    if true.sum() == 0:
        raise ValueError("truth: no labelled point to score against")
    iou, seen = class_iou(counts), true > 0
    return SegmentationScore(
        mIoU=float(iou[seen].mean()),
        mAcc=100 * float((hit[seen] / true[seen]).mean()),
        OA=100 * float(hit.sum() / true.sum()),
        iou=tuple(iou.tolist()),
    )


def segmentation_score(
    truth: Int[np.ndarray, "N"], predicted: Int[np.ndarray, "N"], classes: int
) -> SegmentationScore:
    """Score predicted labels over the classes present in the truth.

    Raises ValueError when no point has a true label.
    """
    return score_of(class_counts(truth, predicted, classes))


def oracle_labels(groups: Groups, truth: Int[np.ndarray, "N"]) -> Int[np.ndarray, "N"]:
    """Return the best labels a partition allows: each superpoint's most frequent true label."""
    labels = groups.labels
    classes = int(truth.max()) + 1
    votes = np.bincount(labels.astype(np.int64) * classes + truth, minlength=len(groups) * classes)
    votes = votes.reshape(len(groups), classes)
    votes[:, 0] = 0
    return votes.argmax(axis=1)[labels]


def oracle_miou(groups: Groups, truth: Int[np.ndarray, "N"]) -> float:
    """Return the mIoU of ``oracle_labels``: the ceiling of any labelling of these superpoints."""
    return segmentation_score(truth, oracle_labels(groups, truth), int(truth.max())).mIoU


def boundary_recall(
    groups: Groups, truth: Int[np.ndarray, "N"], neighbours: Int[np.ndarray, "N K"]
) -> float:
    """Return the share of true boundary points with a superpoint boundary among their neighbours.

    neighbours: the k nearest other points of every point (``geometry.knn`` less its first column).
    A point lies on a boundary when a neighbour has another label. Source: Landrieu and Boussaha,
    CVPR 2019, with a tolerance of one neighbourhood.
    """
    labels = groups.labels
    true_edge = (truth[neighbours] != truth[:, None]).any(axis=1) & (truth > 0)
    own_edge = (labels[neighbours] != labels[:, None]).any(axis=1)
    near_edge = own_edge[neighbours].any(axis=1)
    return 100 * float(near_edge[true_edge].mean()) if true_edge.any() else 100.0


def undersegmentation_error(groups: Groups, truth: Int[np.ndarray, "N"]) -> float:
    """Return the share of labelled points outside their superpoint's most frequent label."""
    known = truth > 0
    return 100 * float((oracle_labels(groups, truth) != truth)[known].mean())


@dataclass(frozen=True)
class PartitionScore:
    """Hold how well superpoints fit true labels, in percent."""

    purity: float
    oracle_miou: float
    boundary_recall: float


def partition_score(
    groups: Groups, truth: Int[np.ndarray, "N"], points: Float[np.ndarray, "N 3"]
) -> PartitionScore:
    """Score a partition against true labels, 0 = unlabelled.

    Purity is the share of labelled points with their superpoint's most frequent label. Raises
    ValueError when no point has a true label.
    """
    return PartitionScore(
        100 - undersegmentation_error(groups, truth),
        oracle_miou(groups, truth),
        boundary_recall(groups, truth, knn(points.astype(np.float64), NEIGHBOURS + 1)[0][:, 1:]),
    )


def partition_agreement(first: Int[np.ndarray, "N"], second: Int[np.ndarray, "N"]) -> float:
    """Return the share of points, in percent, whose group is matched by overlap in both partitions.

    Two groups match when each shares more points with the other than with any third group.
    """
    width = int(second.max()) + 1
    pairs, counts = np.unique(first.astype(np.int64) * width + second, return_counts=True)
    mutual = np.ones(len(pairs), dtype=bool)
    for side in (pairs // width, pairs % width):
        order = np.lexsort((-counts, side))
        best = order[np.flatnonzero(np.diff(side[order], prepend=-1))]
        mutual &= np.isin(np.arange(len(pairs)), best)
    return 100 * float(counts[mutual].sum() / len(first))


def average_precision(
    scores: Float[np.ndarray, "Q G"], relevant: Bool[np.ndarray, "Q G"]
) -> Float[np.ndarray, "Q"]:
    """Return the average precision of each query's ranked gallery, in percent; 0 without any."""
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    wanted = np.maximum(hits.sum(axis=1), 1)
    return 100 * (precision * hits).sum(axis=1) / wanted
