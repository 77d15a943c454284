"""Listing, checking and reading a tree as large as ScanNet: seconds, and memory that stays put.

    python -m benchmarks.readers [--scans 1513] [--read 200] [--json benchmarks/readers.json]

The tree is synthetic: two scans of ScanNet's size (150,000 vertices, 300,000 triangles), each in
its four files, hard-linked under all names. So reading speed is that of files in the page cache.
Of resident memory, what was there before the first scan is the interpreter's and its libraries'.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VERTICES, TRIANGLES = 150_000, 300_000


def tree(root: Path, count: int, *, vertices: int = VERTICES, triangles: int = TRIANGLES) -> None:
    """Write a ScanNet of ``count`` scans."""
    from tests import trees

    names = [f"scene{i // 2:04}_{i % 2:02}" for i in range(count)]
    trees.scannet(root, names=names[:2], count=vertices, faces=triangles)
    for number, name in enumerate(names[2:]):
        source, place = root / "scans" / names[number % 2], root / "scans" / name
        place.mkdir()
        for path in source.iterdir():
            os.link(path, place / path.name.replace(source.name, name))


def _resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def measure(root: Path, read: int) -> dict[str, Any]:
    """List and check all folders of the tree and read some scans, one after the other."""
    from s4token.datasets.scannet import scannet

    clock, cpu = time.perf_counter, time.process_time
    start, busy = clock(), cpu()
    scans = scannet(root, "all")
    listed, busy_listed = clock() - start, cpu() - busy
    start = clock()
    missing = len(list(scans.missing()))
    checked = clock() - start
    points, memory, start = 0, [round(_resident_mb())], clock()
    for scan in scans[:read]:
        points += len(scan.cloud)
        memory.append(round(_resident_mb()))
    seconds = clock() - start
    return {
        "scans": len(scans),
        "missing": missing,
        "list_s": round(listed, 3),
        "list_cpu_s": round(busy_listed, 3),
        "check_s": round(checked, 2),
        "read": read,
        "points": points,
        "read_s_per_scan": round(seconds / read, 2),
        "resident_mb": {str(i): memory[i] for i in sorted({0, 1, 2, 10, 50, read}) if i <= read},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the tree in a temporary folder, measure, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scans", type=int, default=1513)
    parser.add_argument("--read", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        tree(Path(folder), options.scans)
        found = measure(Path(folder), options.read)
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    found["machine"] = {"cores": os.cpu_count(), "load_average": load}
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    raise SystemExit(main())
