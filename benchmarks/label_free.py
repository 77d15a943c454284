"""A label-free student beside the multi-view teacher that it learned from.

    python -m benchmarks.label_free STUDENT SCAN [SCAN ...] --bank BANK

STUDENT is a checkpoint of ``pretrain --bank BANK`` without ``--alignment``, with the CLIP of its
training beside it. Both answer on superpoints of labelled scans, and of the scenes of BANK that
were kept apart. Times are those after the grouping, which both need; on the first scan also through
CLIPs of other sizes, whose weights are random: what they say means nothing there, only the time.
Writes benchmarks/label_free.json, and docs/results.md anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median

import numpy as np

import s4token
from benchmarks import results
from benchmarks.gpu import CLIPS, random_model
from s4token.bank import finished_scenes, held_scenes
from s4token.benchmark import present_classes
from s4token.model import LEVELS
from s4token.multiview import encode_views
from s4token.pretrain import PretrainConfig
from s4token.types import Encoding

TEACHER = "teacher"
STUDENTS = {
    "student": len(LEVELS),
    "student, one level": 1,
}
"""Levels."""
ROLES = (*STUDENTS, TEACHER)
ROUNDS = 3
Measure = dict[str, float]
"""Something of every role."""


def encoded(model: s4token.S4Token, cloud: s4token.PointCloud, role: str) -> Encoding:
    """Return what student or teacher makes of a cloud."""
    if role == TEACHER:
        return encode_views(model.clip, cloud)
    return model.encode(cloud, levels=STUDENTS[role])


def kept_apart(bank: Path) -> list[s4token.Scan]:
    """Return the scenes of a bank that training is kept from."""
    paths = finished_scenes(bank)
    held = held_scenes(paths, PretrainConfig().held_out)
    return [_scene(path) for path, out in zip(paths, held, strict=True) if out]


def _scene(path: Path) -> s4token.Scan:
    with np.load(path) as scene:
        colors = scene["colors"].astype(np.float32) / 255
        cloud = s4token.PointCloud(scene["points"], colors if scene["coloured"] else None)
        classes = tuple(scene["classes"].tolist())
        scan = s4token.Scan(path.stem, cloud, scene["labels"].astype(np.int32), classes)
    return present_classes(scan)


def measured(model: s4token.S4Token, scans: Sequence[s4token.Scan], rounds: int) -> list[Measure]:
    """Return mIoU and milliseconds by role, as means over the scans; mIoU of labelled ones.

    The roles take turns; a scan's time is the median of its rounds, after one for all that does not
    count.
    """
    scores: dict[str, list[float]] = {role: [] for role in ROLES}
    taken: dict[str, list[float]] = {role: [] for role in ROLES}
    for role in ROLES:
        encoded(model, scans[0].cloud, role)
    for scan in scans:
        turns = [{role: encoded(model, scan.cloud, role) for role in ROLES} for _ in range(rounds)]
        for role in ROLES:
            taken[role].append(1000 * median(_after_grouping(made[role]) for made in turns))
            if scan.labels is not None:
                scores[role].append(_score(model, scan, turns[0][role]))
    return [{role: fmean(v) for role, v in values.items() if v} for values in (scores, taken)]


def _score(model: s4token.S4Token, scan: s4token.Scan, made: Encoding) -> float:
    assert scan.labels is not None
    labels = s4token.segment(model, made, scan.classes, threshold=0).labels
    return s4token.segmentation_score(scan.labels, labels, len(scan.classes)).mIoU


def _after_grouping(made: Encoding) -> float:
    return sum(s for stage, s in made.seconds.items() if stage != "grouping")


def _row(variant: str, what: str, values: Measure) -> results.Row:
    out: results.Row = {"variant": variant} | {f"{role}, {what}": v for role, v in values.items()}
    return out | {f"{role}, %": 100 * values[role] / values[TEACHER] for role in STUDENTS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, write the JSON and the document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("student", type=Path)
    parser.add_argument("scans", nargs="+", type=Path, help="labelled .npz or .ply")
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--clips", nargs="*", default=CLIPS, help="architectures to time as well")
    options = parser.parse_args(arguments)
    model = s4token.load(options.student)
    if not model.recipe.get("label_free"):
        raise SystemExit(f"{options.student}: it was trained with names")
    groups = {"held-out scenes": kept_apart(options.bank)}
    for path in options.scans:
        groups[path.stem] = [present_classes(s4token.read_scan(path))]
    rows, times = [], []
    for name, scans in groups.items():
        score, taken = measured(model, scans, rounds=ROUNDS if len(scans) == 1 else 1)
        rows.append(_row(name, "mIoU", score))
        times.append(_row(f"{name}, {model.clip.name}", "ms", taken))
        print(json.dumps([rows[-1], times[-1]]), flush=True)
    first = options.scans[0].stem
    unnamed = [replace(scan, labels=None) for scan in groups[first]]
    for clip in options.clips:
        _, taken = measured(random_model(clip, "cpu"), unnamed, rounds=ROUNDS)
        times.append(_row(f"{first}, {clip}", "ms", taken))
        print(json.dumps(times[-1]), flush=True)
    learned = f"{model.recipe['steps']} steps on {model.recipe['scenes']} scenes"
    stated = f"{learned} by {', '.join(model.recipe['objectives'])}, seed {model.recipe['seed']}; "
    stated += "no name was read. Times are those after the grouping, which all need; % is of the "
    stated += (
        "teacher's. CLIPs but s4token-small have random weights. Scans: median of three rounds; "
    )
    stated += "held-out scenes: one round, the mean of all."
    parts = {"label-free, mIoU": rows, "label-free, time after the grouping": times}
    return results.keep_study("label_free.json", model, stated, parts)


if __name__ == "__main__":
    raise SystemExit(main())
