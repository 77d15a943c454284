"""A bank made of one's own scans: crops without labels, bad files named, nothing skipped unsaid."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData

import s4token
from s4token import checkpoint
from s4token.bank import LEAST, Bank, scene_groups, token_inputs, tokens_path
from s4token.cli import main
from s4token.datasets import open_data
from s4token.describe import describe


def write_scans(folder: Path, count: int = 2, points: int = 9_000) -> list[Path]:
    """Write so many small rooms without labels, the second without colours and turned upside."""
    paths = []
    for number in range(count):
        cloud = s4token.room("office", number, points=points).cloud
        if number == 1:
            cloud = s4token.PointCloud(cloud.points)
        paths.append(folder / f"room-{number}.ply")
        s4token.write(paths[-1], cloud)
    return paths


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    write_scans(folder)
    return folder


def test_scenes_are_crops_of_the_scans_in_turn_without_labels(scans, tmp_path):
    bank = Bank(tmp_path, data=open_data(f"folder:{scans}"), points=(3_000, 6_000), views=2)
    bank.build(range(4))
    sizes = []
    for number in range(4):
        with np.load(bank.path(number)) as scene:
            assert scene["classes"].tolist() == [] and not scene["labels"].any()
            assert bool(scene["coloured"]) == (number % 2 == 0)
            assert LEAST <= len(scene["points"]) <= 6_000
            assert np.ptp(scene["points"][:, 2]) < 3.5, "up stayed up"
            sizes.append(len(scene["points"]))
        with np.load(tokens_path(bank.path(number), "superpoint")) as tokens:
            told = tokens["shape"][:, 18]  # whether the scan has colours
            assert told.all() if number % 2 == 0 else not told.any()
    assert len(set(sizes)) > 2, "crops differ"
    again = Bank(tmp_path / "again", data=bank.data, points=bank.points, views=2)
    again.build([2])
    assert again.path(2).read_bytes() == bank.path(2).read_bytes()


def test_a_bank_knows_metres_where_the_unit_is_told(scans, tmp_path):
    make = ["bank", "--data", f"folder:{scans}", "--scenes", "1", "--out"]
    assert main([*make, str(tmp_path / "none")]) == 0
    assert main([*make, str(tmp_path / "cm"), "--unit", "cm"]) == 0
    pitches = []
    for name in ("none", "cm"):
        path = Bank(tmp_path / name).path(0)
        with np.load(tokens_path(path, "superpoint")) as tokens, np.load(path) as scene:
            pitches.append(float(tokens["pitch"]))
            found = describe(
                s4token.PointCloud(scene["points"]), scene_groups(tokens, len(scene["points"]))
            )
            np.testing.assert_allclose(token_inputs(tokens).shape[:, -5:], found.shape[:, -5:])
    assert np.isnan(pitches[0]) and pitches[1] == pytest.approx(found.pitch / 100)


def test_files_that_cannot_be_used_are_named_and_the_rest_is(scans, tmp_path, caplog):
    folder = tmp_path / "mixed"
    (folder / "below").mkdir(parents=True)
    (folder / "a-broken.ply").write_bytes(b"ply\nformat nonsense")
    s4token.write(folder / "below" / "few.ply", s4token.PointCloud(np.eye(3, dtype=np.float32)))
    (folder / "good.ply").write_bytes((scans / "room-0.ply").read_bytes())
    (folder / "good.json").write_text("{}")
    (folder / "notes.md").write_text("no scan")
    (folder / ".hidden").write_text("")
    with caplog.at_level(logging.WARNING):
        data = open_data(f"folder:{folder}")
        bank = Bank(tmp_path / "bank", data=data, points=(3_000, 4_000), views=2)
        bank.build(range(6))
    said = [r.message for r in caplog.records]
    assert len(said) == 3 and "notes.md" in said[0]
    assert "a-broken.ply" in said[1] and "few" in said[2] and f"{LEAST:,}" in said[2]
    assert [bank.path(n).is_file() for n in range(6)] == [False, False, True] * 2


def test_a_folder_without_a_readable_scan_is_named(tmp_path, capsys):
    out, folder = tmp_path / "bank", tmp_path / "scans"
    make = ["bank", "--out", str(out), "--scenes", "3", "--data", f"folder:{folder}"]
    assert main(make) == 2 and f"{folder}: no such folder" in capsys.readouterr().err
    folder.mkdir()
    (folder / "notes.md").write_text("")
    assert main(make) == 2 and f"{folder}: no scan in this folder" in capsys.readouterr().err
    for name in ("one.ply", "two.npz"):
        (folder / name).write_bytes(b"")
    assert main(make) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"folder:{folder}: none of its 2 scans can be used" in said and "empty" in said
    assert not list(out.glob("*.npz"))


def test_a_labelled_folder_can_be_evaluated(tmp_path):
    s4token.write(tmp_path / "room.ply", s4token.room("office", 3, points=5_000).cloud)
    with (tmp_path / "room.ply").open("rb") as file:
        points = len(PlyData.read(file)["vertex"])
    data = open_data(f"folder:{tmp_path}")
    assert len(data) == 1 and len(data[0].cloud) == points and list(data.missing()) == []
    with pytest.raises(ValueError, match="one split only"):
        open_data(f"folder:{tmp_path}@train")


def test_pretraining_on_a_folder_needs_no_labels_and_refuses_alignment(scans, tmp_path, capsys):
    out, work = tmp_path / "own.safetensors", tmp_path / "work"
    learn = [
        *("pretrain", "--data", f"folder:{scans}", "--scenes", "2", "--steps", "2", "--batch", "1"),
        *("--tokenizers", "superpoint", "--work", str(work), "--out", str(out)),
    ]
    assert main([*learn, "--alignment", "1"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("s4token: alignment: nothing in the scenes of") and str(work) in said
    assert not out.exists() and not (work / "teacher").exists(), "refused before the long part"
    assert main([*learn, "--masked", "0.5", "--clustering", "0.5"]) == 0
    header = checkpoint.read_header(out)
    assert header["recipe"]["label_free"] and header["recipe"]["scenes"] == 2
    assert header["recipe"]["knows_metres"] is False
    assert s4token.load(out).encode(s4token.read(scans / "room-0.ply")).metres_per_unit is None
    assert s4token.load(out).tokenizers == ("superpoint",)
    rows = [json.loads(r) for r in (work / "superpoint" / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [0, 1]
    assert {"distance", "masked", "clustering", "token_cosine"} <= rows[0].keys()


def test_pretraining_must_be_told_on_what(tmp_path, capsys):
    assert main(["pretrain", "--out", str(tmp_path / "x.safetensors")]) == 2
    assert "--data folder:PATH" in capsys.readouterr().err
