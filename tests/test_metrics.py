"""Scores against hand-made cases and slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from s4token.geometry import knn
from s4token.metrics import (
    average_precision,
    boundary_recall,
    class_counts,
    oracle_labels,
    oracle_miou,
    partition_agreement,
    segmentation_score,
    undersegmentation_error,
)
from s4token.types import Groups

labels = hnp.arrays(np.int32, st.just(30), elements=st.integers(0, 4))


@given(labels, labels)
def test_class_counts_equal_a_loop(truth, predicted):
    expected = np.zeros((3, 4), int)
    for t, p in zip(truth, predicted, strict=True):
        if t:
            expected[0, t - 1] += 1
            expected[2, t - 1] += t == p
            if p:
                expected[1, p - 1] += 1
    np.testing.assert_array_equal(class_counts(truth, predicted, 4), expected)


@given(labels.filter(np.any), labels)
def test_scores_equal_sets(truth, predicted):
    score = segmentation_score(truth, predicted, 4)
    known = truth > 0
    iou, accuracy = [], []
    for c in np.unique(truth[known]):
        own, found = known & (truth == c), known & (predicted == c)
        iou.append((own & found).sum() / (own | found).sum())
        accuracy.append((own & found).sum() / own.sum())
    assert score.mIoU == pytest.approx(100 * np.mean(iou))
    assert score.mAcc == pytest.approx(100 * np.mean(accuracy))
    assert pytest.approx(100 * (truth == predicted)[known].mean()) == score.OA
    assert np.isnan(score.iou).sum() == 4 - len(iou)


def test_unlabelled_predictions_count_against_their_class():
    truth, predicted = np.array([1, 1, 2, 2, 0]), np.array([1, 0, 2, 2, 1])
    score = segmentation_score(truth, predicted, 2)
    assert (score.mIoU, score.mAcc, score.OA) == (75.0, 75.0, 75.0)
    assert score.iou == (50.0, 100.0)


def test_no_truth_is_refused():
    with pytest.raises(ValueError, match="truth: no labelled point"):
        segmentation_score(np.zeros(5, int), np.ones(5, int), 2)


def test_oracle_takes_the_majority_of_the_labelled():
    groups = Groups.from_labels(np.array([0, 0, 0, 1, 1, 1, 1, 2]))
    truth = np.array([1, 1, 2, 0, 0, 0, 2, 0])
    assert oracle_labels(groups, truth).tolist()[:7] == [1, 1, 1, 2, 2, 2, 2]
    assert undersegmentation_error(groups, truth) == 25.0
    # Class 1: 2 of 3 points, class 2: 1 of 2.
    assert oracle_miou(groups, truth) == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)


def test_one_superpoint_per_point_is_perfect():
    truth = np.random.default_rng(0).integers(0, 4, 50)
    groups = Groups.from_labels(np.arange(50))
    assert oracle_miou(groups, truth) == 100 and undersegmentation_error(groups, truth) == 0


def test_boundary_recall_on_a_line():
    points = np.arange(20.0)[:, None] * [1, 0, 0]
    near = knn(points, 3)[0][:, 1:]
    truth = np.repeat([1, 2], 10)
    at = lambda cut: Groups.from_labels((np.arange(20) >= cut).astype(int))  # noqa: E731
    assert boundary_recall(at(10), truth, near) == 100
    assert boundary_recall(at(4), truth, near) == 0
    assert boundary_recall(at(11), truth, near) == 100  # within the tolerance
    assert boundary_recall(at(12), truth, near) == 50  # of one of the two boundary points
    assert boundary_recall(at(4), np.ones(20, int), near) == 100  # nothing to recall


def test_nearest_neighbours_leaves_the_point_itself_out():
    points = np.random.default_rng(0).random((50, 3))
    near = knn(points, 6)[0][:, 1:]
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.testing.assert_array_equal(near, np.argsort(apart, axis=1)[:, 1:6])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0, 0, 1, 1], [5, 5, 2, 2], 100),  # names do not matter
        ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1], 80),
        ([0, 1, 2, 3], [0, 0, 0, 0], 25),  # one big group matches only one of them
        ([0, 0, 0, 0], [0, 1, 2, 3], 25),
        ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2], 4 / 6 * 100),
    ],
)
def test_partition_agreement(first, second, expected):
    assert partition_agreement(np.array(first), np.array(second)) == pytest.approx(expected)


@given(labels, labels)
def test_partition_agreement_is_a_share_and_one_for_equal(first, second):
    assert partition_agreement(first, first) == 100
    assert 0 < partition_agreement(first, second) <= 100


def test_average_precision():
    scores = np.array([[0.9, 0.8, 0.7, 0.1], [0.1, 0.2, 0.3, 0.4]])
    relevant = np.array([[1, 0, 1, 0], [1, 0, 0, 0]], bool)
    # Precision at hits: 1 and 2/3; then 1/4.
    got = average_precision(scores, relevant)
    np.testing.assert_allclose(got, [100 * (1 + 2 / 3) / 2, 25])
    assert (average_precision(scores, np.zeros((2, 4), bool)) == 0).all()
