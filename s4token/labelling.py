"""What is said about every point of a scan: the value that label files hold, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from s4token.types import UNLABELLED, PointCloud, Segmentation

_LARGEST = np.iinfo(np.int32).max


def _whole(name: str, values: Any, count: int | None = None) -> np.ndarray:
    """Return a read-only (N,) int32 column of values >= 0, or raise ValueError naming it."""
    column = np.asarray(values)
    if column.ndim != 1 or column.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: expected one whole number per point, got {column.dtype} {column.shape}"
        )
    if count is not None and len(column) != count:
        raise ValueError(f"{name}: expected {count:,} values, one per point, got {len(column):,}")
    if column.size and (column.min() < 0 or column.max() > _LARGEST):
        raise ValueError(
            f"{name}: expected 0 .. {_LARGEST:,}, got {column.min():,} .. {column.max():,}"
        )
    column = np.ascontiguousarray(column, dtype=np.int32).view()
    column.flags.writeable = False
    return column


@dataclass(frozen=True, eq=False)
class Labelling:
    """Hold what is said about N points, as label files do: a ``Segmentation`` without scores.

    labels: (N,) int32, 0 = unlabelled, i = ``classes[i - 1]``; classes: names, each once.
    superpoints: (N,) int32 ids from 0, or None; instances: (N,) int32, 0 = none, or None.
    confidence: (N,) float32 in [0, 1], or None; provenance: where it came from, JSON-ready.

    Raises ValueError naming the field that is wrong.
    """

    labels: Int[np.ndarray, "N"]
    classes: tuple[str, ...]
    superpoints: Int[np.ndarray, "N"] | None = None
    instances: Int[np.ndarray, "N"] | None = None
    confidence: Float[np.ndarray, "N"] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        put = object.__setattr__
        classes = tuple(self.classes)
        if not all(isinstance(name, str) and name for name in classes):
            raise ValueError("classes: expected a name, one character at least, for each")
        if len(set(classes)) < len(classes):
            twice = next(name for name in classes if classes.count(name) > 1)
            raise ValueError(f"classes: {twice!r:.80} stands twice")
        put(self, "classes", classes)
        labels = _whole("labels", self.labels)
        unknown = labels > len(classes)
        if unknown.any():
            raise ValueError(
                f"labels: {labels[unknown][0]} in {int(unknown.sum()):,} points has no name; "
                f"there are {len(classes)} classes"
            )
        put(self, "labels", labels)
        for name in ("superpoints", "instances"):
            if (column := getattr(self, name)) is not None:
                put(self, name, _whole(name, column, len(labels)))
        if self.confidence is not None:
            confidence = np.array(self.confidence, dtype=np.float32)
            if confidence.shape != labels.shape:
                raise ValueError(
                    f"confidence: expected {len(labels):,} values, got {confidence.shape}"
                )
            if not ((confidence >= 0) & (confidence <= 1)).all():
                raise ValueError("confidence: expected values in [0, 1]")
            confidence.flags.writeable = False
            put(self, "confidence", confidence)

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(
        cls, segmentation: Segmentation, instances: Int[np.ndarray, "N"] | None = None
    ) -> Labelling:
        """Take labels, superpoints and confidence of an answer, and instances where there are."""
        return cls(
            segmentation.labels,
            segmentation.classes,
            segmentation.superpoints,
            instances,
            segmentation.confidence,
            segmentation.provenance,
        )

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """What is known per point under the names that files use: label, instance, ..."""
        named = {
            "label": self.labels,
            "instance": self.instances,
            "superpoint": self.superpoints,
            "confidence": self.confidence,
        }
        return {name: values for name, values in named.items() if values is not None}

    @property
    def about(self) -> dict[str, Any]:
        """What is known as a whole, ready for JSON: the name of each label, the provenance."""
        provenance = json.dumps(
            dict(self.provenance),
            default=lambda v: v.tolist() if isinstance(v, np.ndarray | np.generic) else str(v),
        )
        labels = {str(i): name for i, name in enumerate(self.classes, start=1)}
        return {"labels": labels, "provenance": json.loads(provenance)}

    @property
    def legend(self) -> dict[str, Any]:
        """``about`` with the points of each class, as it stands beside a file of points.

        Points without a class are counted as "unlabelled", or "unlabelled points" where a class
        is called so.
        """
        counts = np.bincount(self.labels, minlength=len(self.classes) + 1).tolist()
        about = self.about
        named = dict(zip(self.classes, counts[1:], strict=True))
        none = "unlabelled"
        while none in named:
            none += " points"
        named[none] = counts[UNLABELLED]
        return {
            "labels": about["labels"],
            "counts": named,
            "points": len(self),
            "provenance": about["provenance"],
        }


def legend_text(legend: Mapping[str, Any]) -> bytes:
    """Return a legend as the bytes of a JSON file."""
    return (json.dumps(legend, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "replace")


def names_of(about: Mapping[str, Any]) -> dict[int, str]:
    """Return the name of each label of ``about``, or {} where it has none.

    Raises ValueError if those are no names of whole numbers.
    """
    labels = about.get("labels")
    if not isinstance(labels, dict):
        return {}
    try:
        return {int(label): str(name) for label, name in labels.items()}
    except ValueError as error:
        raise ValueError(
            'labels: expected whole numbers and their names, {"1": "name", ...}, got '
            f"{json.dumps(labels):.60}"
        ) from error


def of_columns(columns: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Labelling:
    """Put together what a file says per point and as a whole.

    Labels are the numbers that have names in ``about``, counted anew from 1 in their order.
    Raises ValueError naming a label that has none.
    """
    names = {i: name for i, name in sorted(names_of(about).items()) if i != UNLABELLED}
    values = columns["label"]
    known = np.array([UNLABELLED, *names])
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    if (strange := known[at] != values).any():
        listed = ", ".join(str(v) for v in np.unique(values[strange])[:5])
        raise ValueError(
            f"label: {listed} in {int(strange.sum()):,} points has no name; names are there for "
            f"{', '.join(map(str, list(names)[:9])) or 'none'}"
        )
    provenance = about.get("provenance")
    return Labelling(
        at.astype(np.int32),
        tuple(names.values()),
        columns.get("superpoint"),
        columns.get("instance"),
        columns.get("confidence"),
        provenance if isinstance(provenance, dict) else {},
    )


def same_points(found: PointCloud, cloud: PointCloud) -> None:
    """Raise ValueError unless both clouds hold the same points in the same order.

    The same: nearer than a millionth of the extent, or than float32 tells apart, because files
    round coordinates.
    """
    if len(found) != len(cloud):
        raise ValueError(f"holds {len(found):,} points, the scan has {len(cloud):,}")
    ours, theirs = (c.points.astype(np.float64) + c.offset for c in (cloud, found))
    extent = float(np.ptp(ours, axis=0).max())
    nearest = max(1e-6 * extent, float(np.abs(ours).max()) * float(np.finfo(np.float32).eps))
    far = (np.abs(ours - theirs) > nearest).any(axis=1)
    if far.any():
        raise ValueError(
            f"{int(far.sum()):,} of its {len(found):,} points lie elsewhere in the scan, or in "
            "another order: made for another scan, or in other units"
        )
