"""Scores added up over scans, against sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from s4token.metrics import class_iou, segmentation_score
from s4token.tallies import (
    PartTally,
    SegmentTally,
    bootstrap,
    category_means,
    part_iou,
)
from s4token.types import PointCloud, Scan


def scan(labels, classes, category=None):
    return Scan("s", PointCloud(np.eye(3)[np.zeros(len(labels), int)]), np.array(labels), classes,
                category=category)  # fmt: skip


WORDS = ("floor", "chair", "lamp")


def test_confusion_is_added_up_before_the_ratio_is_taken():
    tally = SegmentTally(WORDS, ("floor",))
    tally.add(scan([1, 1, 1, 2], WORDS), np.array([1, 1, 2, 2]))
    tally.add(scan([2, 2, 0, 0], WORDS), np.array([2, 1, 3, 1]))
    # floor: 2 hits, 3 true, one chair called floor: 2/4. chair: 2 of 3 true, one floor: 2/4.
    assert tally.scores() == pytest.approx({"mIoU": 50, "mAcc": 200 / 3, "OA": 400 / 6})
    assert tally.foreground() == pytest.approx(50) and tally.extras()["foreground_mIoU"] == 50
    tally.add(scan([3], WORDS), np.array([0]))  # no answer is a wrong answer
    assert tally.scores()["mIoU"] == pytest.approx(100 / 3)
    assert tally.foreground() == pytest.approx(25)
    assert SegmentTally(WORDS).extras() == {"foreground_mIoU": None}


def test_one_scan_equals_segmentation_score():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 5, 300), rng.integers(0, 5, 300)
    tally = SegmentTally(tuple("abcd"))
    tally.add(scan(truth, tuple("abcd")), predicted)
    score = segmentation_score(truth, predicted, 4)
    expected = {"mIoU": score.mIoU, "mAcc": score.mAcc, "OA": score.OA}
    assert tally.scores() == pytest.approx(expected)
    np.testing.assert_allclose(class_iou(tally.counts[0]), score.iou)


def test_majority_is_of_the_whole_set():
    tally = SegmentTally(WORDS)
    tally.add(scan([1, 1, 1], WORDS), np.array([3, 3, 3]))
    tally.add(scan([2, 2, 2, 2], WORDS), np.array([3, 3, 3, 3]))
    scores = tally.majority().scores()
    assert scores == pytest.approx({"mIoU": (0 + 4 / 7 * 100) / 2, "mAcc": 50, "OA": 400 / 7})


def test_nothing_labelled():
    tally = SegmentTally(WORDS)
    tally.add(scan([0, 0], WORDS), np.array([1, 1]))
    with pytest.raises(ValueError, match="no labelled point"):
        tally.scores()
    with pytest.raises(ValueError, match="no labels to compare with"):
        tally.add(Scan("s", PointCloud(np.zeros((1, 3))), classes=WORDS), np.array([1]))
    with pytest.raises(ValueError, match="s: its classes are not those"):
        tally.add(scan([1], ("sky",)), np.array([1]))


def test_parts_by_hand():
    mug, bag = ("handle", "body"), ("handle", "body")
    tally = PartTally()
    tally.add(scan([1, 1, 2, 2], mug, "mug"), np.array([1, 2, 2, 2]))  # 1/2 and 2/3
    tally.add(scan([2, 2], mug, "mug"), np.array([2, 2]))  # nobody has a handle: 1 and 1
    tally.add(scan([1, 2], bag, "bag"), np.array([2, 1]))  # 0 and 0
    first = 100 * (1 / 2 + 2 / 3) / 2
    assert [part_iou(c) for c in tally.counts] == pytest.approx([first, 100, 0])
    scores = tally.scores()
    assert scores["mIoU"] == pytest.approx(((first + 100) / 2 + 0) / 2)
    assert tally.extras()["instance_mIoU"] == pytest.approx((first + 100) / 3)
    assert scores["mAcc"] == pytest.approx((87.5 + 0) / 2)
    assert pytest.approx(100 * 5 / 8) == scores["OA"]
    # Mugs are bodies for the most part: 0 and 1/2 of the first, 1 and 1 of the second.
    most = tally.majority()
    assert [part_iou(c) for c in most.counts] == pytest.approx([25, 100, 25])


def test_category_means_leave_out_what_is_no_number():
    assert category_means([1, 3, 10, float("nan")], ["b", "b", "a", "a"]) == [10, 2]


def test_bootstrap_of_a_mean_is_the_textbooks():
    values = np.random.default_rng(5).normal(50, 10, 400)
    mean = lambda w: float(w @ values / w.sum())  # noqa: E731
    low, high = bootstrap(mean, 400)
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)
    assert bootstrap(mean, 400) == (low, high) and bootstrap(mean, 1) is None


def test_bootstrap_adds_up_what_varies():
    """Variances of independent things add: here 3 squared and 4 squared make 5 squared."""
    rng = np.random.default_rng(6)
    first, second = rng.normal(0, 3, 200), rng.normal(0, 4, 200)
    first, second = (3 * first / first.std(), 4 * second / second.std())
    low, high = bootstrap(lambda a, b: float(a @ first + b @ second) / 200, 200, 200)
    assert (high - low) / 2 == pytest.approx(1.96 * 5 / np.sqrt(200), rel=0.1)
    alone = bootstrap(lambda a, b: float(a @ first) / 200, 200, 1)
    assert (alone[1] - alone[0]) / 2 == pytest.approx(1.96 * 3 / np.sqrt(200), rel=0.1)


def test_a_scan_without_labels_among_others():
    tally = SegmentTally(WORDS)
    tally.add(scan([1, 2], WORDS), np.array([1, 1]))
    tally.add(scan([0, 0], WORDS), np.array([1, 2]))
    assert tally.interval() == pytest.approx((25, 25)) and tally.scores()["mIoU"] == 25


@pytest.mark.parametrize("kind", ["segment", "parts"])
def test_intervals_hold_the_figure(kind):
    rng = np.random.default_rng(1)
    tally = SegmentTally(WORDS) if kind == "segment" else PartTally()
    for i in range(12):
        truth = rng.integers(1, 4, 60)
        noise = rng.random(60) < 0.05 * i
        predicted = np.where(noise, rng.integers(1, 4, 60), truth)
        tally.add(scan(truth, WORDS, "ab"[i % 2]), predicted)
    low, high = tally.interval()
    assert low < tally.scores()["mIoU"] < high and high - low > 1
    assert tally.interval() == (low, high)
