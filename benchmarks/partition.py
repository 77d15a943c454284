"""Superpoints beside other partitions: edges, robustness, units, stability, time and memory.

    python benchmarks/partition.py [DATA ...] [--cut-pursuit PYTHON] [--json ...] [--big]

Three simulated scans of four-room flats are made on the spot; DATA are labelled scans to add
(.npz, .ply). ``benchmarks/partition_report.py`` turns the result into docs/partition.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import partition_peers as peers  # noqa: E402

from s4token import metrics  # noqa: E402
from s4token.geometry import knn, point_spacing  # noqa: E402
from s4token.io import read_scan  # noqa: E402
from s4token.scan_simulation import simulate  # noqa: E402
from s4token.superpoints import Superpoints  # noqa: E402
from s4token.synthetic import room  # noqa: E402
from s4token.types import Groups, PointCloud, Scan  # noqa: E402

Method = Callable[[PointCloud, int], np.ndarray]
OURS = "superpoints (ours)"
POINTS = 80_000
COUNT = 500
FLATS = (
    ("living", "bedroom", "kitchen", "bathroom"),
    ("office", "bedroom", "living", "kitchen"),
    ("living", "bedroom", "meeting", "kitchen"),
)
FIRST_SEED = 7_000
"""Of the flats' rooms: never used for tuning."""
FACTORS = (0.001, 0.0254, 0.3048, 1000.0)


def ours(cloud: PointCloud, count: int) -> np.ndarray:
    return Superpoints(count)(cloud).labels


