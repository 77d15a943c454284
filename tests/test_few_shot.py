"""Probe protocols: figures by hand, and that no test label reaches training."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import trees

from s4token import few_shot, zero_shot
from s4token.benchmark import rows_json
from s4token.datasets.modelnet40 import modelnet40_resampled
from s4token.datasets.scannet import scannet
from s4token.datasets.scans import Scans
from s4token.few_shot import apart, point_labels, probe_objects, probe_scans, token_truth
from s4token.probes import Head, Probing
from s4token.settings import Settings
from s4token.types import Encoding, Groups, PointCloud, Scan
from s4token.zero_shot import object_rows_json

ONE = Settings(["superpoint"])


def listed(name, task, classes, scans):
    """Return a data set of the given scans."""
    items = tuple(f"{name} {i}" for i in range(len(scans)))
    read = dict(zip(items, scans, strict=True)).__getitem__
    return Scans(f"{name}:here", name, task, classes, items, read, lambda item: [])


def shape(category, *feature):
    """Return a shape whose feature the test decides: its first point."""
    return Scan(category, PointCloud(np.array([[*feature, 0.0]])), category=category)


@pytest.fixture
def plain_features(monkeypatch):
    read = lambda m, clouds, t: np.stack([cloud.points[0, :2] for cloud in clouds])  # noqa: E731
    monkeypatch.setattr(zero_shot, "whole_features", read)


NAMES = ("cup", "lamp", "sofa")
TRAIN = [("cup", 1, 0), ("cup", 0.8, 0.6), ("lamp", 0, 1), ("tree", 0, -1)]
TEST = [("cup", 0.6, 0.8), ("cup", 1, 0), ("lamp", 0, 1), ("sofa", 0.0, -1.0)]


def test_objects_by_hand(tiny_model, plain_features):
    """All of training: cups at 18 degrees, lamps at 90; the cup at 53 is as far from either."""
    train = listed("train", "classify", ("cup", "lamp", "tree"), [shape(*t) for t in TRAIN])
    test = listed("test", "classify", NAMES, [shape(*t) for t in TEST])
    heard = []
    rows = probe_objects(tiny_model, [test], [train], ONE, Probing(["prototype"], [1, None], 3),
                         report=heard.append)  # fmt: skip
    assert heard == rows and [r.stated["shots"] for r in rows] == [1, "all"]
    row = rows[1]
    # cos(53.1 - 18.4) = 0.822 beats cos(90 - 53.1) = 0.8; no sofa was ever shown.
    assert row.top1 == 75 and row.top5 == 100 and row.mAP is None
    assert row.mAcc == pytest.approx((100 + 100 + 0) / 3)
    assert row.stated["seeds"] == 1 and row.stated["classes_learnt"] == 2
    assert row.stated["train_shapes"] == 3  # the tree is not asked for
    # With one shot, the first cup alone loses the cup at 53 degrees, the second keeps it.
    per_seed = {50.0, 75.0}
    assert 50 <= rows[0].top1 <= 75 and rows[0].top1 * 3 in {sum(s) for s in _triples(per_seed)}
    low, high = rows[0].intervals["top1"]
    assert low < rows[0].top1 < high
    flat = json.loads(json.dumps(object_rows_json(rows)))[1]
    assert flat["mAP"] is None and flat["shots"] == "all" and flat["probe"] == "prototype"
    assert flat["train"] == ["train, train"] and flat["split"] == "test"


def test_nothing_of_the_kind_to_learn_from(tiny_model, plain_features):
    test = listed("test", "classify", NAMES, [shape(*t) for t in TEST])
    with pytest.raises(ValueError, match="no shape of a category of test:here"):
        trees_only = listed("train", "classify", ("tree",), [shape(*TRAIN[3])])
        probe_objects(tiny_model, [test], [trees_only], ONE, Probing())


def _triples(values):
    return [(a, b, c) for a in values for b in values for c in values]


def test_no_category_of_the_test_reaches_training(tiny_model, tmp_path, monkeypatch):
    """With the tested categories swapped, the same heads are learnt from the same examples."""
    root = trees.modelnet40_resampled(tmp_path)
    test, train = modelnet40_resampled(root), modelnet40_resampled(root, "train")
    other = {"airplane": "night stand", "night stand": "airplane"}

    def swapped(item):
        scan = test.read_item(item)
        return replace(scan, category=other[scan.category])

    given = []
    real = Probing.__call__

    def listen(self, features, labels, classes):
        out = real(self, features, labels, classes)
        given.append((features, labels, out["linear", None][0].weight))
        return out

    monkeypatch.setattr(Probing, "__call__", listen)
    scores = []
    for entry in (test, replace(test, read_item=swapped)):
        rows = probe_objects(tiny_model, [entry], [train], ONE, Probing(shots=[None]))
        scores.append(rows[0].top1)
    for first, second in zip(*given, strict=True):
        np.testing.assert_array_equal(first, second)
    assert len(given[0][0]) == 2 and scores[0] == 100 - scores[1]


def test_what_is_tested_is_not_learnt_from(tiny_model, tmp_path):
    root = trees.scannet(tmp_path)
    train, val = scannet(root, "train"), scannet(root, "val")
    with pytest.raises(ValueError, match=r"1 scans of scannet:.* are tested on as well, scene0011"):
        apart(val, [train])
    apart(val[1:], [train])
    with pytest.raises(ValueError, match="nothing to learn a probe for scannet:"):
        probe_scans(tiny_model, [val], [], ONE, Probing())


def test_token_truth_by_hand():
    groups = Groups.from_labels(np.array([0, 0, 0, 1, 1, 2, 2, 2]))
    cloud = PointCloud(np.random.default_rng(0).random((8, 3)))
    encoding = Encoding(cloud, groups, np.eye(3, 4), np.eye(4)[0])
    truth = np.array([2, 2, 1, 0, 0, 1, 1, 0])
    assert token_truth(encoding, truth, 2).tolist() == [2, 0, 1]


def test_point_labels_follow_tokens():
    groups = Groups.from_labels(np.arange(40) // 20)
    points = np.random.default_rng(0).random((40, 3)) + 100.0 * (np.arange(40) // 20)[:, None]
    encoding = Encoding(PointCloud(points), groups, np.eye(2), np.eye(2)[0])
    known = np.array([True, False, True])
    head = Head(np.array([[0.0, 9, 5], [2, 9, 0]]), np.zeros(3), known)
    assert point_labels(head, encoding).tolist() == [3] * 20 + [1] * 20


@pytest.fixture(scope="module")
def corners(room_scan):
    """The same corner scanned twice: every second point trains, the others test."""
    out = []
    for name, start in (("train", 0), ("test", 1)):
        keep = np.arange(start, len(room_scan.cloud), 2)
        half = replace(room_scan, cloud=room_scan.cloud.select(keep), labels=room_scan.labels[keep])
        out.append(listed(name, "segment", room_scan.classes, [half]))
    return out


def test_scans(tiny_model, corners):
    train, test = corners
    heard = []
    both = Probing(["linear", "prototype"], [1, None], seeds=3)
    rows = probe_scans(tiny_model, [test], [train], ONE, both, report=heard.append)
    assert heard == rows
    got = [(r.stated["probe"], r.stated["shots"], r.stated["seeds"]) for r in rows]
    assert got == [("linear", 1, 3), ("linear", "all", 1), ("prototype", 1, 3),
                   ("prototype", "all", 1)]  # fmt: skip
    assert rows[1].mIoU > rows[0].mIoU and rows[1].OA > 60  # even random features tell parts apart
    assert rows[1].interval is None and rows[0].interval is not None
    assert rows[0].interval[0] <= rows[0].mIoU <= rows[0].interval[1]
    row = json.loads(json.dumps(rows_json(rows)))[0]
    assert row["protocol"] == "linear probe (penalty 1)" and row["split"] == "test"
    assert row["train"] == ["train, train"] and row["train_scans"] == 1 and row["shots"] == 1
    assert 80 < row["train_tokens"] <= 96 and row["classes_learnt"] == 5 and row["seed"] == 0


def test_no_label_of_the_test_reaches_training(tiny_model, corners, monkeypatch):
    """Shuffled truth of the tested scan changes scores, never what is learnt or predicted."""
    train, test = corners
    scan = test[0]
    shuffled = replace(scan, labels=np.random.default_rng(0).permutation(scan.labels))
    said, scores = [], []
    real = few_shot.point_labels
    monkeypatch.setattr(
        few_shot, "point_labels", lambda *a: said.append((a[0].weight, real(*a))) or said[-1][1]
    )
    for one in (scan, shuffled):
        entry = replace(test, read_item=lambda item, one=one: one)
        rows = probe_scans(tiny_model, [entry], [train], ONE, Probing(shots=[2], seeds=2))
        scores.append(rows[0].mIoU)
    assert len(said) == 4 and scores[0] > scores[1]
    for first, second in zip(said[:2], said[2:], strict=True):
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])


def test_classes_are_matched_by_name(tiny_model, corners, caplog):
    train, test = corners
    scan = train[0]
    renamed = replace(scan, classes=("ground", "ball", "sofa", "table", "wall"),
                      labels=np.array([0, 1, 5, 3, 4, 2])[scan.labels])  # fmt: skip
    other = replace(train, classes=renamed.classes, read_item=lambda item: renamed)
    rows = probe_scans(tiny_model, [test], [train], ONE, Probing(shots=[None]))
    assert not caplog.messages
    fewer = probe_scans(tiny_model, [test], [other], ONE, Probing(shots=[None]))
    assert fewer[0].stated["classes_learnt"] == 4  # nobody showed a floor
    assert caplog.messages == ["superpoint tokens: no example, never answered: floor"]
    caplog.clear()
    probe_scans(tiny_model, [test], [train], ONE, Probing(shots=[1, 1000]))
    (said,) = caplog.messages
    assert "tokens: fewer than 1000 examples, all are taken: " in said and "floor (" in said
    assert rows[0].mIoU > fewer[0].mIoU > rows[0].mIoU - 40
    nothing = replace(other, read_item=lambda item: replace(renamed, classes=tuple("abcde")))
    with pytest.raises(ValueError, match=r"no token of floor, wall, .* to learn from"):
        probe_scans(tiny_model, [test], [nothing], ONE, Probing())


def test_parts_are_not_probed(tiny_model, corners):
    train, test = corners
    with pytest.raises(ValueError, match="not parts"):
        probe_scans(tiny_model, [replace(test, task="parts")], [train], ONE, Probing())
