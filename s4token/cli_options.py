"""Options that several verbs of the command line share, and what they mean."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from s4token.types import UNITS

TOKENIZERS = ("superpoint", "knn", "radius")


def model_options(sub: argparse.ArgumentParser) -> None:
    """Add what chooses the model."""
    sub.add_argument("--checkpoint", type=Path, help="trained tokenizers (default: shipped)")
    sub.add_argument("--clip", help="open_clip NAME:TAG (or :PATH) for the 2D teacher alone")
    sub.add_argument("--device", default="cpu", help="cpu or cuda")


def unit_option(sub: argparse.ArgumentParser) -> None:
    """Add what says how long a unit of the scan is."""
    sub.add_argument(
        "--unit", choices=tuple(UNITS), help="unit of the coordinates (default: estimate it)"
    )


def loaded_model(options: argparse.Namespace) -> Any:
    """Load the checkpoint, or the CLIP of --clip without any tokenizer trained for it."""
    from s4token.backbone import FrozenCLIP
    from s4token.model import S4Token, check_device, load

    if not options.clip:
        return load(options.checkpoint, options.device)
    check_device(options.device)
    clip = FrozenCLIP.load(*options.clip.partition(":")[::2])
    return S4Token(clip).eval().to(options.device)


def writable(path: Path, *suffixes: str) -> None:
    """Refuse an output that cannot be written before hours are spent on it."""
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"--out: expected a file ending in {' or '.join(suffixes)}, got {path}")
    if not path.parent.is_dir():
        raise ValueError(f"--out: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"--out: {path.parent} is not writable")
