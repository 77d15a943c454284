"""The numbers of a comparison: against a scan's own labels, on the page and as CSV."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

import s4token
from s4token import Scan
from tests.fakes import FakeModel, striped_cloud
from viewer import compare, events, scores
from viewer.controls import Controls
from viewer.session import Layer

CLASSES = ("Red", "leaf", "blue")


def labelled(path):
    """Write a scan whose stripes are labelled."""
    cloud = striped_cloud()
    stripe = np.minimum(cloud.points[:, 0].astype(np.int32), 2) + 1
    path.with_suffix(".json").write_text('{"labels": {"1": "Red", "2": "leaf", "3": "blue"}}')
    from dataclasses import replace

    s4token.write(path, replace(cloud, attributes={"label": stripe}))
    return stripe


def test_a_labelled_file_is_scored_in_every_panel(app, tmp_path):
    stripe = labelled(tmp_path / "stripes.ply")
    handle = app.store.open()
    c = Controls(prompts="red\ngreen | leaf\nother", threshold=0.0)
    events.open_file(app, handle, tmp_path / "stripes.ply", c)
    truth = app.store.get(handle).truth
    assert (truth.labels == stripe).all() and truth.classes == CLASSES
    found = compare.compare(app, handle, c, compare.Choice(1000.0, "Labels"))
    rows = list(csv.DictReader(io.StringIO(found.table)))
    assert [r["tokenizer"] for r in rows] == ["knn", "radius", "superpoint"]
    assert {r["units_factor"] for r in rows} == {"1000.0"} and rows[0]["points"] == "3000"
    for row, panel in zip(rows, found.panels.values(), strict=True):
        assert 50 < float(row["purity_percent"]) <= 100
        assert 0 < float(row["oracle_miou_percent"]) <= 100
        assert row["prompts_scored"] == "2 of 3" and row["same_label_percent"]
        for name in ("Purity", "Oracle mIoU", "Boundary recall", "mIoU of your words"):
            assert name in panel.numbers and name in dict(panel.scene["facts"])
    assert float(rows[2]["prompts_miou_percent"]) > 50, "stripes are what it sees"


def test_without_labels_there_is_nothing_to_score(app, tmp_path):
    s4token.write(tmp_path / "plain.ply", striped_cloud())
    handle = app.store.open()
    events.open_file(app, handle, tmp_path / "plain.ply", Controls(prompts="red"))
    assert app.store.get(handle).truth.labels is None
    found = compare.compare(app, handle, Controls(), compare.Choice(1.0, "Labels"))
    (row, *_) = csv.DictReader(io.StringIO(found.table))
    assert row["purity_percent"] == row["same_label_percent"] == "" != row["labelled_percent"]
    assert "Purity" not in found.panels["knn"].numbers


def test_a_label_column_without_sense_does_not_keep_points_from_opening(app, tmp_path):
    from dataclasses import replace

    cloud = replace(striped_cloud(), attributes={"label": np.linspace(0, 1, 3000)})
    s4token.write(tmp_path / "odd.ply", cloud)
    handle = app.store.open()
    events.open_file(app, handle, tmp_path / "odd.ply", Controls())
    session = app.store.get(handle)
    assert session.truth is None and len(session.cloud) == 3000


def answer_of(labels, classes):
    n = len(labels)
    zeros = np.zeros((1, len(classes)), np.float32)
    return s4token.Segmentation(
        classes, labels, np.zeros(n, np.float32), np.zeros(n, np.int32), zeros
    )


def test_only_prompts_that_name_a_class_are_scored():
    cloud = striped_cloud(6)
    truth = Scan("six", cloud, np.array([1, 1, 2, 2, 3, 0], np.int32), ("Chair", "table", "lamp"))
    said = np.array([1, 2, 2, 2, 2, 2], np.int32)
    row = scores.prompts(truth, answer_of(said, ("chair", "desk | table", "sofa")))
    # chair: 1 of 2. table: 2 of 2, and one chair and the lamp were taken for it; the point
    # without a true label does not count.
    assert row["prompts_miou_percent"] == pytest.approx((50 + 50) / 2)
    assert row["prompts_scored"] == "2 of 3"
    assert scores.prompts(truth, answer_of(said, ("a", "b"))) == {"prompts_scored": "none"}


def test_a_partition_is_scored_as_the_parts_are():
    cloud = striped_cloud(400)
    truth = np.minimum(cloud.points[:, 0].astype(np.int32), 2) + 1
    groups = s4token.Groups.from_labels(truth - 1)
    best = s4token.partition_score(groups, truth, cloud.points)
    assert (best.purity, best.oracle_miou, best.boundary_recall) == (100, 100, 100)
    whole = s4token.partition_score(
        s4token.Groups.from_labels(np.zeros(400, np.int32)), truth, cloud.points
    )
    assert whole.purity == pytest.approx(100 * np.bincount(truth).max() / 400)
    assert whole.boundary_recall == 0


def test_names_survive_in_csv():
    text = scores.csv_text([{"scan": 'Küche, "北京".ply', "tokens": 5}])
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["scan"] == 'Küche, "北京".ply' and row["tokens"] == "5"


def test_layers_are_scored_once(monkeypatch):
    cloud = striped_cloud(300)
    layer = Layer(FakeModel().encode(cloud))
    truth = Scan("s", cloud, np.ones(300, np.int32), ("a",))
    first = scores.against(truth, layer, None)
    monkeypatch.setattr(s4token, "partition_score", None)
    assert scores.against(truth, layer, None) == first
