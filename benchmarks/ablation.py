"""What each part of the recipe is worth: groups, coordinates, objectives.

    python -m benchmarks.ablation SCAN [SCAN ...] --bank runs/bank [--steps 150] [--seeds 0 1]

Every variant trains a tokenizer from random weights through the shipped, frozen CLIP, with the same
scenes, steps and seeds; then it is scored on scenes that were kept apart and on labelled scans.
Far fewer steps than the shipped checkpoint had: the table says which part matters, not how good the
product is. Writes benchmarks/ablation.json, and
docs/results.md anew; a part made by itself goes into a file of its own (--parts objectives --json
benchmarks/ablation_objectives.json).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import s4token
from benchmarks import results
from s4token.bank import add_tokens, held_scenes
from s4token.benchmark import present_classes
from s4token.clip_batches import bank_names, named_tokens
from s4token.clip_pretrain import name_vectors, token_score
from s4token.grouping import KNN, Radius
from s4token.io import read_scan
from s4token.lessons import teach
from s4token.metrics import segmentation_score
from s4token.model import TOKENIZATIONS, S4Token, Tokenization
from s4token.pretrain import PretrainConfig, pretrain
from s4token.superpoints import Superpoints
from s4token.tokenizer import Tokenizer
from s4token.types import PointCloud, Scan

TOKENS = {
    "superpoint": "superpoints, normalised",
    "superpoint-unsized": "superpoints, normalised, size never known",
    "superpoint-metric": "superpoints, metric",
    "knn-normalised": "kNN, normalised",
    "knn": "kNN, metric",
    "radius-normalised": "radius, normalised",
    "radius": "radius, metric",
}


@dataclass(frozen=True)
class Unsized(Tokenization):
    """Tokens that neither estimate nor are told their size in metres."""

    def tokenizer(self, width: int) -> Tokenizer:
        return Tokenizer(width, sized=False)


MORE = {
    "superpoint-unsized": Unsized(Superpoints(512), "token"),
    "superpoint-metric": Tokenization(Superpoints(512), "none"),
    "knn-normalised": Tokenization(KNN(512, 32), "token"),
    "radius-normalised": Tokenization(Radius(512, 0.2, 32), "token"),
}
"""What the recipe does not train."""
OBJECTIVES: dict[str, dict[str, float]] = {
    "distillation": {},
    "distillation, masked modelling": {"masked": 0.5},
    "distillation, clustering": {"clustering": 0.5},
    "distillation, masked modelling, clustering": {"masked": 0.5, "clustering": 0.5},
    "alignment with names": {"distillation": 0.0, "alignment": 1.0},
    "alignment with names, distillation": {"distillation": 0.2, "alignment": 1.0},
}
SCALES = (0.01, 1.0, 100.0)
PARTS = ("tokens", "objectives")
Row = dict[str, Any]


def on_scans(model: S4Token, tokenizer: str, scans: Sequence[Scan], scales: Sequence[float]) -> Row:
    """Return every scan's mIoU in its own unit, not told and told; of several, mean over scales."""
    out: Row = {}
    for scan in scans:
        found = [_score(model, tokenizer, scan, scan.cloud.scaled(s)) for s in scales]
        out[f"{scan.name} mIoU"] = found[list(scales).index(1.0)]
        learned = model.learned[tokenizer]
        if isinstance(learned, Tokenizer) and learned.size is not None:
            told = replace(scan.cloud, metres_per_unit=1.0)
            out[f"{scan.name} mIoU, told metres"] = _score(model, tokenizer, scan, told)
        if len(scales) > 1:
            out[f"{scan.name} mIoU over scales"] = float(np.mean(found))
    return out


def _score(model: S4Token, tokenizer: str, scan: Scan, cloud: PointCloud) -> float:
    assert scan.labels is not None
    encoding = model.encode(cloud, tokenizer=tokenizer)
    labels = s4token.segment(model, encoding, scan.classes, threshold=0).labels
    return segmentation_score(scan.labels, labels, len(scan.classes)).mIoU


