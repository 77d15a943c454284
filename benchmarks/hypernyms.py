"""Words for many things at once, asked of composed scenes that were kept apart.

    python -m benchmarks.hypernyms BANK [CHECKPOINT ...]

BANK is a folder of scenes that no checkpoint has seen (``s4token bank`` with another --seed). Every
token is asked which word of a list fits best; the truth is what the names of its points fall under
(``s4token.hypernyms``). IoU in percent of each word over all scenes, by points, on one level of
tokens. Without CHECKPOINT the shipped one. Writes benchmarks/hypernyms.json, and docs/results.md
anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import s4token
from benchmarks import results
from s4token.bank import finished_scenes
from s4token.clip_batches import bank_names, named_tokens
from s4token.hypernyms import hypernyms
from s4token.metrics import score_of
from s4token.model import DEFAULT_CHECKPOINT
from s4token.segment import text_features

HULL = ("wall", "floor", "ceiling", "door", "window")
LISTS = (
    (*HULL, "furniture", "appliance", "clutter"),
    (*HULL, "furniture", "appliance", "object"),
    (*HULL, "chair", "table", "clutter"),
    (*HULL, "seat", "table", "bed", "storage", "appliance", "electronics", "light", "plant"),
)


def truth(words: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Return (names,) which word each falls under, itself first, or -1."""
    under = {word: {word} for word in words} | {
        word: members - set(words) for word, members in hypernyms(names).items() if word in words
    }
    return np.array([next((i for i, w in enumerate(words) if n in under[w]), -1) for n in names])


def scored(model: s4token.S4Token, paths: Sequence[Path]) -> list[results.Row]:
    """Return the IoU of every word of every list."""
    names = sorted(bank_names(paths))
    ids = {name: number for number, name in enumerate(names)}
    lists = [(words, truth(words, names), text_features(model, words)) for words in LISTS]
    counts = [np.zeros((len(words), len(words))) for words in LISTS]
    for path in paths:
        scene = named_tokens(path, "superpoint", ids)
        features = model.encode_inputs("superpoint", [scene.inputs])[1][0]
        points = scene.share * scene.points[:, None]
        for (_, under, vectors), confusion in zip(lists, counts, strict=True):
            best = (features @ torch.from_numpy(vectors).T).argmax(dim=1).numpy()
            for at in np.flatnonzero(under >= 0):
                np.add.at(confusion[under[at]], best, points[:, at])
    rows = []
    for words, confusion in zip(LISTS, counts, strict=True):
        score = score_of(
            np.stack([confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)])
        )
        row: results.Row = {"variant": ", ".join(words[len(HULL) :]), "mIoU": score.mIoU}
        rows.append(row | dict(zip(words, score.iou, strict=True)))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, print, write the JSON and the document."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bank", type=Path)
    parser.add_argument("checkpoints", nargs="*", type=Path, default=[DEFAULT_CHECKPOINT])
    options = parser.parse_args(arguments)
    paths, parts, model = finished_scenes(options.bank), {}, None
    for path in options.checkpoints:
        model = s4token.load(path)
        parts[f"{path.parent.name}/{path.name}"] = rows = scored(model, paths)
        print(json.dumps(rows, indent=1), flush=True)
    stated = f"{len(paths)} composed scenes that were kept apart; asked for {', '.join(HULL)} and:"
    return results.keep_study("hypernyms.json", model, stated, parts)


if __name__ == "__main__":
    raise SystemExit(main())
