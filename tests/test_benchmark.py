"""The comparison: classes present, densities, chance, and rows that say what was run."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import trees

from s4token import benchmark, multiview
from s4token.benchmark import evaluate, present_classes, rows_json
from s4token.datasets import open_data
from s4token.datasets.scannet import scannet
from s4token.datasets.shapenetpart import shapenetpart
from s4token.metrics import segmentation_score
from s4token.render import render
from s4token.segment import segment
from s4token.settings import Settings
from s4token.types import PointCloud


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


@pytest.fixture(scope="module")
def small_scan(room_scan):
    keep = np.arange(0, len(room_scan.cloud), 4)
    return replace(room_scan, cloud=room_scan.cloud.select(keep), labels=room_scan.labels[keep])


@pytest.fixture(scope="module")
def rows(tiny_model, small_scan):
    heard = []
    out = evaluate(
        tiny_model,
        [small_scan],
        Settings(["superpoint", "radius"], scales=[1.0, 1024.0], densities=[1.0, 0.5]),
        report=heard.append,
    )
    assert heard == out
    return out


def test_every_combination_is_a_row(rows):
    assert [r.tokenizer for r in rows[:3]] == ["random", "majority", "geometry"]
    got = [(r.density, r.scale, r.tokenizer) for r in rows[3:]]
    names = ("superpoint", "radius")
    assert got == [(d, s, t) for d in (1.0, 0.5) for s in (1.0, 1024.0) for t in names]
    assert all(r.data == "corner" and r.seconds > 0 and r.peak_mb > 10 for r in rows[3:])
    kinds = {r.tokenizer: r.normalise for r in rows[3:]}
    assert kinds == {"superpoint": "token", "radius": "none"}


def test_chance(rows, small_scan):
    random, majority = rows[:2]
    assert pytest.approx(100 / 5, abs=3) == random.OA
    most = 100 * np.bincount(small_scan.labels).max() / len(small_scan.labels)
    assert pytest.approx(most) == majority.OA and majority.mAcc == pytest.approx(20)
    assert majority.mIoU == pytest.approx(most / 5)


def test_a_row_is_what_segment_scores(rows, tiny_model, small_scan):
    result = segment(
        tiny_model, tiny_model.encode(small_scan.cloud), small_scan.classes, threshold=0
    )
    score = segmentation_score(small_scan.labels, result.labels, 5)
    row = rows[3]
    assert (row.mIoU, row.mAcc, row.OA) == pytest.approx((score.mIoU, score.mAcc, score.OA))


def test_superpoint_rows_do_not_depend_on_the_unit(rows):
    score = {(r.tokenizer, r.density, r.scale): r.mIoU for r in rows}
    for density in (1.0, 0.5):
        first, second = (score["superpoint", density, s] for s in (1.0, 1024.0))
        assert first == pytest.approx(second, abs=0.5)


def test_every_density_is_scored_on_the_original_points(rows, small_scan):
    count = len(small_scan.cloud)
    given = {r.density: r.stated["points_given"] for r in rows[3:]}
    assert given == {1.0: count, 0.5: round(count / 2)}
    assert {r.stated["points"] for r in rows} == {count}


def test_rows_are_json_and_state_what_they_depend_on(rows):
    back = json.loads(json.dumps(rows_json(rows)))
    row = back[3]
    assert row["tokenizer"] == "superpoint" and row["scale"] == 1.0 and row["seconds"] >= 0
    assert row["mIoU"] == pytest.approx(rows[3].mIoU, abs=0.005) and row["mIoU_low"] is None
    for key in (
        "split",
        "classes",
        "prompts",
        "templates",
        "seed",
        "points",
        "weights",
        "protocol",
    ):
        assert key in row
    assert row["prompts"] == row["classes"] == ["floor", "wall", "sofa", "table", "ball"]


def test_unlabelled_scan_and_unknown_tokenizer(tiny_model, room_scan):
    with pytest.raises(ValueError, match="no labels to compare with"):
        evaluate(tiny_model, [replace(room_scan, labels=None)], Settings())
    with pytest.raises(ValueError, match="no 'octree'"):
        evaluate(tiny_model, [room_scan], Settings(["octree"]))


# Normalisation


def test_without_trained_weights_the_row_says_so(tiny_model, small_scan):
    rows = evaluate(tiny_model, [small_scan], Settings(["superpoint"], ["none", "token"]))
    said = {r.normalise: r.stated["weights"] for r in rows[3:]}
    assert said == {"none": "trained with normalise=token, not this", "token": "untrained"}


# Data sets


@pytest.fixture(scope="module")
def scannet_rows(tiny_model, tmp_path_factory):
    scans = scannet(trees.scannet(tmp_path_factory.mktemp("scannet")))
    return evaluate(tiny_model, [scans], Settings(["superpoint"]))


def test_a_data_set_is_scored_over_all_its_scans_and_classes(scannet_rows):
    _, majority, geometry, row = scannet_rows
    assert row.data == "scannet" and row.stated["scans"] == 2 and row.stated["points"] == 1200
    assert len(row.stated["prompts"]) == 20 and row.stated["class_list"] == "of the data set"
    assert row.interval is not None and row.interval[0] <= row.mIoU <= row.interval[1]
    # 3 of 20 classes occur, equally often (floor and wall lose two points a scan to no class).
    assert majority.mAcc == pytest.approx(100 / 3) and 33 < majority.OA < 34
    # Floor and wall are at their places; the box is level in between, and a table to the rule.
    assert 55 < geometry.mAcc < 200 / 3 and geometry.OA > 55


def test_all_and_foreground_miou_are_two_keys(scannet_rows):
    geometry = scannet_rows[2]
    assert geometry.stated["foreground_leaves_out"] == ["wall", "floor", "otherfurniture"]
    assert geometry.stated["foreground_mIoU"] == pytest.approx(0, abs=3)  # chairs alone
    assert geometry.mIoU > 50
    flat = rows_json(scannet_rows)[2]
    assert flat["mIoU"] != flat["foreground_mIoU"]


def test_limit_takes_some_scans(tiny_model, tmp_path):
    scans = scannet(trees.scannet(tmp_path))
    rows = evaluate(tiny_model, [scans], Settings(["superpoint"], limit=1))
    assert rows[3].stated["scans"] == 1 and rows[3].stated["scans_listed"] == 2
    assert rows[3].interval is None


def test_parts_are_asked_for_by_one_fixed_prompt(tiny_model, tmp_path, monkeypatch):
    asked = []
    real = benchmark.predict
    monkeypatch.setattr(benchmark, "predict", lambda *a: asked.append(a[2]) or real(*a))
    scans = shapenetpart(trees.shapenetpart(tmp_path))
    rows = evaluate(tiny_model, [scans], Settings(["superpoint"]))
    assert asked[1] == ("handle of a mug", "body of a mug")
    assert [r.tokenizer for r in rows] == ["random", "majority", "superpoint"]
    # Airplane: one of four equal parts is right; mug: one of two.
    majority = rows[1]
    assert majority.mIoU == pytest.approx((25 / 4 + 50 / 2) / 2)
    assert majority.stated["instance_mIoU"] == pytest.approx((25 / 4 + 50 / 2) / 2)
    assert (majority.mAcc, majority.OA) == pytest.approx((37.5, 37.5))


def test_the_class_list_is_all_that_a_protocol_sees(tiny_model, small_scan, monkeypatch):
    """Shuffled truth changes scores, never a prediction."""
    seen = []
    real = benchmark.predict

    def listen(model, cloud, prompts, tokenizer):
        assert isinstance(cloud, PointCloud)  # not a Scan, which would hold the truth
        assert not {"label", "instance"} & set(cloud.attributes)
        seen.append((prompts, real(model, cloud, prompts, tokenizer)))
        return seen[-1][1]

    monkeypatch.setattr(benchmark, "predict", listen)
    shuffled = np.random.default_rng(3).permutation(small_scan.labels)
    scores = []
    for labels in (small_scan.labels, shuffled):
        scan = replace(small_scan, labels=labels)
        rows = evaluate(tiny_model, [scan], Settings(["superpoint", "multiview"]))
        assert (rows[4].tokenizer, rows[4].normalise) == ("multiview", "token")
        scores.append(rows[3].OA)
    assert len(seen) == 4 and scores[0] != scores[1]
    for (first_words, first), (words, labels) in zip(seen[:2], seen[2:], strict=True):
        assert first_words == words and (first == labels).all()


def test_the_teacher_is_scored_on_photographs(tiny_model, small_scan, tmp_path, monkeypatch):
    """Pictures of the engine's own cameras label as its views do, in every unit; others do not."""
    cloud, said, real = small_scan.cloud, [], benchmark.predict
    listen = lambda *a, **k: said.append(real(*a, **k)) or said[-1]  # noqa: E731
    monkeypatch.setattr(benchmark, "predict", listen)
    cameras = [replace(c, fov=60.0) for c in multiview.cameras_for(cloud, 6, size=32)]
    monkeypatch.setattr(multiview, "cameras_for", lambda *a, **k: cameras)
    images = render(cloud, cameras, radii=multiview.splats(cloud).radii).images
    for name, shown in (("right", images), ("wrong", images[::-1])):
        trees.posed(tmp_path / name / "corner", cameras, shown)
    evaluate(tiny_model, [small_scan], Settings(["multiview"]))
    for folder in ("right/corner", "right", "wrong"):
        how = Settings(["superpoint", "multiview"], scales=[1.0, 1024.0], images=tmp_path / folder)
        rows = rows_json(evaluate(tiny_model, [small_scan], how))
        looked = [row.get("images") for row in rows]
        assert looked == [None, None, None, *[None, str(tmp_path / folder)] * 2]
    drawn, alike = said[0], [float((said[0] == labels).mean()) for labels in said]
    taken = [i for i in range(1, len(said)) if i % 2 == 0]
    assert len(said) == 13 and drawn.max() > 1
    assert min(alike[i] for i in taken[:4]) > 0.98 and max(alike[i] for i in taken[4:]) < 0.9