def on_scenes(model: S4Token, tokenizer: str, held: Sequence[Path], names: Sequence[str]) -> Row:
    """Return mean mIoU and OA of the tokens of scenes that were kept apart."""
    ids = {name: number for number, name in enumerate(names)}
    words = name_vectors(model.clip, names)
    scores = []
    for path in held:
        scene = named_tokens(path, tokenizer, ids)
        features = model.encode_inputs(tokenizer, [scene.inputs])[1][0]
        scores.append(token_score(features @ words.T, scene))
    return {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}


class Study:
    """Hold what all variants share: scenes, teacher, scans, steps."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.clip = s4token.load().clip
        self.paths = sorted(options.bank.glob("scene-*.npz"))[: options.scenes]
        for path in _said(self.paths, "tokens"):
            add_tokens(path)
        self.taught = teach(
            self.clip, self.paths, options.work / "teacher", lambda paths: _said(paths, "teacher")
        )
        held = held_scenes(self.paths, PretrainConfig().held_out)
        self.held = [path for path, out in zip(self.paths, held, strict=True) if out]
        self.names = sorted(bank_names(self.paths))
        self.scans = [present_classes(read_scan(path)) for path in options.scans]

    def trained(self, tokenizer: str, weights: Mapping[str, float], scales: Sequence[float]) -> Row:
        """Train one variant with every seed; return mean scores, and of several their spread."""
        rows = []
        for seed in self.options.seeds:
            config = PretrainConfig(steps=self.options.steps, seed=seed, **weights)  # pyright: ignore[reportArgumentType]
            slug = "-".join([tokenizer, *(f"{k}{v}" for k, v in weights.items()), str(seed)])
            begun = time.process_time()
            model, metrics = pretrain(
                self.clip,
                config,
                self.paths,
                self.taught,
                tokenizer,
                folder=self.options.work / slug,
                progress=partial(_said, label=slug),
            )
            row = {"cpu_s": time.process_time() - begun}
            row |= {k: metrics[k] for k in ("teacher_cosine", "token_cosine")}
            row |= on_scenes(model, tokenizer, self.held, self.names)
            rows.append(row | on_scans(model, tokenizer, self.scans, scales))
        found: Row = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        if len(rows) > 1:
            spread = {key: float(np.std([row[key] for row in rows], ddof=1)) for key in found}
            found["spread"] = spread
        return found

    def tokens(self) -> Iterator[Row]:
        """Compare groups and coordinates, aligned with names alone: no teacher has a say."""
        for tokenizer, variant in TOKENS.items():
            weights = OBJECTIVES["alignment with names"]
            yield {"variant": variant} | self.trained(tokenizer, weights, SCALES)

    def objectives(self) -> Iterator[Row]:
        """Compare objectives on superpoint tokens."""
        for variant, weights in OBJECTIVES.items():
            yield {"variant": variant} | self.trained("superpoint", weights, (1.0,))


def _said(items: Iterable, label: str) -> Iterator:
    from tqdm import tqdm

    return iter(tqdm(items, desc=label, file=sys.stderr))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, part by part; write the JSON after each, and the document at the end."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scans", nargs="+", type=Path, help="labelled .npz or .ply")
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--json", type=Path, default=results.HERE / "ablation.json")
    options = parser.parse_args(arguments)
    TOKENIZATIONS.update(MORE)
    study = Study(options)
    stated = {"scenes": len(study.paths), "held_out": len(study.held), "steps": options.steps}
    found: dict[str, Any] = {"model": s4token.load().description, "ablation": {}}
    found["stated"] = stated | {"seeds": options.seeds, "scales": SCALES}
    for part in options.parts:
        found["ablation"][part] = []
        for row in getattr(study, part)():
            print(json.dumps(row), flush=True)
            found["ablation"][part].append(row)
            found["machine"] = results.machine()
            draft = options.json.with_name(f".{options.json.name}.{os.getpid()}")
            draft.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            draft.replace(options.json)
    return results.main([])


if __name__ == "__main__":
    raise SystemExit(main())
