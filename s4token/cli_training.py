"""The verbs of the command line that make training scenes and train."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from s4token.cli_options import TOKENIZERS, writable
from s4token.types import UNITS


def _number(kind: type, low: float, said: str) -> Any:
    """Return an argparse type: a finite number of at least ``low``."""

    def parsed(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not low <= number < 2**63:
            raise argparse.ArgumentTypeError(f"expected {said}, got {text}")
        return number

    return parsed


_at_least_one = _number(int, 1, "a whole number of at least 1")
_natural = _number(int, 0, "a whole number of at least 0")
_weight = _number(float, 0, "a weight of 0 or more")
_above_zero = _number(float, sys.float_info.min, "a number above 0")


def training_verbs(verb: Any) -> None:
    """Add the verbs that make scenes and weights."""
    sub = verb("bank", _bank, "make training scenes")
    sub.add_argument("--out", type=Path, required=True)
    _data_option(sub)
    sub.add_argument("--pack", type=Path, help="objects.npz of named objects to mix in")
    sub.add_argument("--scans", type=Path, nargs="*", default=(), help="labelled training scans")
    sub.add_argument("--scenes", type=int, default=600)
    sub.add_argument("--part", default="1/1", help="k/n: build the k-th of n parts")

    _small_clip_verbs(verb)

    sub = verb(
        "pretrain",
        _pretrain,
        "train the tokenizers through a frozen CLIP; without labels unless --alignment",
    )
    sub.add_argument("--bank", type=Path, help="folder of scenes (default: WORK/bank)")
    _data_option(sub)
    sub.add_argument("--scenes", type=_at_least_one, default=600, help="how many to make of --data")
    sub.add_argument("--clip", default="s4token-small", help="open_clip NAME:TAG")
    sub.add_argument("--tokenizers", nargs="+", choices=TOKENIZERS, default=TOKENIZERS)
    sub.add_argument("--out", type=Path, required=True)
    sub.add_argument("--work", type=Path, default=Path("runs/pretrain"), help="resumable state")
    for name in ("distillation", "masked", "clustering"):
        sub.add_argument(
            f"--{name}", type=_weight, metavar="WEIGHT", help="objective without labels"
        )
    sub.add_argument(
        "--alignment", type=_weight, metavar="WEIGHT", help="objective that reads the scenes' names"
    )
    sub.add_argument("--start", type=Path, help="tokenizers to begin with: a file, or shipped")
    sub.add_argument("--device", default="cpu", help="cpu or cuda")
    sub.add_argument("--steps", type=_at_least_one)
    sub.add_argument("--batch", type=_at_least_one, help="scenes per step")
    sub.add_argument("--lr", type=_above_zero, help="peak learning rate")
    sub.add_argument("--seed", type=_natural, help="of what every step draws (default: 0)")
    sub.add_argument("--threads", type=_at_least_one)

    sub = verb("average", _average, "average two trainings, of which one went on from the other")
    sub.add_argument("first", type=Path, help="tokenizers with their small CLIP beside them")
    sub.add_argument("second", type=Path, help="the same of a training that went on from there")
    sub.add_argument("--bank", type=Path, help="training scenes to centre estimated sizes on")
    sub.add_argument("--out", type=Path, required=True, metavar="FOLDER")


def _small_clip_verbs(verb: Any) -> None:
    sub = verb("pretrain-text", _pretrain_text, "train the text tower of the small CLIP")
    sub.add_argument("--data", type=Path, required=True, help="folder of the word lists")
    sub.add_argument("--sentences", default="", help="npz of sentence features, kept there")
    sub.add_argument("--out", type=Path, required=True)
    sub.add_argument("--work", type=Path, default=Path("runs/text"), help="resumable state")
    sub.add_argument("--steps", type=_at_least_one)
    sub.add_argument("--threads", type=_at_least_one)

    sub = verb("pretrain-clip", _pretrain_clip, "train the image tower of the small CLIP")
    sub.add_argument("--bank", type=Path, required=True)
    sub.add_argument("--pack", type=Path, required=True)
    sub.add_argument("--text", type=Path, required=True, help="trained text tower, or a small CLIP")
    sub.add_argument(
        "--go-on", action="store_true", help="begin with that small CLIP and the tokenizers beside"
    )
    sub.add_argument(
        "--growing", action="store_true", help="take in scenes that bank finishes meanwhile"
    )
    sub.add_argument("--out", type=Path, required=True)
    sub.add_argument("--work", type=Path, default=Path("runs/clip"), help="resumable state")
    sub.add_argument("--device", default="cpu", help="cpu or cuda")
    sub.add_argument("--steps", type=_at_least_one)
    sub.add_argument("--batch", type=_at_least_one, help="pictures per step")
    sub.add_argument(
        "--scenes", type=_at_least_one, help="scenes per step whose tokens the tower reads"
    )
    sub.add_argument("--lr", type=_above_zero, help="peak learning rate")
    sub.add_argument("--seed", type=_natural, help="of what every step draws (default: 0)")
    sub.add_argument("--threads", type=_at_least_one)


def _data_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--data",
        metavar="NAME:ROOT",
        help="what scenes are made of: rooms (composed), folder:PATH (crops of your scans) or a "
        "data set, see docs/datasets.md",
    )
    sub.add_argument("--unit", choices=tuple(UNITS), help="unit of --data, if it is known")


def _bar(label: str) -> Any:
    from tqdm import tqdm

    others = os.environ.get("RANK", "0") != "0"
    return lambda items: tqdm(items, desc=label, file=sys.stderr, mininterval=1, disable=others)


def _bank(options: argparse.Namespace) -> None:
    from s4token.bank import Bank, part_numbers

    numbers = part_numbers(options.scenes, options.part)
    unit = UNITS.get(options.unit)
    bank = Bank(
        options.out, options.pack, tuple(options.scans), _data(options), metres_per_unit=unit
    )
    bank.build(numbers, _bar(f"scenes {options.part}"))


def _data(options: argparse.Namespace) -> Any:
    """Open the scans of --data; None for composed rooms."""
    from s4token.datasets import open_data

    return None if options.data in (None, "rooms") else open_data(options.data)


def _begin(options: argparse.Namespace) -> None:
    """Refuse an output that could not be written hours later; use as many threads as asked."""
    import torch

    if options.out.is_dir():
        raise ValueError(f"--out: {options.out} is a folder; give a file name")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    writable(options.out)
    if options.threads:
        torch.set_num_threads(options.threads)


def _overrides(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {n: getattr(options, n) for n in names if getattr(options, n) is not None}


def _pretrain_text(options: argparse.Namespace) -> None:
    from s4token.text_pretrain import TextPretrainConfig, pretrain_text

    _begin(options)
    steps = _overrides(options, "steps")
    config = TextPretrainConfig(str(options.data), options.sentences, **steps)
    metrics = pretrain_text(config, options.out, folder=options.work, progress=_bar("text tower"))
    print(json.dumps(metrics))


def _pretrain_clip(options: argparse.Namespace) -> None:
    from s4token.clip_pretrain import ClipPretrainConfig, pretrain_clip

    _begin(options)
    config = ClipPretrainConfig(
        str(options.bank),
        str(options.pack),
        str(options.text),
        go_on=options.go_on,
        growing=options.growing,
        **_overrides(options, "steps", "batch", "scenes", "lr", "seed"),
    )
    metrics = pretrain_clip(
        config,
        options.out,
        folder=options.work,
        device=options.device,
        progress=_bar("image tower"),
    )
    if metrics:
        print(json.dumps(metrics))


def _average(options: argparse.Namespace) -> None:
    from s4token.averaging import average

    print(average(options.first, options.second, options.out, options.bank))


def _pretrain(options: argparse.Namespace) -> None:
    from s4token.bank import Bank
    from s4token.model import DEFAULT_CHECKPOINT
    from s4token.pretrain import PretrainConfig, pretrain_all
    from s4token.training import processes, wait_for_all

    _begin(options)
    if options.start == Path("shipped"):
        options.start = DEFAULT_CHECKPOINT
    if options.bank is None and options.data is None:
        raise ValueError("pretrain: say --bank FOLDER, or --data rooms, or --data folder:PATH")
    bank = options.bank or options.work / "bank"
    weights = ("distillation", "masked", "clustering", "alignment")
    config = PretrainConfig(
        start=str(options.start or ""),
        **_overrides(options, "steps", "batch", "lr", "seed", *weights),
    )
    if options.data:
        made = Bank(bank, data=_data(options), metres_per_unit=UNITS.get(options.unit))
        rank, world = processes()
        if own := range(rank, options.scenes, world):
            made.build(own, _bar("scenes"))
        wait_for_all()
    metrics = pretrain_all(
        options.clip,
        config,
        bank,
        options.tokenizers,
        options.out,
        folder=options.work,
        device=options.device,
        bar=_bar,
    )
    if processes()[0] == 0:
        print(json.dumps(metrics))
