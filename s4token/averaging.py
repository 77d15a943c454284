"""The average of two trainings, weight by weight, where one went on from the other.

What holds outside the training rooms differs between the two ends of a training and what they
learned of rooms does not; the middle keeps more of the former. Source: Wortsman et al., model soups
(ICML 2022) and robust fine-tuning (CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from s4token import checkpoint
from s4token.backbone import SMALL_NAME, ClipIdentity
from s4token.clip_batches import named_tokens
from s4token.model import load
from s4token.tokenizer import Tokenizer, collate


def average(first: Path, second: Path, folder: Path, bank: Path | None = None) -> Path:
    """Average two checkpoints of tokenizers and the small CLIPs beside them; return the new one.

    first, second: tokenizers of the same kinds; the recipes of both go into the header of the
    result, whose agreement with a teacher is not measured. folder: another than theirs. bank:
    training scenes to centre the estimate of sizes on, which the average of two networks has off
    by a factor. Both files are written, or none. Raises FileNotFoundError or ValueError naming the
    file when one is missing or has other weights, and ValueError for a bank without scenes.
    """
    if folder.resolve() in (first.parent.resolve(), second.parent.resolve()):
        raise ValueError(f"--out {folder}: holds what is averaged; name another folder")
    paths = sorted(bank.glob("scene-*.npz")) if bank else []
    if bank and not paths:
        raise ValueError(f"{bank}: no scene-*.npz; build the bank first")
    states, header = _both(first, second, "tokenizers")
    clips = []
    for path in (first, second):
        clip = checkpoint.read_header(path)["clip"]
        if clip["name"] != SMALL_NAME:
            raise ValueError(f"{path}: trained through {clip['name']}; only a small CLIP changes")
        clips.append(path.parent / clip["tag"])
    towers, of_clip = _both(clips[0], clips[1], "clip")
    small, out = folder / clips[1].name, folder / second.name
    tower, state = _mean(*towers), _mean(*states)
    if paths:
        learned = load(second).learned
        checkpoint.load_into(learned, state, source=str(out))
        centre_sizes(learned, paths[:: max(1, len(paths) // 200)])
        state = learned.state_dict()
    identity = ClipIdentity(SMALL_NAME, small.name, checkpoint.weights_sha256(tower)).as_dict()
    checkpoint.save_all(
        checkpoint.Saving(small, tower, "clip", of_clip),
        checkpoint.Saving(out, state, "tokenizers", header | {"clip": identity}),
    )
    return out


@torch.no_grad()
def centre_sizes(learned: nn.ModuleDict, paths: Sequence[Path]) -> None:
    """Shift what tokenizers estimate of sizes, so that half of these scenes are taken too small."""
    for name, tokenizer in learned.items():
        if not isinstance(tokenizer, Tokenizer) or tokenizer.size is None:
            continue
        scenes = (named_tokens(path, name, {}).inputs for path in paths)
        apart = [float(tokenizer(*collate([s]))[1]) - float(np.log(s.pitch)) for s in scenes]
        vote = tokenizer.size.vote[-1]
        assert isinstance(vote, nn.Linear)
        vote.bias[0] -= float(np.nanmedian(apart))


def _both(
    first: Path, second: Path, kind: checkpoint.Kind
) -> tuple[list[dict[str, torch.Tensor]], dict[str, Any]]:
    """Return the weights of both, and the second's header with the first one's recipe in it."""
    (one, of_one), (other, of_other) = (checkpoint.load(p, kind=kind) for p in (first, second))
    shapes = [{name: weight.shape for name, weight in state.items()} for state in (one, other)]
    if shapes[0] != shapes[1] or of_one.get("tokenizers") != of_other.get("tokenizers"):
        raise ValueError(f"{second}: other weights than in {first}; there is no average of them")
    kept = {k: v for k, v in of_other.items() if k not in ("format", "kind", "metrics")}
    recipes = [header.get("recipe", {}) for header in (of_other, of_one)]
    kept["recipe"] = recipes[0] | {"averaged_with": recipes[1]}
    if kind == "tokenizers":
        kept["recipe"]["label_free"] = all(r.get("label_free") for r in recipes)
    return [one, other], kept


def _mean(
    first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    return {
        name: (weight + second[name]) / 2 if weight.is_floating_point() else second[name]
        for name, weight in first.items()
    }
