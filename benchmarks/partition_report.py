"""Write docs/partition.md and its pictures from what ``benchmarks/partition.py`` measured.

    python benchmarks/partition_report.py [--no-pictures]

No figure is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
DOCS = ROOT / "docs"
COUNT = 250
"""Superpoints in the pictures."""
Row = dict[str, Any]

INTRO = """# The partition beside its peers

Written by `benchmarks/partition_report.py` from `benchmarks/partition.json`, which
`benchmarks/partition.py` measured.

`Superpoints(count)` merges adjacent regions, from single points down to exactly `count`. What a
merge costs is made of ratios only: how far centres, mean normals and mean colours lie apart and how
strong the border is beyond what is usual inside either region, times the regions' area (in mean
superpoints) to the power 3/4, over the fourth root of the border's length (in mean sides). Points
count by the surface they stand for. `s4token/merging.py` has the formula.

Oracle mIoU is the best that any labelling of whole superpoints can reach; boundary recall (BR) the
share of true borders that are found; undersegmentation (UE) the share of points that a perfect
label per superpoint still gets wrong; the number in brackets the largest superpoint's share of the
points. All in percent. The flats are simulated depth-camera scans of four rooms each, whose seeds
were used for nothing else; the office crop (real) and the bookstore were used for tuning, the house
was only read off.

Felzenszwalb and cut pursuit know no count: a search over their strength finds it, or the nearest.
Cut pursuit cuts in metres: its features are absolute.
"""
EDGES = """## Edges

Oracle mIoU / BR / UE (largest superpoint). Best in bold.

"""
DENSITY = """## Density and noise

500 superpoints. Oracle mIoU before -> after, both on the points that the two scans share.

![one room, 250 superpoints, three densities](partition_density.png)

"""
UNITS = """## Units, place and dropped points

500 superpoints, float32. Share of the points whose superpoint is matched in both directions by
overlap: mean over the scans, and the worst in brackets. For dropped points also the share that lies
in the largest overlap of its superpoint, one way.

![one room, 250 superpoints, three units](partition_scale.png)

"""
TIME = """## Time and memory

{cores} cores, {points:,} points into 500, neighbours and normals included, by turns in one process:

"""
SIZES = """
Into 512, each in its own process; the first call loads (or, once, compiles) compiled code. Above
half a million points, one point per voxel is partitioned and the others follow theirs.

"""
SETTINGS = """## Settings

`count` is the token budget. `compactness` says how much position counts against shape and colour:
1 is the default, 0 lets a wall be one superpoint, 20 makes patches of nearly equal size. Nothing
else can be set.

