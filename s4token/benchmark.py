"""The comparison in numbers: tokenizers, units and densities on labelled scans."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from s4token.metrics import segmentation_score
from s4token.model import S4Token
from s4token.multiview import encode_views
from s4token.segment import segment
from s4token.types import Encoding, Scan


@dataclass(frozen=True)
class Row:
    """Hold one line of the table; scores in percent over the classes present."""

    data: str
    tokenizer: str
    normalise: str
    scale: float
    density: float
    mIoU: float  # noqa: N815
    mAcc: float  # noqa: N815
    OA: float
    seconds: float


def present_classes(scan: Scan) -> Scan:
    """Return the scan with the classes that occur in it, in their order.

    Raises ValueError when it has no labels.
    """
    if scan.labels is None or not scan.labels.any():
        raise ValueError(f"{scan.name}: no labels to compare with; evaluate needs a labelled scan")
    present = np.unique(scan.labels[scan.labels > 0])
    table = np.zeros(len(scan.classes) + 1, dtype=np.int32)
    table[present] = np.arange(1, len(present) + 1)
    names = tuple(scan.classes[i - 1] for i in present)
    return replace(scan, labels=table[scan.labels], classes=names)


def thinned(scan: Scan, density: float) -> Scan:
    """Return a random share of the points, the same for the same share."""
    if not 0 < density <= 1:
        raise ValueError(f"densities: expected shares of the points in (0, 1], got {density}")
    if density == 1:
        return scan
    count = max(1, round(density * len(scan.cloud)))
    keep = np.sort(np.random.default_rng(0).permutation(len(scan.cloud))[:count])
    return replace(
        scan,
        cloud=scan.cloud.select(keep),
        labels=None if scan.labels is None else scan.labels[keep],
        instances=None,
    )


def _score(scan: Scan, labels: np.ndarray) -> dict[str, float]:
    assert scan.labels is not None
    score = segmentation_score(scan.labels, labels, len(scan.classes))
    return {"mIoU": score.mIoU, "mAcc": score.mAcc, "OA": score.OA}


def chance_rows(scan: Scan) -> list[Row]:
    """Return the lines of uniformly random labels and of the most frequent class."""
    assert scan.labels is not None
    count = len(scan.classes)
    draw = np.random.default_rng(0).integers(1, count + 1, len(scan.labels))
    most = int(np.bincount(scan.labels, minlength=count + 1)[1:].argmax()) + 1
    lines = {"random": draw, "majority": np.full(len(scan.labels), most)}
    return [
        Row(scan.name, name, "-", 1.0, 1.0, seconds=0.0, **_score(scan, labels))
        for name, labels in lines.items()
    ]


def evaluate(
    model: S4Token,
    scans: Sequence[Scan],
    *,
    tokenizers: Sequence[str] = ("superpoint", "knn", "radius"),
    scales: Sequence[float] = (1.0,),
    densities: Sequence[float] = (1.0,),
    report: Callable[[Row], object] = lambda row: None,
) -> list[Row]:
    """Segment labelled scans with the names of the classes present in each, and score them.

    tokenizers: of the model, or ``multiview`` for the 2D teacher on superpoints. The prompts are
    the class names as they stand, threshold 0, default templates. ``report`` sees rows as they
    come.
    """
    rows = []

    def add(row: Row) -> None:
        rows.append(row)
        report(row)

    for labelled in map(present_classes, scans):
        for row in chance_rows(labelled):
            add(row)
        for density in densities:
            scan = thinned(labelled, density)
            for scale in scales:
                cloud = scan.cloud.scaled(scale)
                for tokenizer in tokenizers:
                    start = time.perf_counter()
                    encoding = _encode(model, cloud, tokenizer)
                    labels = segment(model, encoding, scan.classes, threshold=0).labels
                    seconds = time.perf_counter() - start
                    normalise = (
                        "token"
                        if tokenizer == "multiview"
                        else model.tokenizations[tokenizer].normalise
                    )
                    score = _score(scan, labels)
                    add(
                        Row(
                            scan.name,
                            tokenizer,
                            normalise,
                            scale,
                            density,
                            seconds=seconds,
                            **score,
                        )
                    )
    return rows


def _encode(model: S4Token, cloud, tokenizer: str) -> Encoding:
    if tokenizer == "multiview":
        return encode_views(model.clip, cloud)
    return model.encode(cloud, tokenizer=tokenizer)


def rows_json(rows: Sequence[Row]) -> list[dict]:
    """Return rows as JSON-ready dictionaries, scores rounded to 0.01."""
    rounded = lambda v: round(v, 2) if isinstance(v, float) else v  # noqa: E731
    return [
        {k: v if k in ("scale", "density") else rounded(v) for k, v in asdict(r).items()}
        for r in rows
    ]
