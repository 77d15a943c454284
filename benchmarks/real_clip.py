"""Figures with real CLIP weights, for a machine with a network: no training is involved.

    python -m benchmarks.real_clip DATA ... [--clips ViT-B-16:openai ...] [--device cuda]

DATA is what ``python -m s4token evaluate`` takes. For every CLIP and every way to text-align its
patch features the 2D teacher labels the scans (render, encode the views, lift to superpoints), and
objects are classified by the mean of the lifted features. Weights are fetched by open_clip on first
use; a tag may also be a path. Text vectors are kept in --text-folder. Results go to
benchmarks/real_clip.json, which ``python -m benchmarks.results`` turns into tables.

No figure of this kind ships with the project: no real weights could be had where it was built.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CLIPS = ("ViT-B-32:laion2b_s34b_b79k", "ViT-B-16:openai", "ViT-L-14:openai")


def measure(clip: str, dense: Any, options: argparse.Namespace) -> dict[str, list[dict]]:
    """Evaluate one CLIP with one kind of dense features on all data."""
    from s4token.backbone import FrozenCLIP
    from s4token.benchmark import evaluate, rows_json
    from s4token.datasets import open_data
    from s4token.model import S4Token
    from s4token.settings import Settings
    from s4token.text_store import TextStore
    from s4token.zero_shot import evaluate_objects, object_rows_json

    name, _, tag = clip.partition(":")
    frozen = FrozenCLIP.load(name, tag, dense=dense).to(options.device)
    frozen.text_store = TextStore(options.text_folder)
    model = S4Token(frozen).eval().to(options.device)
    data = [open_data(spec) for spec in options.data]
    how = Settings(("multiview",), limit=options.limit)
    scenes = evaluate(model, [d for d in data if d.task != "classify"], how)
    objects = evaluate_objects(model, [d for d in data if d.task == "classify"], how)
    mark = {"clip": clip, "dense": dense, "clip_sha256": frozen.identity.sha256}
    taken = lambda rows: [r | mark for r in rows if r["tokenizer"] == "multiview"]  # noqa: E731
    return {"rows": taken(rows_json(scenes)), "objects": taken(object_rows_json(objects))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every combination, writing what there is after each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="+", help="NAME:ROOT[@SPLIT], or a labelled .npz or .ply")
    parser.add_argument("--clips", nargs="+", default=CLIPS, metavar="NAME:TAG")
    parser.add_argument("--dense", nargs="+", default=("value", "self"), choices=("value", "self"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--limit", type=int, help="so many scans of each data set")
    store = Path.home() / ".cache" / "s4token" / "text"
    parser.add_argument("--text-folder", type=Path, default=store)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "real_clip.json")
    options = parser.parse_args(arguments)
    model = {"checkpoint": "no tokenizer, 2D teacher alone", "clip": "named in each row"}
    found: dict[str, Any] = {"rows": [], "objects": [], "model": model}
    for clip in options.clips:
        for dense in options.dense:
            for key, rows in measure(clip, dense, options).items():
                found[key] += rows
                for row in rows:
                    score = row.get("mIoU", row.get("top1"))
                    print(f"{clip:<32}{dense:<8}{row['data']:<20}{score:6.1f}", flush=True)
            draft = options.json.with_name(f".{options.json.name}.{os.getpid()}")
            draft.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            os.replace(draft, options.json)
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    raise SystemExit(main())
