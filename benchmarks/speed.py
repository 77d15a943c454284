"""Time and memory of the whole line on one scan: read, partition, encode, prompt.

    python benchmarks/speed.py SCAN [SCAN ...] [--json benchmarks/speed.json]

Every scan runs in a process of its own. Start-up (imports, checkpoint, compiled kernels from their
cache) is timed apart; peak memory is the process's own maximum resident set.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def measure(scan: str) -> dict:
    """Run the line once on a small cloud to start up, then on the scan."""
    start = time.perf_counter()
    sys.path.insert(0, str(ROOT))
    import s4token

    model = s4token.load()
    warm = s4token.room("office", 0, points=5_000).cloud
    s4token.segment(model, model.encode(warm), ["chair"])
    started = time.perf_counter()
    cloud = s4token.read(scan)
    read = time.perf_counter()
    encoding = model.encode(cloud)
    encoded = time.perf_counter()
    s4token.segment(model, encoding, ["chair", "table"])
    first = time.perf_counter()
    prompts = []
    for word in ("sofa", "lamp", "banana", "picture frame", "cracker box"):
        begin = time.perf_counter()
        s4token.segment(model, encoding, ["chair", "table", word])
        prompts.append(1000 * (time.perf_counter() - begin))
    return {
        "scan": Path(scan).name,
        "points": len(cloud),
        "tokens": len(encoding.groups),
        "start_up_s": round(started - start, 2),
        "read_s": round(read - started, 2),
        **{f"{k}_s": round(v, 2) for k, v in encoding.seconds.items()},
        "read_to_encoded_s": round(encoded - started, 2),
        "first_prompt_ms": round(1000 * (first - encoded)),
        "further_prompt_ms": round(statistics.median(prompts)),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", nargs="+")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.scans[0])))
        return
    rows = []
    for scan in options.scans:
        command = [sys.executable, __file__, scan, "--one"]
        rows.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
        print(json.dumps(rows[-1]), flush=True)
    if options.json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
