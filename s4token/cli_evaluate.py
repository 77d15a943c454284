"""The verbs that score tokenizers on labelled data, and check data sets."""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s4token.cli_options import (
    TOKENIZERS,
    loaded_model,
    model_options,
    unit_option,
    writable,
)


def data_verbs(verb: Any) -> None:
    """Add the verbs; ``verb`` makes one."""
    sub = verb("evaluate", _evaluate, "score tokenizers on labelled scans")
    sub.add_argument("data", nargs="+", help="NAME:ROOT[@SPLIT], or a labelled .npz or .ply")
    sub.add_argument("--tokenizers", nargs="+", choices=(*TOKENIZERS, "multiview"))
    images = "posed photographs for multiview: of one scan, or a folder of each scan's name"
    sub.add_argument("--images", type=Path, metavar="FOLDER", help=images)
    sub.add_argument("--normalise", nargs="+", choices=("none", "token"), default=(None,))
    sub.add_argument("--scales", nargs="+", type=float, default=(1.0,))
    sub.add_argument("--densities", nargs="+", type=float, default=(1.0,))
    sub.add_argument(
        "--probe",
        nargs="+",
        choices=("linear", "prototype"),
        default=(),
        help="learn a classifier of frozen features instead of asking by words",
    )
    sub.add_argument("--train", nargs="+", default=(), help="what a probe learns from, as data")
    sub.add_argument(
        "--shots",
        nargs="+",
        type=_shots,
        default=(1, 2, 4, 8, 16, None),
        metavar="K",
        help="examples per class, or 'all' (default: 1 2 4 8 16 all)",
    )
    sub.add_argument("--seeds", type=int, default=5, help="draws of the shots (default: 5)")
    unit_option(sub)
    sub.add_argument(
        "--join", nargs="+", default=(), metavar="A|B", help="names that count as one class"
    )
    sub.add_argument("--limit", type=int, help="so many scans of a data set, evenly spread")
    sub.add_argument("--json", type=Path, help="write the rows here")
    sub.add_argument("--verbose", action="store_true", help="name each scan as its turn comes")
    model_options(sub)

    sub = verb("check", _check, "say what is missing of a data set")
    sub.add_argument("data", nargs="+", help="NAME:ROOT or NAME:ROOT@SPLIT, see docs/datasets.md")


def _evaluate(options: argparse.Namespace) -> None:
    from s4token.datasets import joined, open_data
    from s4token.io import replacing, target

    logging.getLogger("s4token").setLevel(logging.INFO if options.verbose else logging.WARNING)
    if options.train and not options.probe:
        raise ValueError("--train: only a probe learns; add --probe linear")
    data = joined([open_data(name) for name in (*options.data, *options.train)], options.join)
    data, learnt = data[: len(options.data)], data[len(options.data) :]
    if options.json:
        writable(options.json, ".json")
    if options.tokenizers is None:
        options.tokenizers = ("multiview",) if options.images else TOKENIZERS
    if options.clip and set(options.tokenizers) != {"multiview"}:
        raise ValueError("--clip: no tokenizer is trained for it; add --tokenizers multiview")
    how = _how(options)
    train = _learnt_from(data, learnt, bool(options.probe))
    how[0].check([*data, *itertools.chain(*train.values())])
    model = loaded_model(options)
    print(
        f"{'data':<16}{'tokenizer':<12}{'coords':<8}{'scale':>8}{'density':>8}  scores in percent"
    )
    rows, objects = _scores(model, data, train, how)
    if options.json:
        load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
        machine = {"device": options.device, "cores": os.cpu_count(), "load_average": load}
        found = {"rows": rows, "objects": objects, "model": model.description, "machine": machine}
        with replacing(target(options.json)) as drafts:
            drafts[0].write_text(json.dumps(found, indent=1) + "\n")


def _how(options: argparse.Namespace) -> list[Any]:
    """Return the settings, and with --probe what is learnt."""
    from s4token.probes import Probing
    from s4token.settings import Settings

    names = ("tokenizers", "normalise", "scales", "densities", "limit", "images", "unit")
    settings = Settings(**{name: getattr(options, name) for name in names})
    probing = [Probing(options.probe, options.shots, options.seeds)] if options.probe else []
    return [settings, *probing]


def _learnt_from(data: Any, learnt: Any, probes: bool) -> Any:
    """Return the data sets that probes learn from, by task, checked before hours are spent."""
    from s4token.few_shot import apart

    train = {t: [d for d in learnt if d.task == t] for t in ("segment", "classify", "parts")}
    for entry in data if probes else ():
        apart(entry, train[entry.task])
    return train


def _scores(model: Any, data: Any, train: Any, how: Sequence[Any]) -> tuple[list[dict], list[dict]]:
    """Return the rows of scans and of shapes: by words, or by probes that learn from --train."""
    from s4token.benchmark import evaluate, rows_json
    from s4token.few_shot import probe_objects, probe_scans
    from s4token.zero_shot import evaluate_objects, object_rows_json

    shapes = [d for d in data if d.task == "classify"]
    scenes = [d for d in data if d.task != "classify"]
    if len(how) == 1:
        rows = evaluate(model, scenes, *how, report=_print_row)
        objects = evaluate_objects(model, shapes, *how, report=_print_row)
    else:
        rows = probe_scans(model, scenes, train["segment"], *how, report=_print_row)
        objects = probe_objects(model, shapes, train["classify"], *how, report=_print_row)
    return rows_json(rows), object_rows_json(objects)


def _shots(text: str) -> int | None:
    """Read a number of examples, or ``all``."""
    if text == "all":
        return None
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, or 'all', got '{text}'")
    return int(text)


def _print_row(row: Any) -> None:
    scores = [(n, getattr(row, n, None)) for n in ("mIoU", "top1", "top5", "mAcc", "OA", "mAP")]
    extra = ("foreground_mIoU", "instance_mIoU")
    scores += [(n.split("_")[0], row.stated.get(n)) for n in extra]
    text = "  ".join(f"{name} {value:.1f}" for name, value in scores if value is not None)
    key = f"{row.data:<15} {row.tokenizer:<12}{row.normalise:<8}{row.scale:>8g}{row.density:>8g}"
    if "probe" in row.stated:
        key += f"  {row.stated['probe']}, shots {row.stated['shots']}:"
    print(f"{key}  {text}", flush=True)


def _check(options: argparse.Namespace) -> None:
    from s4token.datasets import open_data

    for spec in options.data:
        scans = open_data(spec)
        missing = list(scans.missing())
        for path in missing[1:20]:
            print(f"missing: {path}")
        if missing:
            files = f"{len(missing):,} files of {len(scans):,} scans"
            raise ValueError(
                f"{scans.spec}: {files} are missing or empty; the first is {missing[0]}"
            )
        short = scans.published is not None and len(scans) < scans.published
        print(
            f"{scans.spec}: {scans.split}, {len(scans):,} scans, no file is missing"
            + (f" of those that are there, but {scans.published:,} were published" if short else "")
        )
