"""Objects by words: ranks and scores by hand, rows, and what the protocol does not see."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import trees

from s4token import zero_shot
from s4token.datasets.modelnet40 import modelnet40_resampled
from s4token.datasets.named_meshes import named_meshes
from s4token.settings import Setting, Settings
from s4token.types import PointCloud
from s4token.zero_shot import (
    evaluate_objects,
    object_rows_json,
    object_scores,
    rank_of_truth,
    shape_features,
)

SCORES = np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.3], [0.7, 0.6, 0.65], [0.5, 0.5, 0.5]])
TRUTH = np.array([0, 1, 1, 2])


def test_ranks_and_ties():
    assert rank_of_truth(SCORES, TRUTH).tolist() == [0, 0, 2, 2]


def test_scores_by_hand():
    got, intervals = object_scores([SCORES], TRUTH)
    assert got["top1"] == 50 and got["top5"] == 100
    assert got["mAcc"] == pytest.approx((100 + 50 + 0) / 3)
    # Query 0 ranks shapes 0 2 3 1: 1. Query 1: 1 2 3 0: 1. Query 2: 2 0 3 1 with shape 3 third.
    assert got["mAP"] == pytest.approx(100 * (1 + 1 + 1 / 3) / 3)
    assert intervals["top1"] == (0, 100) and intervals["top5"] == (100, 100)
    low, high = intervals["mAP"]
    assert low == pytest.approx(100 / 3) and high == 100  # resampled over the three queries
    wide = np.concatenate([SCORES, np.full((4, 5), 0.95)], axis=1)
    assert object_scores([wide], TRUTH)[0]["top5"] == 0


def test_scores_are_means_over_seeds():
    perfect = np.eye(3)[TRUTH]
    got, intervals = object_scores([SCORES, perfect], TRUTH)
    assert got["top1"] == 75 and got["mAcc"] == pytest.approx((100 + 75 + 50) / 3)
    assert got["mAP"] == pytest.approx((100 + 100 * (7 / 3) / 3) / 2)
    assert intervals["top1"][0] < 75 < intervals["top1"][1]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return modelnet40_resampled(trees.modelnet40_resampled(tmp_path_factory.mktemp("mn")))


def test_rows(tiny_model, scans):
    heard = []
    rows = evaluate_objects(
        tiny_model,
        [scans],
        Settings(["superpoint", "multiview"], scales=[1.0, 8.0]),
        report=heard.append,
    )
    assert heard == rows
    keys = [(r.tokenizer, r.scale) for r in rows]
    assert keys == [("random", 1), ("majority", 1), ("superpoint", 1), ("multiview", 1),
                    ("superpoint", 8), ("multiview", 8)]  # fmt: skip
    assert rows[1].top1 == 50 and rows[1].mAcc == 50  # the first of two categories
    assert 25 < rows[0].top1 < 75 and rows[0].top5 == 100  # chance: a mean of many draws
    row = json.loads(json.dumps(object_rows_json(rows)))[2]
    assert row["classes"] == row["prompts"] == ["airplane", "night stand"]
    assert row["shapes"] == 2 and row["points"] == 100 and row["top1_low"] is not None
    assert row["mAP_low"] <= row["mAP"] <= row["mAP_high"] and row["top5_high"] == 100
    for key in ("split", "templates", "seed", "weights", "seconds", "peak_mb", "mAP", "protocol"):
        assert key in row
    by_scale = {(r.tokenizer, r.scale): r.top1 for r in rows}
    assert by_scale["superpoint", 1] == by_scale["superpoint", 8]


def test_categories_are_not_seen(tiny_model, scans, monkeypatch):
    """With the categories swapped in the data, no feature changes."""
    seen = []
    real = zero_shot.whole_features

    def listen(model, clouds, tokenizer):
        assert all(isinstance(cloud, PointCloud) for cloud in clouds)
        seen.append(real(model, clouds, tokenizer))
        return seen[-1]

    monkeypatch.setattr(zero_shot, "whole_features", listen)
    other = {"airplane": "night stand", "night stand": "airplane"}

    def swapped(item):
        scan = scans.read_item(item)
        return replace(scan, category=other[scan.category])

    for entry in (scans, replace(scans, read_item=swapped)):
        evaluate_objects(tiny_model, [entry], Settings(["superpoint"]))
    assert len(seen[0]) == 2 and (seen[0] == seen[1]).all()


def test_shapes_are_read_a_few_at_a_time(tiny_model, scans, monkeypatch):
    """Features, order, points and costs are the same whatever is together in memory."""
    setting = Setting("superpoint", "token")
    together = shape_features(tiny_model, scans, [setting])
    monkeypatch.setattr(zero_shot, "TOGETHER", 1)
    apart = shape_features(tiny_model, scans, [setting])
    np.testing.assert_array_equal(together.features[setting], apart.features[setting])
    assert apart.truth.tolist() == together.truth.tolist() == [0, 1] and apart.points == 100
    assert apart.costs[setting].seconds > 0
    first = tiny_model.encode(scans[0].cloud).global_feature
    assert together.features[setting][0] @ first > 0.999 and apart.listed == 2
    assert together.features[setting][1] @ first < 0.999  # or the last line would say nothing


def test_meshes_with_a_limit(tiny_model, tmp_path):
    scans, how = named_meshes(trees.meshes(tmp_path)), Settings(["superpoint"], limit=2)
    rows = evaluate_objects(tiny_model, [scans], how)
    assert rows[2].stated["shapes"] == 2 and rows[2].stated["shapes_listed"] == 3


def test_a_shape_of_no_category_is_refused(tiny_model, scans):
    with pytest.raises(ValueError, match="'airplane' is no category"):
        evaluate_objects(tiny_model, [replace(scans, classes=("cup",))], Settings([]))
