"""The document of results says what the JSON files say, and is up to date."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import open_clip
import pytest
import torch
import trees

from benchmarks import gpu, readers, real_clip, results

ROW = {"data": "room", "tokenizer": "superpoint", "normalise": "token", "scale": 1.0,
       "density": 1.0, "mIoU": 41.26, "mAcc": 50.0, "OA": 60.0, "seconds": 1.5, "peak_mb": 800.4,
       "mIoU_low": None, "mIoU_high": None, "weights": "trained for this"}  # fmt: skip
PUBLISHED = [{"data": "scannet", "metric": "mIoU", "method": "Them", "value": "9.9",
              "differs": "labels"}]  # fmt: skip


def test_tables_hold_the_figures():
    other = ROW | {"scale": 1000.0, "mIoU": 12.34}
    star = ROW | {"normalise": "none", "mIoU": 7.0, "weights": "trained with x, not this"}
    seen = ROW | {"tokenizer": "multiview", "images": "photos"}
    sure = ROW | {"tokenizer": "knn", "mIoU_low": 30.0, "mIoU_high": 50.04}
    machine = {"device": "cpu", "cores": 2, "load_average": 7.5}
    content = {"rows": [ROW, other, star, sure, seen], "machine": machine}
    text = results.document({"a.json": content}, PUBLISHED)
    assert "Run on cpu, 2 cores, load average 7.5" in text
    assert "| superpoint normalised | 1 | 41.3 | 50.0 | 60.0 | 1.50 | 800 |" in text
    assert "| superpoint normalised | 1 | 41.3 | 12.3 |" in text and "foreground" not in text
    assert "| multiview normalised on photographs | 1 |" in text
    assert "superpoint metric*" in text and "41.3 [30.0, 50.0]" in text
    assert "| Them | 9.9 | labels |" in text and "not measured" in text


def test_all_and_foreground_stand_in_two_columns_and_ours_beside_theirs():
    row = ROW | {"data": "scannet", "foreground_mIoU": 22.22}
    text = results.document({"a.json": {"rows": [row]}}, PUBLISHED)
    assert "| tokens | density | mIoU | foreground_mIoU |" in text and "| 41.3 | 22.2 |" in text
    assert "| **superpoint normalised** | 41.3 | `a.json` |" in text and "not measured" not in text


def test_probes_have_a_table_of_their_own():
    probe = ROW | {"probe": "linear", "split": "val", "train": ["room, train"], "seeds": 3,
                   "scans": 2, "train_scans": 7, "interval": "95 %", "classes": ["a", "b"],
                   "classes_learnt": 2}  # fmt: skip
    few = probe | {"shots": 1, "mIoU": 20.0, "mIoU_low": 15.0, "mIoU_high": 25.0}
    rows = [ROW, few, probe | {"shots": "all", "mIoU": 33.3, "scale": 1.0}]
    text = results.document({"a.json": {"rows": rows}}, PUBLISHED)
    assert "| tokens | probe | scale | density | 1 shot | all shots |" in text
    assert "| superpoint normalised | linear | 1 | 1 | 20.0 [15.0, 25.0] | 33.3 |" in text
    assert "mIoU of 2 scans of the split val" in text and "room, train (7 scans)" in text
    assert text.count("41.3") == 1  # the row by words stands in its own table
    alone = results.document({"a.json": {"rows": [few | {"data": "scannet"}]}}, PUBLISHED)
    assert "20.0 [15.0, 25.0]" in alone and "not measured" in alone  # no published figure's peer


def test_an_ablation_has_a_table_per_part():
    first = {"variant": "kNN, metric", "cpu_s": 61.6, "token_cosine": 0.51239, "mIoU": 12.34}
    second = first | {"variant": "superpoints", "mIoU": 20.0, "mIoU, told metres": 21.0}
    second["spread"] = {"cpu_s": 3.0, "token_cosine": 0.01, "mIoU": 0.52, "mIoU, told metres": 2.0}
    parts = {"tokens": [first, second]}
    stated = {"steps": 90, "scenes": 300, "held_out": 15, "seeds": [0, 1], "scales": [0.01, 1.0]}
    text = results.document({"a.json": {"ablation": parts, "stated": stated}}, PUBLISHED)
    assert (
        "90 steps on 300 scenes, of which 15 were kept apart; seeds 0, 1; scales 0.01, 1." in text
    )
    assert "| tokens | cpu_s | token_cosine | mIoU | mIoU, told metres |" in text
    assert "| kNN, metric | 62 | 0.512 | 12.3 |  |" in text
    assert "| superpoints | 62 ± 3 | 0.512 ± 0.010 | 20.0 ± 0.5 | 21.0 ± 2.0 |" in text
    assert "scales 0.01, 1. Of several seeds: mean ± standard deviation." in text


def test_plot_is_svg_with_a_line_per_tokenizer():
    rows = [
        ROW | {"scale": s, "mIoU": v, "tokenizer": t}
        for t, values in (("superpoint", (40, 40, 40)), ("knn", (1, 45, 3)))
        for s, v in zip((0.001, 1, 1000), values, strict=True)
    ]
    found = results.curves({"a.json": {"rows": rows}})
    assert found == {
        "room": {
            "superpoint normalised": [(0.001, 40), (1, 40), (1000, 40)],
            "knn normalised": [(0.001, 1), (1, 45), (1000, 3)],
        }
    }
    root = ET.fromstring(results.plot(found))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    heights = [[float(p.split(",")[1]) for p in e.attrib["points"].split()] for e in lines]
    assert len(set(heights[0])) == 1 and heights[1][1] < heights[0][0] < heights[1][0]
    assert results.curves({"a.json": {"rows": [ROW]}}) == {}


def test_reading_at_full_size_is_measured_as_it_is_said(tmp_path):
    """On a small tree: the rows of the document are the figures that were measured."""
    readers.tree(tmp_path, 5, vertices=600, triangles=1)
    found = readers.measure(tmp_path, 3) | {"machine": {"cores": 2, "load_average": 1.5}}
    assert found["scans"] == 5 and found["missing"] == 0 and found["points"] == 1800
    assert list(found["resident_mb"]) == ["0", "1", "2", "3"]
    (tmp_path / "scans" / "scene0002_00" / "scene0002_00.aggregation.json").unlink()
    assert readers.measure(tmp_path, 3)["missing"] == 1
    text = results.document({}, PUBLISHED, found)
    assert "5 scans, each of 600 vertices" in text and "load average 1.5" in text
    assert f"| listing 5 scans | {found['list_s']:.3f} s |" in text
    assert f"| resident memory, scans read: 3 | {found['resident_mb']['3']:,} MB |" in text


def test_a_study_of_one_run_is_kept(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "HERE", tmp_path)
    monkeypatch.setattr(results, "main", lambda _: 0)
    parts = {"ways": [{"variant": "broad", "house mIoU": 12.34}]}
    assert results.keep_study("a.json", tiny_model, "Sizes estimated.", parts) == 0
    text = results.document(results.load(tmp_path), PUBLISHED)
    assert "Sizes estimated." in text and "| broad | 12.3 |" in text and "cores, load" in text


def test_a_gpu_is_measured_as_it_is_said(tiny_model, room_cloud, tmp_path):
    """On a CPU with a tiny CLIP: the rows of the document are the figures that were measured."""
    rows = {"grouped": [], "transformed": []}
    for tokenizer in tiny_model.tokenizers:
        row, inputs = gpu.grouped(tiny_model, tokenizer, room_cloud, 24)
        assert row["tokens"] == [len(i.shape) for i in inputs] == [24, 48, 12, 6]
        rows["grouped"].append(row)
        rows["transformed"] += gpu.transformed(tiny_model, tokenizer, inputs, 1)
    assert [r["precision"] for r in rows["transformed"]] == 3 * ["float32", "bfloat16"]
    assert [r["least_cosine"] == 1 for r in rows["transformed"]] == 3 * [True, False]
    assert min(r["least_cosine"] for r in rows["transformed"]) > 0.999
    found = rows | {"multiview": [gpu.looked_at(tiny_model.clip, room_cloud, 1, views=3)]}
    found |= {"shipped": gpu.shipped(room_cloud, ["cpu"], tmp_path), "machine": gpu.machine("cpu")}
    found |= {"weights": gpu.WEIGHTS, "repeats": 1}
    assert found["shipped"][0]["tokens"] == 512 and found["shipped"][0]["least_cosine"] == 1
    slow = found["shipped"][0]
    slow |= {"transformer_s": 2.0, "total_s": 3.0}
    fast = slow | {"device": "cuda", "transformer_s": 0.5, "total_s": 2.0, "peak_mb": 1234}
    found["shipped"].append(fast)
    text = results.document({}, PUBLISHED, None, found)
    assert "Weights: random, but" in text and "reads 24, 48, 12, 6 tokens. Seconds" in text
    turning = results.document({}, PUBLISHED, None, found | {"turns": 4})
    assert "reads 24, 48, 12, 6 tokens in 4 turns each. Seconds" in turning
    knn = rows["grouped"][1] | {"averaging_s": 1.0, "describing_s": 2.0, "grouping_s": 3.0}
    found["grouped"][1] = knn
    found["transformed"][3] |= {"transformer_s": 0.25, "peak_mb": 5000, "weights_mb": 7}
    text = results.document({}, PUBLISHED, None, found)
    assert (
        f"| tiny | knn | {len(room_cloud):,} | bfloat16 | 3.000 | 2.000 | 1.000 | 0.250 | 6.25 | "
        "5,000 | 7 | 0.9" in text
    )
    assert "| 0.500 | 2.000 | 4.00 | 1.50 | 1,234 | 1.000000 |" in text


@pytest.mark.slow
def test_a_large_clip_is_measured_without_its_weights(tmp_path, capsys):
    sizes = ["--points", "3000", "--room-points", "2000", "--tokens", "16", "--repeats", "1"]
    out = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--clips", "ViT-S-32-alt", *sizes, "--json", str(out)]
    assert gpu.main(words) == 0 and "weights: random" in capsys.readouterr().out
    found = json.loads(out.read_text())
    each = [(r["clip"], r["tokenizer"]) for r in found["transformed"]]
    clips = ("s4token-small", "ViT-S-32-alt")
    tokens = ("superpoint", "knn", "radius")
    assert each == [(c, t) for c in clips for t in tokens for _ in range(2)]
    assert [r["clip"] for r in found["multiview"]] == list(clips)
    assert len(found["grouped"]) == 3 and len(found["shipped"]) == 2
    assert "| ViT-S-32-alt | knn |" in results.document({}, PUBLISHED, None, found)


def test_the_document_is_up_to_date():
    assert results.main(["--check"]) == 0, "run python -m benchmarks.results"


def test_every_published_figure_says_how_it_differs():
    for entry in json.loads((results.HERE / "published.json").read_text()):
        assert set(entry) == {"data", "metric", "method", "value", "differs"} and entry["differs"]


@pytest.mark.slow
def test_real_clip_runs_with_random_weights_of_a_real_architecture(tmp_path):
    weights, out = tmp_path / "weights.pt", tmp_path / "out.json"
    torch.save(open_clip.create_model("ViT-S-32-alt").state_dict(), weights)
    data = [f"scannet:{trees.scannet(tmp_path / 's')}", f"meshes:{trees.meshes(tmp_path / 'm')}"]
    words = [*data, "--clips", f"ViT-S-32-alt:{weights}", "--limit", "1", "--json", str(out)]
    assert real_clip.main([*words, "--text-folder", str(tmp_path / "text")]) == 0
    found = json.loads(out.read_text())
    assert [(r["data"], r["dense"]) for r in found["rows"]] == [
        ("scannet", "value"),
        ("scannet", "self"),
    ]
    assert len(found["objects"]) == 2 and list((tmp_path / "text").glob("*.npy"))


def test_a_row_that_was_told_the_unit_says_so():
    rows = [ROW, ROW | {"unit": "m", "mIoU": 51.0}]
    text = results.document({"a.json": {"rows": rows}}, PUBLISHED)
    assert "| superpoint normalised, unit told (m) | 1 | 51.0" in text
