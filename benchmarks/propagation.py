"""Ways from tokens to points, on the shipped checkpoint.

    python -m benchmarks.propagation SCAN [SCAN ...]

A point has the feature of one token alone, as the product does it (its own superpoint, or the
nearest centre of groups that overlap), or one that is interpolated by inverse squared distance
(PointNet++, arXiv 1706.02413, equation 2): from the four nearest centres, for superpoints from the
four nearest of 16 points of every superpoint, alone or as a quarter beside its own. On labelled
scans and on rooms that are furnished and scanned here. Writes
benchmarks/ablation_propagation.json, and docs/results.md anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import KDTree

import s4token
from benchmarks import results
from s4token import Groups, PointCloud, Scan
from s4token.benchmark import present_classes
from s4token.scan_simulation import simulate

ANCHORS, NEAREST = 16, 4
WAYS = {
    "superpoint": {"own superpoint alone": 1.0, "both": 0.75, "nearest, across borders": 0.0},
    "knn": {"nearest centre alone": 1.0, "four nearest centres": 0.0},
    "radius": {"nearest centre alone": 1.0, "four nearest centres": 0.0},
}
"""Per tokenizer: share of a point's feature that its own token has."""
SEEDS, ROOM_POINTS = (970001, 970002), 60_000


def interpolation(cloud: PointCloud, groups: Groups) -> csr_matrix:
    """Return weights by inverse squared distance from the nearest anchors, (N, M)."""
    points = np.asarray(cloud.points, np.float64)
    anchors, owner = groups.means(points), np.arange(len(groups))
    if groups.is_partition:
        steps = (np.arange(ANCHORS) + 0.5) / ANCHORS
        at = groups.offsets[:-1, None] + (steps * groups.sizes[:, None]).astype(np.int64)
        anchors, owner = points[groups.index[at.ravel()]], np.repeat(owner, ANCHORS)
    distance, index = KDTree(anchors).query(points, k=NEAREST, workers=-1)
    weight = 1 / ((distance / distance.mean()) ** 2 + 1e-6)
    weight /= weight.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(points)), NEAREST)
    shape = len(points), len(groups)
    return csr_matrix((weight.ravel(), (rows, owner[index].ravel())), shape=shape)


def scored(model: s4token.S4Token, scan: Scan, tokenizer: str) -> dict[str, float]:
    """Return the mIoU of a scan by each way to its points."""
    assert scan.labels is not None
    encoding = model.encode(scan.cloud, tokenizer=tokenizer)
    answer = s4token.segment(model, encoding, scan.classes, threshold=0)
    assert answer.probability is not None
    blended = interpolation(encoding.cloud, encoding.groups) @ answer.probability
    out = {}
    for way, share in WAYS[tokenizer].items():
        mixed = share * answer.probability[answer.superpoints] + (1 - share) * blended
        guess = mixed.argmax(axis=1) + 1
        score = s4token.segmentation_score(scan.labels, guess, len(scan.classes))
        out[way] = score.mIoU
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, write the JSON and the document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scans", nargs="+", type=Path, help="labelled .npz or .ply")
    options = parser.parse_args(arguments)
    model = s4token.load()
    scans = [present_classes(s4token.read_scan(path)) for path in options.scans]
    rooms = [
        present_classes(
            simulate(
                s4token.room(kind, seed, points=3 * ROOM_POINTS),
                np.random.default_rng(seed),
                points=ROOM_POINTS,
            )
        )
        for kind in s4token.ROOM_KINDS
        for seed in SEEDS
    ]
    rows = []
    for tokenizer, ways in WAYS.items():
        found = {f"{scan.name} mIoU": scored(model, scan, tokenizer) for scan in scans}
        each = [scored(model, scan, tokenizer) for scan in rooms]
        found["rooms mIoU"] = {way: float(np.mean([row[way] for row in each])) for way in ways}
        for way in ways:
            row = {name: score[way] for name, score in found.items()}
            rows.append({"variant": f"{tokenizer}: {way}", **row})
            print(json.dumps(rows[-1]), flush=True)
    stated = f"Sizes estimated; rooms: {len(rooms)}, furnished and scanned here."
    return results.keep_study("ablation_propagation.json", model, stated, {"propagation": rows})


if __name__ == "__main__":
    raise SystemExit(main())
