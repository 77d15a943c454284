"""A label-free student beside the multi-view teacher that it learned from.

    python -m benchmarks.label_free STUDENT SCAN [SCAN ...] --bank BANK --work WORK

STUDENT is a checkpoint of ``pretrain --bank BANK --work WORK`` without ``--alignment``, with the
CLIP of its training beside it. Both answer on the same 512 superpoints of labelled scans, and on
the tokens of the scenes of BANK that were kept apart, which it holds on one level alone. Seconds
are those after the grouping, which both need; on the first scan also through CLIPs of other sizes,
whose weights are random: what they say means nothing there, only the time. Writes
benchmarks/label_free.json, and docs/results.md anew.
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
from benchmarks.gpu import CLIPS, random_model
from s4token.bank import finished_scenes, held_scenes
from s4token.benchmark import present_classes
from s4token.clip_batches import bank_names, named_tokens
from s4token.clip_pretrain import name_vectors, token_score
from s4token.model import LEVELS
from s4token.multiview import encode_views
from s4token.pretrain import PretrainConfig, lesson, teach
from s4token.types import Encoding

ROLES = {"student": len(LEVELS), "student, one level": 1, "teacher": 0}
"""Who answers, and on how many levels."""


def encoded(
    model: s4token.S4Token, cloud: s4token.PointCloud, levels: int
) -> tuple[Encoding, float]:
    """Return what student or teacher (0 levels) makes of a cloud, and seconds after grouping."""
    made = model.encode(cloud, levels=levels) if levels else encode_views(model.clip, cloud)
    return made, sum(s for stage, s in made.seconds.items() if stage != "grouping")


def on_scan(model: s4token.S4Token, path: Path) -> dict[str, dict[str, float]]:
    """Return by role what it scores on a labelled scan, and how long it takes."""
    scan = present_classes(s4token.read_scan(path))
    assert scan.labels is not None
    out = {}
    for role, levels in ROLES.items():
        encoding, seconds = encoded(model, scan.cloud, levels)
        answer = s4token.segment(model, encoding, scan.classes, threshold=0)
        score = s4token.segmentation_score(scan.labels, answer.labels, len(scan.classes))
        out[role] = {f"{scan.name} mIoU": score.mIoU, f"{scan.name} seconds": seconds}
    return out


def timed(model: s4token.S4Token, path: Path) -> results.Row:
    """Return the seconds of every role on a scan, and what that is to the teacher's."""
    cloud = s4token.read(path)
    encoded(model, cloud, 1)  # whatever is done but once
    seconds = {role: encoded(model, cloud, levels)[1] for role, levels in ROLES.items()}
    out: results.Row = {"variant": model.clip.name}
    out |= {f"{role}, seconds": taken for role, taken in seconds.items()}
    for role, levels in ROLES.items():
        if levels:
            out[f"{role}, % of the teacher's"] = 100 * seconds[role] / seconds["teacher"]
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
        student = model.encode_inputs("superpoint", [scene.inputs])[1][0]
        teacher = torch.from_numpy(lesson(path, taught, "superpoint", ids).teacher)
        # A scene of the bank is described on one level alone.
        for role, features in zip(ROLES, (student, student, teacher), strict=True):
            scores[role].append(token_score(features @ words.T, scene)["mIoU"])
    return {role: {"held-out scenes mIoU": float(np.mean(scores[role]))} for role in ROLES}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, write the JSON and the document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("student", type=Path)
    parser.add_argument("scans", nargs="+", type=Path, help="labelled .npz or .ply")
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--clips", nargs="*", default=CLIPS, help="architectures to time as well")
    options = parser.parse_args(arguments)
    model = s4token.load(options.student)
    if not model.recipe.get("label_free"):
        raise SystemExit(f"{options.student}: it was trained with names")
    found = [on_scenes(model, options.bank, options.work)]
    found += [on_scan(model, path) for path in options.scans]
    rows = [
        {"variant": role} | {k: v for one in found for k, v in one[role].items()} for role in ROLES
    ]
    times = []
    for clip in (None, *options.clips):
        times.append(timed(random_model(clip, "cpu") if clip else model, options.scans[0]))
    for row in rows + times:
        print(json.dumps(row), flush=True)
    learned = f"{model.recipe['steps']} steps on {model.recipe['scenes']} scenes"
    stated = f"{learned} by {', '.join(model.recipe['objectives'])}, seed {model.recipe['seed']}; "
    stated += "no name was read. Seconds are those after the grouping; "
    stated += "CLIPs but s4token-small have random weights."
    parts = {"label-free": rows, f"seconds on {options.scans[0].stem}, by CLIP": times}
    return results.keep_study("label_free.json", model, stated, parts)


if __name__ == "__main__":
    raise SystemExit(main())
