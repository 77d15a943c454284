"""The numbers of a comparison: a row per tokenizer, as a table on the page and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

import numpy as np

import s4token
from s4token import Scan, Segmentation
from viewer.session import Layer

Row = Mapping[str, object]

COLUMNS: Mapping[str, tuple[str, str]] = {
    "tokens": ("Tokens", "{:,}"),
    "points_per_token": ("Points per token", "median {:,.0f}"),
    "coverage_percent": ("Coverage", "{:.1f}% of the points"),
    "seconds": ("Time", "{:.1f} s"),
    "labelled_percent": ("Labelled", "{:.1f}% of the points"),
    "same_label_percent": ("Same label as × 1", "{:.1f}% of the points"),
    "same_feature_cosine": ("Same features as × 1", "cosine {:.3f}"),
    "purity_percent": ("Purity", "{:.1f}%"),
    "oracle_miou_percent": ("Oracle mIoU", "{:.1f}%"),
    "boundary_recall_percent": ("Boundary recall", "{:.1f}%"),
    "prompts_miou_percent": ("mIoU of your words", "{:.1f}%"),
    "prompts_scored": ("Words that the file knows", "{}"),
}
"""Name in the CSV file, name on the page and how a value is written there."""

_partitions: WeakKeyDictionary[Layer, Row] = WeakKeyDictionary()


def against(truth: Scan | None, layer: Layer, answer: Segmentation | None) -> Row:
    """Score a tokenization, and an answer on it, against a scan's own labels; {} without any."""
    if truth is None or truth.labels is None or not (truth.labels > 0).any():
        return {}
    if layer not in _partitions:
        groups = s4token.Groups.from_labels(np.unique(layer.nearest, return_inverse=True)[1])
        score = s4token.partition_score(groups, truth.labels, truth.cloud.points)
        _partitions[layer] = {
            "purity_percent": score.purity,
            "oracle_miou_percent": score.oracle_miou,
            "boundary_recall_percent": score.boundary_recall,
        }
    return {**_partitions[layer], **({} if answer is None else prompts(truth, answer))}


def prompts(truth: Scan, answer: Segmentation) -> Row:
    """Score labels over the prompts that name a class of the scan; synonyms may name it, too.

    Points of all other classes count against a prompt that takes them.
    """
    assert truth.labels is not None
    table = np.full(len(truth.classes) + 1, len(answer.classes) + 1)
    table[0] = 0
    names = [name.casefold() for name in truth.classes]
    present = np.bincount(truth.labels, minlength=len(table)) > 0
    for label, prompt in enumerate(answer.classes, 1):
        for word in s4token.synonyms(prompt):
            for i, name in enumerate(names, 1):
                if name == word.casefold() and present[i]:
                    table[i] = label
    known = sorted(set(table[table > 0].tolist()) - {len(answer.classes) + 1})
    if not known:
        return {"prompts_scored": "none"}
    score = s4token.segmentation_score(table[truth.labels], answer.labels, len(answer.classes) + 1)
    return {
        "prompts_miou_percent": float(np.mean([score.iou[label - 1] for label in known])),
        "prompts_scored": f"{len(known)} of {len(answer.classes)}",
    }


def facts(row: Row) -> dict[str, str]:
    """Write a row for people: name and value of what it holds."""
    return {name: form.format(row[key]) for key, (name, form) in COLUMNS.items() if key in row}


def csv_text(rows: Sequence[Row]) -> str:
    """Write rows as CSV with a header; what a row lacks stays empty."""
    out = io.StringIO()
    head = ["scan", "points", "tokenizer", "units_factor", *COLUMNS]
    writer = csv.DictWriter(out, head, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
