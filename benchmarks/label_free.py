"""A label-free student beside the multi-view teacher that it learned from.

    python -m benchmarks.label_free STUDENT SCAN [SCAN ...] --bank BANK --work WORK

STUDENT is a checkpoint of ``pretrain --bank BANK --work WORK`` without ``--alignment``, with the
CLIP of its training beside it. Both answer on the same 512 superpoints of labelled scans, and on
the tokens of the scenes of BANK that were kept apart. Seconds are those after the grouping, which
both need. Writes benchmarks/label_free.json, and docs/results.md anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import s4token
from benchmarks import results
from s4token.bank import finished_scenes, held_scenes
from s4token.benchmark import present_classes
from s4token.clip_batches import bank_names, named_tokens
from s4token.clip_pretrain import name_vectors, token_score
from s4token.multiview import encode_views
from s4token.pretrain import PretrainConfig, lesson, teach

ROLES = ("student", "teacher")


def on_scan(model: s4token.S4Token, path: Path) -> dict[str, dict[str, float]]:
    """Return by role what it scores on a labelled scan, and how long it takes."""
    scan = present_classes(s4token.read_scan(path))
    assert scan.labels is not None
    out = {}
    for role in ROLES:
        encoding = (
            model.encode(scan.cloud) if role == "student" else encode_views(model.clip, scan.cloud)
        )
        answer = s4token.segment(model, encoding, scan.classes, threshold=0)
        score = s4token.segmentation_score(scan.labels, answer.labels, len(scan.classes))
        later = sum(s for stage, s in encoding.seconds.items() if stage != "grouping")
        out[role] = {f"{scan.name} mIoU": score.mIoU, f"{scan.name} seconds": later}
    return out


def on_scenes(model: s4token.S4Token, bank: Path, work: Path) -> dict[str, dict[str, float]]:
    """Return by role the mean score of tokens of the scenes that training was kept from."""
    paths = finished_scenes(bank)
    held = held_scenes(paths, PretrainConfig().held_out)
    apart = [path for path, out in zip(paths, held, strict=True) if out]
    names = sorted(bank_names(apart))
    ids, words = {n: i for i, n in enumerate(names)}, name_vectors(model.clip, names)
    scores: dict[str, list[float]] = {role: [] for role in ROLES}
    for path, taught in zip(apart, teach(model.clip, apart, work / "teacher"), strict=True):
        scene = named_tokens(path, "superpoint", ids)
        found = {
            "student": model.encode_inputs("superpoint", [scene.inputs])[1][0],
            "teacher": torch.from_numpy(lesson(path, taught, "superpoint", ids).teacher),
        }
        for role, features in found.items():
            scores[role].append(token_score(features @ words.T, scene)["mIoU"])
    return {role: {"held-out scenes mIoU": float(np.mean(scores[role]))} for role in ROLES}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, write the JSON and the document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("student", type=Path)
    parser.add_argument("scans", nargs="+", type=Path, help="labelled .npz or .ply")
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args(arguments)
    model = s4token.load(options.student)
    if not model.recipe.get("label_free"):
        raise SystemExit(f"{options.student}: it was trained with names")
    found = [on_scenes(model, options.bank, options.work)]
    found += [on_scan(model, path) for path in options.scans]
    rows = [
        {"variant": role} | {k: v for one in found for k, v in one[role].items()} for role in ROLES
    ]
    for row in rows:
        print(json.dumps(row), flush=True)
    learned = f"{model.recipe['steps']} steps on {model.recipe['scenes']} scenes"
    stated = f"{learned} by {', '.join(model.recipe['objectives'])}, seed {model.recipe['seed']}; "
    stated += "no name was read. Seconds are those after the grouping."
    return results.keep_study("label_free.json", model, stated, {"label-free": rows})


if __name__ == "__main__":
    raise SystemExit(main())
