"""Time and memory on a GPU: a million points into tokens, the 2D teacher, the shipped model.

    python -m benchmarks.gpu [--device cuda] [--json benchmarks/gpu.json]

Nothing is fetched: the large CLIPs have open_clip's architectures and random weights. Their
features mean nothing; seconds and memory are those of any weights. Kernels are compiled first,
untimed. Also runs on a CPU (``--device cpu``, with fewer points).
Writes the JSON, and docs/results.md anew where the JSON is the one beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import results
from s4token.backbone import FrozenCLIP, build
from s4token.describe import TokenInputs, describe_levels
from s4token.io import read, write
from s4token.model import LEVELS, S4Token, load
from s4token.multiview import VIEWS, encode_views
from s4token.propagation import regroup
from s4token.resources import measured
from s4token.superpoints import LARGEST_CLOUD
from s4token.synthetic import room
from s4token.types import PointCloud

CLIPS = ("ViT-B-16", "ViT-L-14")
TOKENS = 1024
WEIGHTS = "random, but for s4token-small's; only time and memory are measured"
Row = dict[str, Any]


def random_model(name: str, device: str) -> S4Token:
    """Build an untrained model through a CLIP of random weights."""
    import open_clip

    with torch.device(device):
        clip = build(open_clip.get_model_config(name) or {})
    frozen = FrozenCLIP(clip, open_clip.get_tokenizer(name), name=name, tag="random")
    return S4Token(frozen).eval().requires_grad_(False).to(device)


def grouped(
    model: S4Token, tokenizer: str, cloud: PointCloud, tokens: int
) -> tuple[Row, list[TokenInputs]]:
    """Time what an encoding does on the CPU, for any CLIP alike; return also all levels' inputs."""
    grouping = model.grouping(tokenizer, tokens)
    normalise = model.tokenizations[tokenizer].normalise
    clock = [time.perf_counter()]
    levels = grouping.levels(cloud, [round(level * tokens) for level in LEVELS])
    clock.append(time.perf_counter())
    inputs = describe_levels(cloud, levels, normalise)
    clock.append(time.perf_counter())
    for level in levels[1:]:
        regroup(cloud, np.zeros((len(level), model.clip.embed_dim)), level, levels[0])
    clock.append(time.perf_counter())
    seconds = np.diff(clock).round(3).tolist()
    stages = ("grouping_s", "describing_s", "averaging_s")
    row = {"tokenizer": tokenizer, "points": len(cloud), "tokens": [len(level) for level in levels]}
    return row | dict(zip(stages, seconds, strict=True)), inputs


def through(model: S4Token, tokenizer: str, inputs: Sequence[TokenInputs]) -> list[torch.Tensor]:
    """Return unit features of every level, on the CPU."""
    rows = [model.encode_inputs(tokenizer, [level])[1][0].float() for level in inputs]
    return [torch.nn.functional.normalize(row, dim=-1).cpu() for row in rows]


def transformed(
    model: S4Token, tokenizer: str, inputs: Sequence[TokenInputs], repeats: int
) -> list[Row]:
    """Time tokenizer and transformer on all levels, in float32 and in bfloat16."""
    device, features, rows = model.clip.device, {}, []
    for precision, half in (("float32", False), ("bfloat16", True)):
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            features[precision] = torch.cat(through(model, tokenizer, inputs))
            costs = []
            for _ in range(repeats):
                with measured(device) as cost:
                    through(model, tokenizer, inputs)
                costs.append(cost)
        cosine = (features["float32"] * features[precision]).sum(dim=-1)
        rows.append(
            {
                "clip": model.clip.name,
                "tokenizer": tokenizer,
                "precision": precision,
                "transformer_s": round(statistics.median(c.seconds for c in costs), 4),
                "peak_mb": round(max(c.peak_mb for c in costs)),
                "weights_mb": weights_mb(model),
                "least_cosine": round(float(cosine.min()), 6),
            }
        )
    return rows


def weights_mb(model: S4Token) -> int:
    """Return what the weights take, CLIP's words included."""
    return round(sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20)


