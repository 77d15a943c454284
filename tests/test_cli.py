"""The command line's contract: outputs, exit codes, one clear line for bad input."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import trees
from plyfile import PlyData

import s4token
from s4token import cli_evaluate
from s4token.cli import main
from s4token.datasets import open_data
from s4token.multiview import cameras_for, draw


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A small furnished room as PLY, shuffled, with a column of its own."""
    cloud = s4token.room("office", 3, points=12_000).cloud
    cloud = cloud.select(np.random.default_rng(0).permutation(len(cloud)))
    path = tmp_path_factory.mktemp("scan") / "room.ply"
    s4token.write(path, cloud)
    return path, cloud


def test_segment_keeps_points_and_labels_all_at_threshold_zero(scan, tmp_path):
    path, cloud = scan
    out = tmp_path / "out.ply"
    prompts = ["chair", "table", "floor", "wall"]
    assert (
        main(["segment", str(path), "--prompts", *prompts, "--threshold", "0", "--out", str(out)])
        == 0
    )
    vertex = PlyData.read(out)["vertex"]
    points = np.stack([vertex[a] for a in "xyz"], axis=1)
    np.testing.assert_array_equal(points, cloud.points.astype(np.float32))
    assert vertex["label"].dtype == np.int32 and vertex["superpoint"].dtype == np.int32
    assert vertex["confidence"].dtype == np.float32
    assert vertex["label"].min() >= 1 and vertex["label"].max() <= len(prompts)
    assert vertex["confidence"].min() >= 0 and vertex["confidence"].max() <= 1
    sidecar = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert sidecar["labels"] == {str(i + 1): p for i, p in enumerate(prompts)}
    assert sidecar["provenance"]["prompts"] == prompts
    assert PlyData.read(out).byte_order == "<"


def test_a_camera_frame_is_labelled_as_before_once_its_axis_is_told(scan, tmp_path, capsys):
    cloud = s4token.read(scan[0])  # with the colours that a file holds
    x, y, z = cloud.points.T
    path, prompts = tmp_path / "frame.ply", ("chair", "table", "floor", "wall")
    s4token.write(path, replace(cloud, points=np.stack([x, -z, y], axis=1)))
    found = []
    for number, up in enumerate((("--up", "-y"), ("--up=-y",), ())):
        out = tmp_path / f"{number}.ply"
        asked = ["segment", str(path), "--prompts", *prompts, "--threshold", "0", "--out", str(out)]
        assert main([*asked, *up]) == 0
        found.append(PlyData.read(out)["vertex"]["label"])
    model = s4token.load()
    upright = s4token.segment(model, model.encode(cloud), prompts, threshold=0).labels
    assert (found[0] == found[1]).all() and (found[0] == upright).mean() > 0.99
    assert (found[2] == upright).mean() < 0.9


def test_next_to_no_label_asks_which_axis_is_up(scan, tmp_path, capsys, monkeypatch):
    out = str(tmp_path / "out.ply")
    asked = ["segment", str(scan[0]), "--prompts", "chair", "--up", "-x", "--out", out]
    for hardly in (True, False):
        monkeypatch.setattr(s4token.Segmentation, "hardly_labelled", hardly)
        assert main(asked) == 0
        assert ("is -x up?" in capsys.readouterr().err) is hardly


@pytest.mark.parametrize(
    "extra", [["--tokenizer", "knn"], ["--tokenizer", "radius"], ["--engine", "multiview"]]
)
def test_segment_with_other_tokenizers_and_engine(scan, tmp_path, extra):
    path, cloud = scan
    out = tmp_path / "out.ply"
    assert (
        main(["segment", str(path), "--prompts", "chair", "floor", "--out", str(out), *extra]) == 0
    )
    assert len(PlyData.read(out)["vertex"]["label"]) == len(cloud)


def test_segment_on_one_level_says_so(scan, tmp_path, capsys):
    path = scan[0]
    out = tmp_path / "quick.ply"
    verb = ["segment", str(path), "--prompts", "chair", "floor", "--out", str(out)]
    assert main([*verb, "--levels", "1"]) == 0
    said = capsys.readouterr().err
    assert "note: levels: 1 of 4 averaged" in said and "did you mean" not in said
    notes = json.loads(out.with_suffix(".json").read_text())["provenance"]["notes"]
    assert any("levels: 1 of 4" in note for note in notes)
    found = PlyData.read(out)["vertex"]["label"]
    model = s4token.load()
    alone = model.encode(s4token.read(path), levels=1)
    assert (found == s4token.segment(model, alone, ["chair", "floor"]).labels).all()