def flat(number: int, points: int) -> Scan:
    """Return four simulated scans of rooms, two by two, eight metres apart."""
    parts, names = [], {}
    for place, kind in enumerate(FLATS[number]):
        seed = FIRST_SEED + 10 * number + place
        whole = room(kind, seed, points=2 * points)
        scan = simulate(whole, np.random.default_rng(seed), points=points)
        assert scan.labels is not None and scan.cloud.colors is not None
        table = np.array([0] + [names.setdefault(c, len(names) + 1) for c in scan.classes])
        corner = scan.cloud.points - scan.cloud.points.min(axis=0)
        at = np.array([8.0 * (place % 2), 8.0 * (place // 2), 0.0])
        parts.append((corner + at, scan.cloud.colors, table[scan.labels]))
    xyz, colors, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    cloud = PointCloud(xyz.astype(np.float32), colors)
    return shuffled(Scan(f"flat {number + 1}", cloud, labels.astype(np.int32), tuple(names)))


def select(scan: Scan, index: np.ndarray) -> Scan:
    assert scan.labels is not None
    return Scan(scan.name, scan.cloud.select(index), scan.labels[index], scan.classes)


def shuffled(scan: Scan) -> Scan:
    return select(scan, np.random.default_rng(0).permutation(len(scan.cloud)))


def truth(scan: Scan) -> np.ndarray:
    assert scan.labels is not None
    return scan.labels


def dense(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1]


def quality(scans: list[Scan], methods: dict[str, Method]) -> list[dict]:
    """Score every method at every count on (at most) 80,000 points of every scan."""
    rows = []
    for whole in scans:
        scan = select(whole, np.arange(min(POINTS, len(whole.cloud))))
        near = knn(scan.cloud.points.astype(np.float64), 10)[0][:, 1:]
        for count in (166, 500) if len(scan.cloud) < POINTS else (250, 500, 1000):
            for name, method in methods.items():
                groups = Groups.from_labels(dense(method(scan.cloud, count)))
                rows.append(
                    {
                        "scan": scan.name,
                        "points": len(scan.cloud),
                        "count": count,
                        "method": name,
                        "found": len(groups),
                        "oracle": metrics.oracle_miou(groups, truth(scan)),
                        "recall": metrics.boundary_recall(groups, truth(scan), near),
                        "error": metrics.undersegmentation_error(groups, truth(scan)),
                        "largest": 100 * groups.sizes.max() / len(scan.cloud),
                        "smallest": int(groups.sizes.min()),
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
    return rows


def disturbances(whole: Scan, rng: np.random.Generator) -> dict[str, tuple[Scan, np.ndarray]]:
    """Return disturbed scans, each with the rows of the base that are their own first rows."""
    base = select(whole, np.arange(min(POINTS, len(whole.cloud))))
    n, xyz = len(base.cloud), base.cloud.points.astype(np.float64)
    everything = np.arange(n)
    away = np.linalg.norm(xyz - np.median(xyz, axis=0), axis=1)
    level = np.round(200 * (xyz[:, 2] - xyz[:, 2].min()) / np.ptp(xyz[:, 2]))
    kept = {
        "density / 4": everything[: n // 4],
        "density as 1 / distance²": np.flatnonzero(
            rng.random(n) < np.minimum(1, (np.quantile(away, 0.15) / np.maximum(away, 1e-9)) ** 2)
        ),
        "one half thinned to 10 %": np.flatnonzero(
            (xyz[:, 0] > np.median(xyz[:, 0])) | (rng.random(n) < 0.1)
        ),
        "every fourth scan line": np.flatnonzero(level % 4 == 0),
    }
    found = {name: (select(base, rows), rows) for name, rows in kept.items()}
    if len(whole.cloud) > 2 * n:
        found["two to four times the points"] = whole, everything
    noisy = xyz + rng.normal(0, 0.25 * point_spacing(xyz), xyz.shape)
    cloud = PointCloud(noisy.astype(np.float32), base.cloud.colors)
    found["noise of 1/4 spacing"] = Scan(base.name, cloud, truth(base), base.classes), everything
    return found


def robustness(scans: list[Scan], methods: dict[str, Method]) -> list[dict]:
    """Compare oracle mIoU before and after, both on the points that both have."""
    rows = []
    for whole in scans:
        base = select(whole, np.arange(min(POINTS, len(whole.cloud))))
        disturbed = disturbances(whole, np.random.default_rng(0))
        for name, method in methods.items():
            before = dense(method(base.cloud, COUNT))
            for kind, (scan, kept) in disturbed.items():
                after = dense(method(scan.cloud, COUNT))
                here = truth(base)[kept]
                first, second = (
                    metrics.oracle_miou(Groups.from_labels(dense(labels)), here)
                    for labels in (before[kept], after[: len(kept)])
                )
                row = {"scan": base.name, "disturbance": kind, "method": name}
                row |= {"points": len(scan.cloud), "found": int(after.max()) + 1}
                rows.append(row | {"before": first, "after": second})
                print(json.dumps(rows[-1]), flush=True)
    return rows


def agreements(scans: list[Scan], methods: dict[str, Method]) -> list[dict]:
    """Share of points that keep their superpoint in other units, moved, and with 10 % dropped."""
    rows = []
    for whole in scans:
        cloud = select(whole, np.arange(min(POINTS, len(whole.cloud)))).cloud
        extent = float(np.ptp(cloud.points, axis=0).max())
        kept = np.flatnonzero(np.random.default_rng(1).random(len(cloud)) > 0.1)
        changed = {f"x {f:g}": cloud.scaled(f) for f in FACTORS}
        shifted = cloud.points.astype(np.float64) + extent * np.array([0.8, -0.6, 0.4])
        changed["moved by its extent"] = PointCloud(shifted.astype(np.float32), cloud.colors)
        for name, method in methods.items():
            first = dense(method(cloud, COUNT))
            for change, other in changed.items():
                second = dense(method(other, COUNT))
                share = metrics.partition_agreement(first, second)
                rows.append({"scan": whole.name, "change": change, "method": name, "same": share})
            second = dense(method(cloud.select(kept), COUNT))
            one = metrics.partition_agreement(dense(first[kept]), second)
            best = overlap(dense(first[kept]), second)
            row = {"scan": whole.name, "change": "10 % of the points dropped", "method": name}
            rows.append(row | {"same": one, "best_overlap": best})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the percentage of points inside the largest overlap of their first superpoint."""
    width = int(second.max()) + 1
    pairs, counts = np.unique(first.astype(np.int64) * width + second, return_counts=True)
    best = np.zeros(int(first.max()) + 1)
    np.maximum.at(best, pairs // width, counts)
    return 100 * float(best.sum() / len(first))


def times(scan: Scan, repeats: int = 7) -> list[dict]:
    """Time the methods by turns in one process, neighbours and normals included."""
    cloud = select(scan, np.arange(min(POINTS, len(scan.cloud)))).cloud
    methods: dict[str, Method] = {
        OURS: ours,
        "Felzenszwalb, one run, any count": peers.Felzenszwalb(1.0, search=False),
        "Felzenszwalb, searched count": peers.Felzenszwalb(1.0),
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for turn in range(repeats + 1):
        for name, method in methods.items():
            begin = time.perf_counter()
            method(cloud, COUNT)
            if turn:
                seconds[name].append(time.perf_counter() - begin)
    return [
        {"method": name, "points": len(cloud), "seconds": statistics.median(found)}
        for name, found in seconds.items()
    ]


def one_size(points: int) -> dict:
    """Partition a house-like cloud of so many points; peak memory is this process's own."""
    rng = np.random.default_rng(0)
    base = flat(0, 60_000).cloud
    pick = rng.integers(0, len(base), points)
    spread = rng.normal(0, 0.01, (points, 3)).astype(np.float32)
    assert base.colors is not None
    cloud = PointCloud(base.points[pick] + spread, base.colors[pick])
    begin = time.perf_counter()
    Superpoints(64)(cloud.select(np.arange(5000)))
    compiled = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    groups = Superpoints(512)(cloud)
    return {
        "points": points,
        "count": len(groups),
        "first_call_s": compiled - begin,
        "seconds": time.perf_counter() - compiled,
        "memory_before_mb": before // 1024,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def sizes(big: bool) -> list[dict]:
    rows = []
    for points in (200_000, 1_000_000, *((10_000_000,) if big else ())):
        command = [sys.executable, __file__, "--one", str(points)]
        rows.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="*", help="labelled scans beside the simulated flats")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "partition.json")
    parser.add_argument("--cut-pursuit", metavar="PYTHON", help="interpreter with pycut-pursuit")
    parser.add_argument("--big", action="store_true", help="ten million points too")
    parser.add_argument("--only", nargs="+", choices=("quality", "robust", "same", "time"))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_size(options.one)))
        return
    methods: dict[str, Method] = {
        OURS: ours,
        "FPS-Voronoi": peers.voronoi,
        "Felzenszwalb, normals": peers.Felzenszwalb(),
        "Felzenszwalb, normals + colour": peers.Felzenszwalb(1.0),
    }
    slow: dict[str, Method] = dict(methods)
    if options.cut_pursuit:
        slow["cut pursuit"] = peers.CutPursuit(options.cut_pursuit)
    scans = [flat(number, 90_000) for number in range(len(FLATS))]
    for path in options.data:
        scans.append(shuffled(read_scan(path)))
    wanted = set(options.only or ("quality", "robust", "same", "time"))
    result = json.loads(options.json.read_text()) if options.json.exists() else {}
    result["machine"] = {"cores": os.cpu_count(), "python": platform.python_version()}
    if "time" in wanted:
        result |= {"times": times(scans[0]), "sizes": sizes(options.big)}
    if "quality" in wanted:
        result["quality"] = quality(scans, slow)
    if "robust" in wanted:
        result["robustness"] = robustness(scans, methods)
    if "same" in wanted:
        result["agreements"] = agreements(scans, methods)
    options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