def looked_at(clip: FrozenCLIP, cloud: PointCloud, repeats: int, views: int = VIEWS) -> Row:
    """Time the multi-view engine: the median run of some, after one that does not count."""
    encode_views(clip, cloud, views=views)
    runs = []
    for _ in range(repeats):
        with measured(clip.device) as cost:
            seconds = encode_views(clip, cloud, views=views).seconds
        runs.append((cost, seconds))
    cost, seconds = sorted(runs, key=lambda run: run[0].seconds)[len(runs) // 2]
    return {
        "clip": clip.name,
        "points": len(cloud),
        "views": views,
        **{f"{stage}_s": round(s, 3) for stage, s in seconds.items()},
        "total_s": round(cost.seconds, 3),
        "peak_mb": round(max(run[0].peak_mb for run in runs)),
    }


def shipped(cloud: PointCloud, devices: Sequence[str], folder: Path) -> list[Row]:
    """Time reading, partition and encoding by the shipped model on each device, from a PLY."""
    path, rows, first = folder / "scan.ply", [], None
    write(path, cloud)
    for device in devices:
        model = load(device=device)
        model.encode(room("office", 0, points=20_000).cloud)
        start = time.perf_counter()
        scan = read(path)
        seconds = time.perf_counter() - start
        with measured(model.clip.device) as cost:
            encoding = model.encode(scan)
        first = encoding.features if first is None else first
        rows.append(
            {
                "device": device,
                "points": len(scan),
                "tokens": len(encoding.groups),
                "read_s": round(seconds, 3),
                **{f"{stage}_s": round(s, 3) for stage, s in encoding.seconds.items()},
                "total_s": round(seconds + cost.seconds, 3),
                "peak_mb": round(cost.peak_mb),
                "least_cosine": round(float((first * encoding.features).sum(axis=1).min()), 6),
            }
        )
    return rows


def measure(
    clips: Sequence[str], device: str, *, points: int, room_points: int, tokens: int, repeats: int
) -> Row:
    """Measure everything, through the shipped model first, saying each row as it comes."""
    large = room("office", 1, points=points).cloud
    small = room("office", 0, points=room_points).cloud
    warm_up(large, device)
    start = time.perf_counter()
    found: Row = {"weights": WEIGHTS, "repeats": repeats}
    found |= {key: [] for key in ("grouped", "transformed", "multiview", "shipped")}

    def add(key: str, rows: Sequence[Row]) -> None:
        found[key] += rows
        for row in rows:
            print(f"{key:<12}{json.dumps(row)}", flush=True)

    inputs: dict[str, list[TokenInputs]] = {}
    for name in (None, *clips):
        model = random_model(name, device) if name else load(device=device)
        for tokenizer in model.tokenizers:
            if tokenizer not in inputs:
                row, inputs[tokenizer] = grouped(model, tokenizer, large, tokens)
                add("grouped", [row])
            add("transformed", transformed(model, tokenizer, inputs[tokenizer], repeats))
        add("multiview", [looked_at(model.clip, small, repeats)])
        del model
        if torch.device(device).type == "cuda":
            torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory() as folder:
        for cloud in (small, large):
            add("shipped", shipped(cloud, list(dict.fromkeys(("cpu", device))), Path(folder)))
    return found | {"wall_s": round(time.perf_counter() - start, 1)}


def warm_up(cloud: PointCloud, device: str) -> None:
    """Compile what is compiled but once, on so much of a cloud that a large one is thinned too."""
    model, start = load(device=device), time.perf_counter()
    cloud = cloud.select(np.arange(min(len(cloud), LARGEST_CLOUD + 1)))
    for tokenizer in model.tokenizers:
        model.encode(cloud, tokenizer=tokenizer, count=8)
    encode_views(model.clip, cloud.select(np.arange(0, len(cloud), 50)), views=4)
    print(f"compiled in {time.perf_counter() - start:.1f} s", flush=True)


def machine(device: str) -> Row:
    """Say what ran it."""
    on_gpu = torch.device(device).type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else device
    return results.machine(name) | {"torch": torch.__version__}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the JSON; the document too where it is the one beside this file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--clips", nargs="+", default=CLIPS, metavar="NAME")
    parser.add_argument("--points", type=int, default=1_000_000, help="of the scan that is encoded")
    parser.add_argument("--room-points", type=int, default=200_000, help="of the room looked at")
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=results.HERE / "gpu.json")
    options = vars(parser.parse_args(arguments))
    out, device = options.pop("json"), options["device"]
    print(f"weights: {WEIGHTS}", flush=True)
    found = measure(**options) | {"machine": machine(device)}
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    draft.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    os.replace(draft, out)
    return results.main([]) if out.parent == results.HERE else 0


if __name__ == "__main__":
    sys.path.insert(0, str(results.HERE.parent))
    raise SystemExit(main())
