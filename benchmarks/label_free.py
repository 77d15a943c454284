"""A label-free student beside the multi-view teacher that it learned from.

    python -m benchmarks.label_free STUDENT SCAN [SCAN ...] --bank BANK --work WORK

STUDENT is a checkpoint of ``pretrain --bank BANK --work WORK`` without ``--alignment``, with the
CLIP of its training beside it. Both answer on superpoints of labelled scans, and on the tokens of
the scenes of BANK that were kept apart, which it describes but once. Times are those after the
grouping, which both need; on the first scan also through CLIPs of other sizes, whose weights are
random: what they say means nothing there, only the time. Writes benchmarks/label_free.json, and
docs/results.md anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

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

TEACHER = "teacher"
STUDENTS = {
    "student": (512, len(LEVELS)),
    "student, one level": (512, 1),
    "student, one level of 256": (256, 1),
}
"""Tokens and levels."""
ROLES = (*STUDENTS, TEACHER)
TIMES = 3


def encoded(model: s4token.S4Token, cloud: s4token.PointCloud, role: str) -> tuple[Encoding, float]:
    """Return what student or teacher makes of a cloud, and seconds after grouping."""
    if role == TEACHER:
        made = encode_views(model.clip, cloud)
    else:
        count, levels = STUDENTS[role]
        made = model.encode(cloud, count=count, levels=levels)
    return made, sum(s for stage, s in made.seconds.items() if stage != "grouping")


def on_scan(model: s4token.S4Token, path: Path) -> dict[str, float]:
    """Return by role what it scores on a labelled scan."""
    scan = present_classes(s4token.read_scan(path))
    assert scan.labels is not None
    out = {}
    for role in ROLES:
        answer = s4token.segment(
            model, encoded(model, scan.cloud, role)[0], scan.classes, threshold=0
        )
        out[role] = s4token.segmentation_score(scan.labels, answer.labels, len(scan.classes)).mIoU
    return out


def timed(model: s4token.S4Token, path: Path, variant: str) -> results.Row:
    """Return the milliseconds of every role on a scan, and what that is to the teacher's.

    The median of ``TIMES``, in which the roles take turns, after one that does not count.
    """
    cloud = s4token.read(path)
    rounds = [{role: encoded(model, cloud, role)[1] for role in ROLES} for _ in range(TIMES + 1)]
    taken = {role: 1000 * median(one[role] for one in rounds[1:]) for role in ROLES}
    out: results.Row = {"variant": variant} | {f"{r}, ms": ms for r, ms in taken.items()}
    return out | {f"{role}, %": 100 * taken[role] / taken[TEACHER] for role in STUDENTS}


def on_scenes(model: s4token.S4Token, bank: Path, work: Path) -> dict[str, float]:
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
        # A scene of the bank is described but once, by as many tokens as it has.
        for role in ROLES:
            features = teacher if role == TEACHER else student
            scores[role].append(token_score(features @ words.T, scene)["mIoU"])
    return {role: float(np.mean(scores[role])) for role in ROLES}


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
    found = {"held-out scenes": on_scenes(model, options.bank, options.work)}
    found |= {path.stem: on_scan(model, path) for path in options.scans}
    rows: list[results.Row] = []
    for scan, score in found.items():
        row: results.Row = {"variant": scan} | {f"{r}, mIoU": score[r] for r in ROLES}
        rows.append(row | {f"{r}, %": 100 * score[r] / score[TEACHER] for r in STUDENTS})
    first = options.scans[0]
    times = [timed(model, path, f"{path.stem}, {model.clip.name}") for path in options.scans]
    for clip in options.clips:
        times.append(timed(random_model(clip, "cpu"), first, f"{first.stem}, {clip}"))
    for row in rows + times:
        print(json.dumps(row), flush=True)
    learned = f"{model.recipe['steps']} steps on {model.recipe['scenes']} scenes"
    stated = f"{learned} by {', '.join(model.recipe['objectives'])}, seed {model.recipe['seed']}; "
    stated += "no name was read. Times are those after the grouping, which all need; % is of the "
    stated += "teacher's. CLIPs but s4token-small have random weights."
    parts = {"label-free, mIoU": rows, "label-free, time after the grouping": times}
    return results.keep_study("label_free.json", model, stated, parts)


if __name__ == "__main__":
    raise SystemExit(main())
