"""The comparison: classes present, thinning, chance, and rows that say what was run."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from s4token.benchmark import chance_rows, evaluate, present_classes, rows_json, thinned
from s4token.metrics import segmentation_score
from s4token.segment import segment


def test_present_classes_keeps_order_and_points(room_scan):
    gone = np.where(room_scan.labels == 2, 0, room_scan.labels)
    scan = present_classes(replace(room_scan, labels=gone))
    assert scan.classes == ("floor", "sofa", "table", "ball")
    for i in np.unique(gone[gone > 0]):
        name = room_scan.classes[i - 1]
        assert {scan.classes[j - 1] for j in np.unique(scan.labels[gone == i])} == {name}
    assert (scan.labels[gone == 0] == 0).all() and scan.cloud is room_scan.cloud


@pytest.mark.parametrize("labels", [None, "zeros"])
def test_unlabelled_scans_are_refused(room_scan, labels):
    labels = None if labels is None else np.zeros(len(room_scan.cloud), int)
    with pytest.raises(ValueError, match="corner: no labels to compare with"):
        present_classes(replace(room_scan, labels=labels))


def test_thinned_is_a_share_and_the_same_each_time(room_scan):
    first, second = (thinned(room_scan, 0.25) for _ in range(2))
    assert len(first.cloud) == round(0.25 * len(room_scan.cloud))
    assert (first.cloud.points == second.cloud.points).all()
    rows = {
        p.tobytes(): label
        for p, label in zip(room_scan.cloud.points, room_scan.labels, strict=True)
    }
    kept = zip(first.cloud.points, first.labels, strict=True)
    assert all(rows[p.tobytes()] == label for p, label in kept)
    assert thinned(room_scan, 1) is room_scan
    assert len(thinned(room_scan, 1e-9).cloud) == 1


@pytest.mark.parametrize("density", [0, -0.5, 1.5, float("nan")])
def test_bad_density(room_scan, density):
    with pytest.raises(ValueError, match="densities: expected shares"):
        thinned(room_scan, density)


def test_chance(room_scan):
    random, majority = chance_rows(room_scan)
    assert pytest.approx(100 / 5, abs=2) == random.OA
    most = 100 * np.bincount(room_scan.labels).max() / len(room_scan.labels)
    assert pytest.approx(most) == majority.OA and majority.mAcc == pytest.approx(20)
    assert majority.mIoU == pytest.approx(most / 5)


@pytest.fixture(scope="module")
def rows(tiny_model, room_scan):
    heard = []
    scan = thinned(room_scan, 0.3)
    out = evaluate(
        tiny_model,
        [scan],
        tokenizers=["superpoint", "radius", "multiview"],
        scales=[1.0, 1024.0],
        densities=[1.0, 0.5],
        report=heard.append,
    )
    assert heard == out
    return scan, out


def test_every_combination_is_a_row(rows):
    _, out = rows
    assert [r.tokenizer for r in out[:2]] == ["random", "majority"]
    got = [(r.density, r.scale, r.tokenizer) for r in out[2:]]
    names = ("superpoint", "radius", "multiview")
    assert got == [(d, s, t) for d in (1.0, 0.5) for s in (1.0, 1024.0) for t in names]
    assert all(r.data == "corner" and r.seconds > 0 for r in out[2:])
    kinds = {r.tokenizer: r.normalise for r in out}
    assert kinds == {
        "random": "-",
        "majority": "-",
        "superpoint": "token",
        "radius": "none",
        "multiview": "token",
    }


def test_a_row_is_what_segment_scores(rows, tiny_model):
    scan, out = rows
    result = segment(tiny_model, tiny_model.encode(scan.cloud), scan.classes, threshold=0)
    score = segmentation_score(scan.labels, result.labels, 5)
    row = out[2]
    assert (row.mIoU, row.mAcc, row.OA) == (score.mIoU, score.mAcc, score.OA)


def test_superpoint_rows_do_not_depend_on_the_unit(rows):
    _, out = rows
    score = {(r.tokenizer, r.density, r.scale): r.mIoU for r in out}
    for density in (1.0, 0.5):
        first, second = (score["superpoint", density, s] for s in (1.0, 1024.0))
        assert first == pytest.approx(second, abs=0.5)


def test_rows_are_json(rows):
    _, out = rows
    back = json.loads(json.dumps(rows_json(out)))
    assert back[2]["tokenizer"] == "superpoint" and back[2]["scale"] == 1.0
    assert back[2]["mIoU"] == pytest.approx(out[2].mIoU, abs=0.005)
    assert set(back[0]) == set(back[-1]) >= {"data", "mIoU", "mAcc", "OA", "density", "seconds"}


def test_unlabelled_scan_and_unknown_tokenizer(tiny_model, room_scan):
    with pytest.raises(ValueError, match="no labels to compare with"):
        evaluate(tiny_model, [replace(room_scan, labels=None)])
    with pytest.raises(ValueError, match="no 'octree'"):
        evaluate(tiny_model, [room_scan], tokenizers=["octree"])