def test_segment_doubts_a_misspelt_word_and_asks_it_all_the_same(scan, tmp_path, capsys):
    out = tmp_path / "out.ply"
    verb = ["segment", str(scan[0]), "--prompts", "chiar", "floor", "--negatives", "celing"]
    assert main([*verb, "--levels", "1", "--out", str(out)]) == 0
    said = capsys.readouterr().err
    assert "note: chiar: did you mean chair?" in said and "celing: did you mean ceiling?" in said
    assert json.loads(out.with_suffix(".json").read_text())["labels"]["1"] == "chiar"


def test_labels_survive_a_change_of_units(scan, tmp_path):
    path, cloud = scan
    labels = []
    for factor in (1.0, 0.001, 1000.0):
        scaled, out = tmp_path / f"{factor}.ply", tmp_path / f"{factor}.out.ply"
        s4token.write(scaled, cloud.scaled(factor))
        words = ["chair", "desk", "floor", "wall"]
        assert (
            main(
                ["segment", str(scaled), "--prompts", *words, "--threshold", "0", "--out", str(out)]
            )
            == 0
        )
        labels.append(np.asarray(PlyData.read(out)["vertex"]["label"]))
    assert (labels[0] == labels[1]).mean() >= 0.99
    assert (labels[0] == labels[2]).mean() >= 0.99
    assert path.exists()


def test_partition(scan, tmp_path, capsys):
    path, cloud = scan
    out = tmp_path / "p.ply"
    assert main(["partition", str(path), "--count", "60", "--out", str(out)]) == 0
    superpoint = PlyData.read(out)["vertex"]["superpoint"]
    assert superpoint.dtype == np.int32 and len(superpoint) == len(cloud)
    assert sorted(set(superpoint.tolist())) == list(range(60))
    assert "60 superpoints" in capsys.readouterr().out