![count 64, 250, 1000 above; compactness 0, 1, 20 below](partition_settings.png)
"""


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*out, *("| " + " | ".join(line) + " |" for line in lines)]) + "\n"


def unique(rows: Sequence[Row], *keys: str) -> list[tuple[Any, ...]]:
    return list(dict.fromkeys(tuple(row[k] for k in keys) for row in rows))


def quality(rows: Sequence[Row]) -> str:
    text = EDGES
    methods = [m for (m,) in unique(rows, "method")]
    for (scan,) in unique(rows, "scan"):
        own = [r for r in rows if r["scan"] == scan]
        counts = [c for (c,) in unique(own, "count")]
        lines = []
        for method in methods:
            cells = [method]
            for count in counts:
                here = [r for r in own if r["count"] == count]
                row = next((r for r in here if r["method"] == method), None)
                if row is None:
                    cells.append("-")
                    continue
                parts = []
                for key, best in (("oracle", max), ("recall", max), ("error", min)):
                    mark = "**" if row[key] == best(r[key] for r in here) else ""
                    parts.append(f"{mark}{row[key]:.1f}{mark}")
                exact = "" if row["found"] == count else f", {row['found']} found"
                cells.append(f"{' / '.join(parts)} ({row['largest']:.0f}{exact})")
            lines.append(cells)
        points = f"{own[0]['points']:,} points"
        text += f"**{scan}**, {points}\n\n" + table(["", *map(str, counts)], lines) + "\n"
    return text


def robustness(rows: Sequence[Row]) -> str:
    text = DENSITY
    methods = [m for (m,) in unique(rows, "method")]
    for (scan,) in unique(rows, "scan"):
        lines = []
        for (kind,) in unique([r for r in rows if r["scan"] == scan], "disturbance"):
            cells = [kind]
            for method in methods:
                row = next(
                    r
                    for r in rows
                    if (r["scan"], r["disturbance"], r["method"]) == (scan, kind, method)
                )
                change = row["after"] - row["before"]
                cells.append(f"{row['before']:.1f} -> {row['after']:.1f} ({change:+.1f})")
            lines.append(cells)
        text += f"**{scan}**\n\n" + table(["", *methods], lines) + "\n"
    return text


def agreements(rows: Sequence[Row]) -> str:
    text = UNITS
    methods = [m for (m,) in unique(rows, "method")]
    lines = []
    for (change,) in unique(rows, "change"):
        cells = [change]
        for method in methods:
            own = [r for r in rows if r["change"] == change and r["method"] == method]
            same = [r["same"] for r in own]
            cell = f"{np.mean(same):.1f} ({min(same):.1f})"
            if "best_overlap" in own[0]:
                cell += f"; one way {np.mean([r['best_overlap'] for r in own]):.1f}"
            cells.append(cell)
        lines.append(cells)
    return text + table(["", *methods], lines) + "\n"


def times(data: dict[str, Any]) -> str:
    rows = data["times"]
    ours = rows[0]["seconds"]
    text = TIME.format(cores=data["machine"]["cores"], points=rows[0]["points"])
    text += table(
        ["", "s", "of ours"],
        ([r["method"], f"{r['seconds']:.2f}", f"{r['seconds'] / ours:.2f}"] for r in rows),
    )
    text += SIZES
    lines = []
    for r in data["sizes"]:
        ratio = r["seconds"] / data["sizes"][0]["seconds"]
        line = [f"{r['points']:,}", f"{r['seconds']:.1f}", f"{ratio:.1f}"]
        lines.append([*line, f"{r['first_call_s']:.1f}", f"{r['peak_memory_mb']:,}"])
    return text + table(["points", "s", "ratio", "first call s", "peak MB"], lines) + "\n"


def colored(cloud, labels: np.ndarray):
    """Return the cloud in one colour per superpoint, shaded by its own brightness."""
    from s4token.types import PointCloud

    colors = np.random.default_rng(3).uniform(0.25, 1, (int(labels.max()) + 1, 3))
    return PointCloud(cloud.points, colors[labels].astype(np.float32))


def sheet(path: Path, panels: Sequence[tuple[str, Any, np.ndarray]], columns: int) -> None:
    """Draw clouds in the colours of their superpoints from one corner, a title above each."""
    from PIL import Image, ImageDraw

    from s4token.multiview import draw
    from s4token.render import Camera

    wide, high, strip = 560, 420, 24
    rows = -(-len(panels) // columns)
    out = Image.new("RGB", (columns * wide, rows * (high + strip)), "white")
    pen = ImageDraw.Draw(out)
    for number, (title, cloud, labels) in enumerate(panels):
        xyz = cloud.points.astype(np.float64)
        low, top = np.quantile(xyz, 0.01, axis=0), np.quantile(xyz, 0.99, axis=0)
        level = low[2] + 0.8 * (top[2] - low[2])
        seen = xyz[:, 2] < level
        size = float(np.linalg.norm(top - low))
        middle = (low + top) / 2
        eye = middle + size * np.array([-0.3, -0.5, 0.62])
        camera = Camera(eye, middle, np.array([0.0, 0.0, 1.0]), 50.0, wide, high)
        view = draw(colored(cloud, labels).select(np.flatnonzero(seen)), [camera])
        x, y = number % columns * wide, number // columns * (high + strip)
        out.paste(Image.fromarray(view.images[0]), (x, y + strip))
        pen.text((x + 8, y + 6), title, fill="black")
    out.quantize(128).save(path, optimize=True)


def pictures() -> None:
    import partition as bench
    import partition_peers as peers

    from s4token.superpoints import Superpoints
    from s4token.synthetic import room

    whole = room("living", bench.FIRST_SEED + 4, points=160_000).cloud
    base = whole.select(np.arange(0, len(whole), 4))
    ours = bench.ours
    densities = (("10,000 points", 16), ("40,000 points", 4), ("160,000 points", 1))
    panels = [
        (t, c := whole.select(np.arange(0, len(whole), k)), ours(c, COUNT)) for t, k in densities
    ]
    sheet(DOCS / "partition_density.png", panels, 3)
    scales = (("millimetres", 1000.0), ("metres", 1.0), ("kilometres", 0.001))
    panels = [(t, c := base.scaled(f), ours(c, COUNT)) for t, f in scales]
    sheet(DOCS / "partition_scale.png", panels, 3)
    rivals = {
        bench.OURS: ours,
        "FPS-Voronoi": peers.voronoi,
        "Felzenszwalb, normals": peers.Felzenszwalb(),
        "Felzenszwalb, normals + colour": peers.Felzenszwalb(1.0),
    }
    panels = [(name, base, bench.dense(method(base, COUNT))) for name, method in rivals.items()]
    sheet(DOCS / "partition_peers.png", panels, 2)
    settings = [(f"count {k}", Superpoints(k)) for k in (64, 250, 1000)]
    settings += [(f"compactness {c:g}", Superpoints(COUNT, c)) for c in (0.0, 1.0, 20.0)]
    panels = [(title, base, cut(base).labels) for title, cut in settings]
    sheet(DOCS / "partition_settings.png", panels, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-pictures", action="store_true")
    if not parser.parse_args().no_pictures:
        pictures()
    data = json.loads((ROOT / "benchmarks" / "partition.json").read_text())
    parts = [INTRO, "![one room, 250 superpoints, four partitions](partition_peers.png)\n"]
    parts += [quality(data["quality"]), robustness(data["robustness"])]
    parts += [agreements(data["agreements"]), times(data), SETTINGS]
    (DOCS / "partition.md").write_text("\n".join(part.rstrip("\n") + "\n" for part in parts))


if __name__ == "__main__":
    main()
