"""A bank made of one's own scans: crops without labels, bad files named, nothing skipped unsaid."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData

import s4token
from s4token import checkpoint
from s4token.bank import (
    LEAST,
    WHOLE,
    Bank,
    held_scenes,
    part_numbers,
    scene_groups,
    token_inputs,
    tokens_path,
)
from s4token.bank_files import SETTINGS
from s4token.cli import main
from s4token.clip_batches import bank_names, named_tokens
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


def test_a_run_that_makes_no_scene_at_all_is_an_error(scans, tmp_path, capsys):
    folder, out = tmp_path / "scans", tmp_path / "bank"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.ply").write_bytes(b"ply\nformat nonsense")
    (folder / "d.ply").write_bytes((scans / "room-0.ply").read_bytes())
    make = ["bank", "--out", str(out), "--data", f"folder:{folder}", "--scenes"]
    for more in (["3"], ["6", "--part", "2/2"]):
        if more[0] == "6":  # scenes 1, 3, 5: only the third is of a good scan
            (folder / "d.ply").write_bytes(b"")
        assert main([*make, *more]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert f"folder:{folder}: no scene was made" in said and "of 4, can be used" in said
    (folder / "d.ply").write_bytes((scans / "room-0.ply").read_bytes())
    Bank(out, data=open_data(f"folder:{folder}"), points=(3_000, 4_000), views=2).build([3])
    Bank(out, data=open_data(f"folder:{folder}"), points=(3_000, 4_000), views=2).build([0, 1])


@pytest.fixture(scope="module")
def one(scans, tmp_path_factory):
    """A bank of one scene."""
    folder = tmp_path_factory.mktemp("one")
    bank = Bank(folder, data=open_data(f"folder:{scans}"), points=(3_000, 4_000), views=2)
    bank.build([0])
    return bank


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metres_per_unit": 0.001}, "unit None, not mm"),
        ({"data": None}, "data folder:.*, not rooms; scans 2, not None"),
        ({"views": 3}, "views 2, not 3"),
        ({"pack": Path("p.npz")}, "pack None, not /.*p.npz"),
    ],
)
def test_scenes_of_other_settings_do_not_come_into_a_bank(one, change, said):
    with pytest.raises(ValueError, match=f"^{one.folder}: its scenes were .*{said}"):
        replace(one, **change).build([0])


def test_a_bank_that_does_not_say_what_it_is_of_is_taken_as_it_is(one, tmp_path):
    shutil.copytree(one.folder, tmp_path / "old")
    (tmp_path / "old" / SETTINGS).unlink()
    replace(one, folder=tmp_path / "old", metres_per_unit=0.001).build([0])
    assert not (tmp_path / "old" / SETTINGS).exists()


def test_a_damaged_scene_is_named_and_made_anew(one, caplog):
    path, whole = one.path(0), one.path(0).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for read in (lambda: bank_names([path]), lambda: named_tokens(path, "knn", {"chair": 0})):
        with pytest.raises(ValueError, match=f"^{path}: cannot be used.*run `bank` again"):
            read()
    tokens = tokens_path(path, "knn")
    of_this = tokens.read_bytes()
    np.savez(tokens, pitch=1.0)  # of another scene, say: tokens follow their scene
    with caplog.at_level(logging.WARNING):
        one.build([0])
    assert path.read_bytes() == whole and f"{path}: damaged" in caplog.text
    assert tokens.read_bytes() == of_this


def test_tokens_that_are_not_there_are_named(one):
    path = one.path(7)
    with pytest.raises(ValueError, match=f"^{tokens_path(path, 'knn')}: no such file; run `bank`"):
        named_tokens(path, "knn", {})


@pytest.mark.parametrize("scans", [WHOLE - 1, WHOLE, 40])
def test_crops_are_held_out_by_the_scan(tmp_path, scans):
    (tmp_path / SETTINGS).write_text(json.dumps({"scans": scans}))
    paths = [tmp_path / f"scene-{n:05d}.npz" for n in range(3 * scans)]
    held = held_scenes(paths, 0.05)
    both = {n % scans for n in np.flatnonzero(held)} & {n % scans for n in np.flatnonzero(~held)}
    assert held.any() and bool(both) == (scans < WHOLE)
    np.testing.assert_array_equal(held_scenes(paths[: 2 * scans], 0.05), held[: 2 * scans])


@pytest.mark.parametrize("part", ["3", "1/0", "a/b", "0/2", "5/2", "-1/2", ""])
def test_a_part_is_k_of_n(part):
    with pytest.raises(ValueError, match=f"^--part: expected k/n .* got '{part}'"):
        part_numbers(4, part)


@pytest.mark.parametrize("scenes", [0, -3])
def test_there_is_a_scene_to_make(scenes, tmp_path, capsys):
    with pytest.raises(ValueError, match=f"^--scenes: expected at least 1, got {scenes}"):
        part_numbers(scenes)
    assert main(["bank", "--out", str(tmp_path / "o"), "--scenes", str(scenes)]) == 2
    assert "--scenes" in capsys.readouterr().err and not (tmp_path / "o").exists()
    assert list(part_numbers(5, "2/2")) == [1, 3]


def test_rooms_have_their_unit(tmp_path, capsys):
    assert main(["bank", "--out", str(tmp_path), "--data", "rooms", "--unit", "cm"]) == 2
    assert "unit: composed rooms are in metres" in capsys.readouterr().err


def test_a_folder_lists_its_scans(tmp_path):
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
