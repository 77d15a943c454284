"""Scores of labels and of partitions, in percent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

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


def confusion_matrix(
    truth: Int[np.ndarray, "N"], predicted: Int[np.ndarray, "N"], classes: int
) -> Int[np.ndarray, "C Cp1"]:
    """Count (true class, predicted class) over the labelled points.

    Labels are 0 = unlabelled, 1 .. classes. Points without truth do not count; a labelled point
    predicted 0 stands in the last column and so counts against its class.
    """
    known = truth > 0
    row = truth[known].astype(np.int64) - 1
    column = np.where(predicted[known] > 0, predicted[known] - 1, classes)
    flat = np.bincount(row * (classes + 1) + column, minlength=classes * (classes + 1))
    return flat.reshape(classes, classes + 1)


def segmentation_score(
    truth: Int[np.ndarray, "N"], predicted: Int[np.ndarray, "N"], classes: int
) -> SegmentationScore:
    """Score predicted labels over the classes present in the truth.

    IoU = TP / (TP + FP + FN). Raises ValueError when no point has a true label.
    """
    matrix = confusion_matrix(truth, predicted, classes)
    total = matrix.sum(axis=1)
    if total.sum() == 0:
        raise ValueError("truth: no labelled point to score against")
    hit = np.diag(matrix[:, :classes]).astype(float)
    union = total + matrix[:, :classes].sum(axis=0) - hit
    present = total > 0
    iou = np.where(present, hit / np.maximum(union, 1), np.nan)
    accuracy = hit[present] / total[present]
    return SegmentationScore(
        mIoU=100 * float(iou[present].mean()),
        mAcc=100 * float(accuracy.mean()),
        OA=100 * float(hit.sum() / total.sum()),
        iou=tuple(100 * float(v) for v in iou),
    )


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


def retrieval_map(scores: Float[np.ndarray, "Q G"], relevant: np.ndarray) -> float:
    """Return mean average precision of ranked galleries; relevant: (Q, G) bool."""
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    wanted = np.maximum(hits.sum(axis=1), 1)
    return 100 * float(((precision * hits).sum(axis=1) / wanted).mean())