def test_photographs_of_a_data_set_lie_in_folders_of_its_scans(tiny_model, tmp_path, caplog):
    root = trees.scannet(tmp_path)
    scans = scannet(root)
    for scan in scans:
        cameras = [replace(c, fov=60.0) for c in multiview.cameras_for(scan.cloud, 3, size=32)]
        folder = root / "scans" / scan.name
        trees.posed(folder, cameras, multiview.draw(scan.cloud, cameras).images)
    trees.matrix(folder / "pose" / "1.txt", np.full((4, 4), -np.inf))
    how = Settings(["multiview"], images=root / "scans")
    rows = evaluate(tiny_model, [scans], how)
    assert rows[3].stated["images"] == str(root / "scans") and rows[3].stated["scans"] == 2
    lost = "scene0011_01: 1 photographs without a finite pose were left out"
    assert any(lost in message for message in caplog.messages)
    (folder / "pose" / "2.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"scene0011_01/pose/2\.txt: missing"):
        evaluate(tiny_model, [scans], how)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_folder_has_no_list_of_classes(tiny_model, room_scan, tmp_path, labelled):
    cloud, said = room_scan.cloud, "room: no labels to compare with"
    arrays = {"points": cloud.points} | ({"label": room_scan.labels} if labelled else {})
    np.savez(tmp_path / "room.npz", **arrays)
    if labelled:
        said = f"folder:{tmp_path}: scans without a common list of classes"
    with pytest.raises(ValueError, match=f"^{said}"):
        evaluate(tiny_model, [open_data(f"folder:{tmp_path}")], Settings(["superpoint"]))