def test_evaluate_prints_and_writes_rows(tmp_path, capsys):
    room = s4token.room("bedroom", 1, points=8_000)
    data, out = tmp_path / "bed.npz", tmp_path / "rows.json"
    np.savez(
        data,
        points=room.cloud.points,
        colors=(room.cloud.colors * 255).astype(np.uint8),
        label=room.labels - 1,
        names=np.array(room.classes),
    )
    verb = ["evaluate", str(data), "--tokenizers", "superpoint", "--scales", "1", "0.001"]
    assert main([*verb, "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    fields = {"data", "tokenizer", "normalise", "scale", "density", "mIoU", "mAcc", "OA", "seconds"}
    assert all(set(r) > fields for r in rows)
    names = ["random", "majority", "geometry", "superpoint", "superpoint"]
    assert [r["tokenizer"] for r in rows] == names
    one, small = rows[3:]
    assert abs(one["OA"] - small["OA"]) < 1 and 0 <= one["mIoU"] <= 100
    assert "majority" in capsys.readouterr().out
    assert main([*verb[:-3], "--join", "wall|floor", "--json", str(out)]) == 0
    joined = json.loads(out.read_text())["rows"][-1]
    assert "wall | floor" in joined["classes"] and not {"wall", "floor"} & {*joined["classes"]}
    assert joined["prompts"] == joined["classes"] and joined["OA"] >= one["OA"] - 1


def test_check_says_what_is_missing(tmp_path, capsys):
    trees.scannet(tmp_path)
    assert main(["check", f"scannet:{tmp_path}", f"scannet:{tmp_path}@train"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "val, 2 scans, no file is missing",
        "train, 1 scans, no file is missing",
    ]
    for tail in ("_vh_clean_2.ply", ".aggregation.json"):
        (tmp_path / "scans" / "scene0011_01" / f"scene0011_01{tail}").unlink()
    assert main(["check", f"scannet:{tmp_path}"]) == 2
    said = capsys.readouterr()
    assert "2 files of 2 scans are missing or empty; the first is" in said.err
    assert "scene0011_01_vh_clean_2.ply" in said.err
    assert said.out.startswith("missing: ") and "scene0011_01.aggregation.json" in said.out
    (tmp_path / "scans" / "scene0011_00" / "scene0011_00.aggregation.json").write_bytes(b"")
    assert main(["check", f"scannet:{tmp_path}"]) == 2
    assert "3 files of 2 scans" in capsys.readouterr().err


def test_trainings_take_a_seed(tmp_path, monkeypatch):
    """What is asked for reaches the recipe; nothing else is asked of the trainings here."""
    seeds = []
    keep = lambda config: seeds.append(config.seed) or {}  # noqa: E731
    monkeypatch.setattr("s4token.clip_pretrain.pretrain_clip", lambda c, *a, **k: keep(c))
    monkeypatch.setattr("s4token.pretrain.pretrain_all", lambda _, c, *a, **k: keep(c))
    files = ["--bank", str(tmp_path), "--out", str(tmp_path / "out.safetensors")]
    clip = ["pretrain-clip", *files, "--pack", "objects.npz", "--text", "text.safetensors"]
    for number, words in enumerate((clip, ["pretrain", *files])):
        assert main([*words, "--seed", str(7 + number)]) == 0 and main(words) == 0
    assert seeds == [7, 0, 8, 0]


WHOLE = {
    "s3dis": (trees.s3dis, "area5", 68),
    "modelnet40": (trees.modelnet40, "train", 9843),
    "semantickitti": (trees.semantickitti, "val", 4071),
}


@pytest.mark.parametrize("name", WHOLE)
def test_check_says_how_many_there_should_be(tmp_path, capsys, name):
    """Where the folder is the only list, what is not there has no name; its number is known."""
    write, split, published = WHOLE[name]
    write(tmp_path)
    assert main(["check", f"{name}:{tmp_path}@{split}"]) == 0
    assert f"that are there, but {published:,} were published" in capsys.readouterr().out
    assert open_data(f"{name}:{tmp_path}@{split}").published == published


def test_evaluate_names_the_first_missing_file_and_the_check(tmp_path, capsys):
    trees.shapenetpart(tmp_path)
    (tmp_path / "synsetoffset2category.txt").unlink()
    assert main(["evaluate", f"shapenetpart:{tmp_path}", "--tokenizers", "superpoint"]) == 2
    said = capsys.readouterr().err
    assert (
        "synsetoffset2category.txt: missing or empty; `python -m s4token check shapenetpart:"
        in said
    )
    assert main(["check", f"s3dis:{tmp_path}@6fold"]) == 2
    said = capsys.readouterr().err
    assert (
        "Area_1: no such folder" in said and f"check s3dis:{tmp_path}@6fold` what is miss" in said
    )


def test_evaluate_runs_on_every_task(tmp_path, capsys):
    out = tmp_path / "rows.json"
    data = [
        f"scannet:{trees.scannet(tmp_path / 'scannet')}",
        f"shapenetpart:{trees.shapenetpart(tmp_path / 'parts')}",
        f"modelnet40-resampled:{trees.modelnet40_resampled(tmp_path / 'shapes')}",
    ]
    verb = ["evaluate", *data, "--tokenizers", "superpoint", "--limit", "1", "--json", str(out)]
    assert main(verb) == 0
    found = json.loads(out.read_text())
    rows = {r["data"]: r for r in found["rows"] if r["tokenizer"] == "superpoint"}
    assert rows["scannet"]["split"] == "val" and rows["scannet"]["scans"] == 1
    assert len(rows["scannet"]["classes"]) == 20 and rows["scannet"]["foreground_mIoU"] is not None
    assert rows["shapenetpart"]["prompts"] == ["{part} of a {category}"]
    assert {r["data"] for r in found["objects"]} == {"modelnet40-resampled"}
    assert found["objects"][-1]["shapes"] == 1 and found["objects"][-1]["shapes_listed"] == 2
    assert "top1" in capsys.readouterr().out


def test_probes_of_scans_and_shapes(tmp_path, capsys):
    out = tmp_path / "rows.json"
    rooms = trees.s3dis(tmp_path / "rooms")
    shapes = trees.modelnet40_resampled(tmp_path / "shapes")
    verb = ["evaluate", f"s3dis:{rooms}@area5", f"modelnet40-resampled:{shapes}", "--probe"]
    verb += ["prototype", "--shots", "1", "all", "--seeds", "2", "--tokenizers", "superpoint"]
    assert main([*verb, "--train", f"s3dis:{rooms}@area1"]) == 2  # no shapes to learn from
    assert "nothing to learn a probe for modelnet40-resampled:" in capsys.readouterr().err
    train = ["--train", f"s3dis:{rooms}@area1", f"modelnet40-resampled:{shapes}@train"]
    assert main([*verb, *train, "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    for rows, data in ((found["rows"], "s3dis"), (found["objects"], "modelnet40-resampled")):
        assert [(r["data"], r["shots"], r["seeds"]) for r in rows] == [
            (data, 1, 2),
            (data, "all", 1),
        ]
    assert found["rows"][0]["train"] == ["s3dis, area1"]
    assert "prototype, shots all:" in capsys.readouterr().out
    assert main([*verb, "--train", f"s3dis:{rooms}@6fold", *train[2:]]) == 2
    assert "tested on as well" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        (["pretrain", "--steps", "0"], "--steps: expected a whole number of at least 1, got 0"),
        (["pretrain", "--batch", "x"], "--batch: expected a whole number"),
        (["pretrain", "--seed", "-1"], "--seed: expected a whole number of at least 0"),
        (["pretrain", "--seed", "9" * 30], "--seed: expected"),
        (["pretrain", "--lr", "nan"], "--lr: expected a number above 0, got nan"),
        (["pretrain", "--masked", "inf"], "--masked: expected a weight of 0 or more"),
        (["pretrain", "--threads", "-1"], "--threads: expected"),
    ],
)
def test_options_of_trainings_that_make_no_sense(tmp_path, capsys, verb, said):
    with pytest.raises(SystemExit) as ended:
        main([*verb, "--out", str(tmp_path / "o")])
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_refused_before_the_training(tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    for verb in (["pretrain", "--bank", "x"], ["pretrain-text", "--data", "x"]):
        assert main([*verb, "--out", str(tmp_path / "folder")]) == 2
        assert "folder is a folder; give a file name" in capsys.readouterr().err


def test_segment_by_photographs(scan, tmp_path, capsys):
    path, cloud = scan
    cameras = [replace(c, fov=60.0) for c in cameras_for(cloud, 3, size=64)]
    folder = trees.posed(tmp_path / "images", cameras, draw(cloud, cameras).images)
    trees.matrix(folder / "pose" / "1.txt", np.full((4, 4), np.inf))
    out = tmp_path / "labels.ply"
    verb = ["segment", str(path), "--prompts", "floor", "sofa", "--out", str(out)]
    verb += ["--engine", "multiview", "--images", str(folder), "--threshold", "0"]
    assert main(verb) == 0
    said = capsys.readouterr()
    assert "note: 1 photographs without a finite pose were left out" in said.err
    assert json.loads(out.with_suffix(".json").read_text())["provenance"]["engine"] == "multiview"
    (folder / "pose" / "2.txt").unlink()
    assert main(verb) == 2 and "2.txt: missing" in capsys.readouterr().err


def test_evaluate_by_photographs(tmp_path, capsys):
    """Of the 2D teacher alone, where no tokenizer is named."""
    room = s4token.room("bedroom", 1, points=8_000)
    s4token.write(tmp_path / "bed.ply", replace(room.cloud, attributes={"label": room.labels}))
    cameras = [replace(c, fov=60.0) for c in cameras_for(room.cloud, 3, size=64)]
    trees.posed(tmp_path / "bed", cameras, draw(room.cloud, cameras).images)
    out = tmp_path / "rows.json"
    verb = ["evaluate", str(tmp_path / "bed.ply"), "--json", str(out), "--images"]
    for folder in (tmp_path / "bed", tmp_path):
        assert main([*verb, str(folder)]) == 0
        rows = json.loads(out.read_text())["rows"]
        assert [r["tokenizer"] for r in rows] == ["random", "majority", "geometry", "multiview"]
        assert rows[3]["images"] == str(folder) and "multiview" in capsys.readouterr().out
    (tmp_path / "bed" / "pose" / "1.txt").unlink()
    assert main([*verb, str(tmp_path)]) == 2
    assert "1.txt: missing; see docs/datasets.md" in capsys.readouterr().err


def test_info_names_the_clip(capsys):
    assert main(["info"]) == 0
    header = json.loads(capsys.readouterr().out)
    assert header["clip"]["name"] == "s4token-small" and len(header["clip"]["sha256"]) == 64


def test_convert_and_render(scan, tmp_path):
    path, cloud = scan
    out = tmp_path / "room.xyz"
    assert main(["convert", str(path), str(out), "--scale", "1000"]) == 0
    np.testing.assert_allclose(s4token.read(out).points, cloud.points * 1000, rtol=1e-4, atol=1)
    picture = tmp_path / "room.png"
    assert main(["render", str(path), "--out", str(picture), "--views", "1", "--size", "64"]) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("verb", "name"),
    [("render SCAN --views 1 --size 32 --out", "a.png"), ("evaluate SCAN --json", "a.json")],
)
def test_what_cannot_be_put_in_its_place_leaves_nothing(
    scan, tmp_path, capsys, monkeypatch, verb, name
):
    def refused(*_):
        raise OSError(errno.EACCES, "Permission denied", "somewhere")

    monkeypatch.setattr("os.replace", refused)
    monkeypatch.setattr(cli_evaluate, "_how", lambda _: [SimpleNamespace(check=len)])
    monkeypatch.setattr(cli_evaluate, "_scores", lambda *_: ([], []))
    words = [*verb.replace("SCAN", str(scan[0])).split(), str(tmp_path / name)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / name}: cannot be written (Permission denied)" in said
    assert not list(tmp_path.iterdir())


def test_a_long_name_of_data_does_not_run_into_the_tokenizer(capsys):
    row = {"tokenizer": "knn", "normalise": "token", "scale": 1.0, "density": 1.0, "stated": {}}
    for data in ("short", "exactly-16-chars", "a-name-of-more-characters"):
        cli_evaluate._print_row(SimpleNamespace(data=data, **row))
        assert capsys.readouterr().out.split() == [data, "knn", "token", "1", "1"]


MULTIVIEW = ["--engine", "multiview"]
PHOTOGRAPHS = ["--engine", "multiview", "--images", "nowhere"]
BAD = [
    (["segment", "SCAN", "--prompts", "", "--out", "OUT.ply"], "prompts"),
    (["segment", "SCAN", "--prompts", "a", "a", "--out", "OUT.ply"], "twice"),
    (["segment", "SCAN", "--prompts", "a", "--out", "OUT.xyz"], "--out"),
    (["segment", "SCAN", "--prompts", "a", "--out", "nowhere/OUT.ply"], "nowhere"),
    (["segment", "SCAN", "--prompts", "a", "--out", "OUT.ply", "--threshold", "2"], "threshold"),
    (["segment", "SCAN", "--prompts", "a", "--out", "OUT.ply", "--levels", "5"], "1 to 4"),
    (["segment", "none.ply", "--prompts", "a", "--out", "o.ply", "--threshold", "nan"], "[0, 1]"),
    (["segment", "none.ply", "--prompts", "a", "--out", "o.ply", "--negatives", ""], "negatives"),
    (
        ["segment", "none.ply", "--prompts", "a", "b | c", "--out", "o.ply", "--negatives", "d|c"],
        "negatives: 'c' is also a prompt",
    ),
    (["segment", "none.ply", "--prompts", "a", "--out", "folder.ply"], "folder.ply is a folder"),
    (["segment", "none.ply", "--prompts", "a", "--out", "other.ply"], "other.json is a folder"),
    (["segment", "gt.las", "--prompts", "a", "--out", "gt.ply"], "gt.json belongs to gt.las"),
    (["segment", "gt.ply", "--prompts", "a", "--out", "gt.ply"], "gt.ply: no such file"),
    (["segment", "ours.las", "--prompts", "a", "--out", "ours.ply"], "ours.las: no such file"),
    (
        ["segment", "SCAN", "--prompts", "a", "--out", "OUT.ply", "--levels", "1", *MULTIVIEW],
        "--levels",
    ),
    (["segment", "SCAN", "--prompts", "a", "--out", "OUT.ply", "--device", "tpu7"], "device"),
    (
        ["segment", "SCAN", "--prompts", "a", "--out", "OUT.ply", "--checkpoint", "no.safetensors"],
        "no.safetensors",
    ),
    (["segment", "none.ply", "--prompts", "a", "--out", "OUT.ply"], "none.ply"),
    (["segment", "EMPTY", "--prompts", "a", "--out", "OUT.ply"], "empty.ply"),
    (["segment", "TEXT", "--prompts", "a", "--out", "OUT.ply"], "text.docx"),
    (["segment", "NAN", "--prompts", "a", "--out", "OUT.ply"], "nan.xyz"),
    (["partition", "SCAN", "--count", "0", "--out", "OUT.ply"], "count"),
    (["evaluate", "scannet:nowhere"], "nowhere"),
    (["evaluate", "SCAN", "--join", "chair"], "between bars"),
    (["evaluate", "matterport:nowhere"], "no reader for 'matterport:'"),
    (["evaluate", "SCAN", "--clip", "ViT-B-32:x"], "--tokenizers multiview"),
    (
        ["evaluate", "SCAN", "--tokenizers", "multiview", "--clip", "ViT-B-16-SigLIP:webli"],
        "vit_base_patch16_siglip_224",
    ),
    (
        ["evaluate", "SCAN", "--tokenizers", "multiview", "--clip", "RN50:x", "--device", "tpu7"],
        "device",
    ),
    (
        ["segment", "SCAN", "--prompts", "a", "--out", "OUT.ply", "--clip", "ViT-B-32:x"],
        "--engine multiview",
    ),
    (
        ["segment", "SCAN", "--prompts", "a", "--out", "OUT.ply", "--images", "nowhere"],
        "--engine multiview",
    ),
    (
        ["segment", "SCAN", "--prompts", "a", "--out", "OUT.ply", *PHOTOGRAPHS],
        "nowhere/color",
    ),
    (["evaluate", "SCAN", "--images", "nowhere"], "nowhere: no such folder of posed photographs"),
    (["evaluate", "SCAN", "--images", ".", "--tokenizers", "knn"], "add multiview"),
    (["evaluate", "SCAN", "--images", "."], "/color: no such folder of pictures"),
    (["evaluate", "SCAN", "--train", "SCAN"], "--probe"),
    (["evaluate", "SCAN", "--probe", "linear", "--train", "SCAN"], "tested on as well"),
    (["check", "s3dis:nowhere"], "nowhere"),
    (["evaluate", "SCAN"], "labels"),
    (["evaluate", "SCAN", "--json", "x.txt"], "x.txt"),
    (["info", "EMPTY"], "empty.ply"),
]


@pytest.mark.parametrize(("arguments", "word"), BAD, ids=[" ".join(a)[:60] for a, _ in BAD])
def test_bad_input_is_one_clear_line_and_exit_code_2(
    scan, tmp_path, capsys, monkeypatch, arguments, word
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.ply").write_bytes(b"")
    (tmp_path / "text.docx").write_text("no scan")
    (tmp_path / "nan.xyz").write_text("0 0 0\nnan 0 1\n1 1 1\n")
    for folder in ("folder.ply", "other.json"):
        (tmp_path / folder).mkdir()
    (tmp_path / "gt.json").write_text('{"labels": {"1": "a"}}')
    (tmp_path / "ours.json").write_text('{"labels": {"1": "a"}, "provenance": {}}')
    names = {"SCAN": str(scan[0]), "EMPTY": "empty.ply", "TEXT": "text.docx", "NAN": "nan.xyz"}
    before = set(tmp_path.iterdir())
    assert main([names.get(a, a) for a in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert word in lines[-1] and lines[-1].startswith("s4token: ")
    assert set(tmp_path.iterdir()) == before


def test_bad_usage_is_exit_code_2(capsys):
    for arguments in (
        ["segment"],
        ["fly"],
        [],
        ["segment", "x.ply", "--prompts", "--out", "y.ply"],
        ["evaluate", "x.ply", "--probe", "linear", "--shots", "0"],
        ["evaluate", "x.ply", "--probe", "linear", "--shots", "few"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    ["0 0 0\n", "1 1 1\n1 1 1\n1 1 1\n", "0 0 0\n1 0 0\n"],
    ids=["one point", "all points equal", "two points"],
)
def test_degenerate_scans_are_segmented(tmp_path, text):
    path, out = tmp_path / "few.xyz", tmp_path / "out.ply"
    path.write_text(text)
    assert (
        main(
            [
                "segment",
                str(path),
                "--prompts",
                "chair",
                "スタンド",
                "--threshold",
                "0",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    assert len(PlyData.read(out)["vertex"]["label"]) == text.count("\n")


@pytest.mark.parametrize("engine", ["s4token", "multiview"])
def test_count_reaches_both_engines(scan, tmp_path, engine):
    out = tmp_path / "out.ply"
    extra = ["--count", "40", "--engine", engine]
    assert main(["segment", str(scan[0]), "--prompts", "chair", "--out", str(out), *extra]) == 0
    assert len(set(PlyData.read(out)["vertex"]["superpoint"].tolist())) == 40


def test_a_reader_that_has_enough_is_no_error():
    command = [sys.executable, "-m", "s4token", "info"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
