"""The values that flow through the library: immutable, NumPy, self-validating."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

UNLABELLED = 0
"""The label of a point without a class; class ``i`` of a class list has label ``i + 1``."""


UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "in": 0.0254}
"""Metres per unit, by the unit's name."""
AXES = {
    "z": (0.0, 0.0, 1.0),
    "y": (0.0, 1.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
    "-z": (0.0, 0.0, -1.0),
    "x": (1.0, 0.0, 0.0),
    "-x": (-1.0, 0.0, 0.0),
}
"""Directions against gravity by name, the usual ones first; phones and meshes use y, cameras -y."""


def _fail(name: str, expected: str, got: object) -> ValueError:
    return ValueError(f"{name}: expected {expected}, got {got}")


def _frozen(array: np.ndarray) -> np.ndarray:
    """Return a read-only view; the caller's own array stays writable."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _finite(name: str, array: np.ndarray) -> None:
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array.reshape(len(array), -1)).all(axis=1)).sum())
        raise _fail(name, "finite values", f"NaN or infinity in {bad:,} of {len(array):,} rows")


def _float_rows(name: str, array: Any, columns: int, rows: int | None = None) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim != 2 or array.shape[1] != columns:
        raise _fail(name, f"shape (N, {columns})", array.shape)
    if rows is not None and len(array) != rows:
        raise _fail(name, f"{rows:,} rows, one per point", f"{len(array):,}")
    if array.dtype not in (np.float32, np.float64):
        if not np.issubdtype(array.dtype, np.number) or np.issubdtype(
            array.dtype, np.complexfloating
        ):
            raise _fail(name, "real numbers", array.dtype)
        array = array.astype(np.float64)
    _finite(name, array)
    return array


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Hold the points of one scan.

    points: (N, 3) float32 or float64, N >= 1, in the scan's own unit, relative to ``offset``.
    colors: (N, 3) float32 sRGB in [0, 1], or None.
    normals: (N, 3) float32 unit vectors as the file gave them, or None.
    offset: (3,) float64, added back on export, so that UTM coordinates survive float32.
    up: (3,) float64 unit vector against gravity.
    attributes: further per-point columns of the source file, kept for export.
    metres_per_unit: what the scan's unit is, None where nobody said so.

    Raises ValueError naming the field when a shape, a type or a value is wrong.
    """

    points: Float[np.ndarray, "N 3"]
    colors: Float[np.ndarray, "N 3"] | None = None
    normals: Float[np.ndarray, "N 3"] | None = None
    offset: Float[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))
    up: Float[np.ndarray, "3"] = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)
    metres_per_unit: float | None = None

    def __post_init__(self) -> None:
        points = _float_rows("points", self.points, 3)
        if len(points) == 0:
            raise _fail("points", "at least one point", "none")
        put = object.__setattr__
        put(self, "points", _frozen(points))
        if self.colors is not None:
            colors = _float_rows("colors", self.colors, 3, len(points)).astype(np.float32)
            if colors.min() < 0 or colors.max() > 1:
                raise _fail("colors", "values in [0, 1]", f"{colors.min():g} .. {colors.max():g}")
            put(self, "colors", _frozen(colors))
        if self.normals is not None:
            normals = _float_rows("normals", self.normals, 3, len(points))
            put(self, "normals", _frozen(normals.astype(np.float32)))
        for name in ("offset", "up"):
            vector = np.asarray(getattr(self, name), dtype=np.float64)
            if vector.shape != (3,) or not np.isfinite(vector).all():
                raise _fail(name, "3 finite numbers", vector)
            put(self, name, _frozen(vector))
        length = float(np.linalg.norm(self.up))
        if length == 0:
            raise _fail("up", "a direction", "the zero vector")
        put(self, "up", _frozen(self.up / length))
        for name, column in self.attributes.items():
            if len(column) != len(points):
                raise _fail(f"attributes[{name!r}]", f"{len(points):,} rows", f"{len(column):,}")
        put(self, "attributes", {k: _frozen(np.asarray(v)) for k, v in self.attributes.items()})
        unit = self.metres_per_unit
        if unit is not None and not 0 < unit < float("inf"):
            raise _fail("metres_per_unit", "a positive number or None", unit)

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the points and their order, 32 hexadecimal digits: what "the same scan" means."""
        seen = hashlib.sha256(np.ascontiguousarray(self.points, dtype="<f8").tobytes())
        seen.update(self.offset.astype("<f8").tobytes())
        return seen.hexdigest()[:32]

    def told(self, *, up: tuple[float, float, float], metres_per_unit: float | None) -> PointCloud:
        """Return the same points, of which is known where up is and, but for None, their unit."""
        return replace(self, up=np.array(up), metres_per_unit=metres_per_unit)

    def select(self, index: np.ndarray) -> PointCloud:
        """Return the cloud of ``points[index]`` (integers or a mask) with all its columns."""
        pick = lambda a: None if a is None else a[index]  # noqa: E731
        return replace(
            self,
            points=self.points[index],
            colors=pick(self.colors),
            normals=pick(self.normals),
            attributes={k: v[index] for k, v in self.attributes.items()},
        )

    def scaled(self, factor: float) -> PointCloud:
        """Return the cloud in other units: every coordinate, and the offset, times ``factor``."""
        if not np.isfinite(factor) or factor <= 0:
            raise _fail("factor", "a positive number", factor)
        points = (self.points * self.points.dtype.type(factor)).astype(self.points.dtype)
        unit = None if self.metres_per_unit is None else self.metres_per_unit / factor
        return replace(self, points=points, offset=self.offset * factor, metres_per_unit=unit)


@dataclass(frozen=True, eq=False)
class Groups:
    """Hold M groups of point indices in compressed rows (CSR).

    Group ``m`` is ``index[offsets[m]:offsets[m + 1]]``. Groups may overlap (kNN, radius); they
    are a *partition* when every one of the N points occurs exactly once (superpoints).
    ``centers`` are the seeds of overlapping groups, (M,) point indices, or None.
    """

    index: Int[np.ndarray, "L"]
    offsets: Int[np.ndarray, "M_plus_1"]
    n_points: int
    centers: Int[np.ndarray, "M"] | None = None

    def __post_init__(self) -> None:
        index = np.asarray(self.index, dtype=np.int32)
        offsets = np.asarray(self.offsets, dtype=np.int64)
        if offsets.ndim != 1 or len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(index):
            raise _fail("offsets", f"0 .. {len(index)}, one more than groups", offsets[:5])
        if (np.diff(offsets) < 1).any():
            raise _fail("offsets", "no empty group", f"{int((np.diff(offsets) < 1).sum())} empty")
        if len(index) and (index.min() < 0 or index.max() >= self.n_points):
            raise _fail("index", f"values in [0, {self.n_points})", f"{index.min()}..{index.max()}")
        object.__setattr__(self, "index", _frozen(index))
        object.__setattr__(self, "offsets", _frozen(offsets))
        if self.centers is not None:
            centers = np.asarray(self.centers, dtype=np.int32)
            if centers.shape != (len(offsets) - 1,):
                raise _fail("centers", f"shape ({len(offsets) - 1},)", centers.shape)
            object.__setattr__(self, "centers", _frozen(centers))

    @classmethod
    def from_labels(cls, labels: Int[np.ndarray, "N"]) -> Groups:
        """Build a partition from one group id in 0 .. M-1 per point."""
        labels = np.asarray(labels)
        index = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        return cls(index, np.concatenate([[0], np.cumsum(counts)]), len(labels))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, group: int) -> np.ndarray:
        return self.index[self.offsets[group] : self.offsets[group + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[m] for m in range(len(self)))

    @cached_property
    def sizes(self) -> Int[np.ndarray, "M"]:
        """Points per group."""
        return np.diff(self.offsets)

    @cached_property
    def is_partition(self) -> bool:
        """Whether every point occurs exactly once."""
        return len(self.index) == self.n_points and bool(
            (np.bincount(self.index, minlength=self.n_points) == 1).all()
        )

    @cached_property
    def labels(self) -> Int[np.ndarray, "N"]:
        """Group id of every point, of a partition only (ValueError otherwise)."""
        if not self.is_partition:
            raise ValueError("labels: these groups overlap or leave points out; not a partition")
        labels = np.empty(self.n_points, dtype=np.int32)
        labels[self.index] = np.repeat(np.arange(len(self), dtype=np.int32), self.sizes)
        return _frozen(labels)

    def means(self, values: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "M C"]:
        """Return the mean over every group's points, float64: of points, its centre."""
        members = np.asarray(values)[self.index].astype(np.float64)
        return np.add.reduceat(members, self.offsets[:-1]) / self.sizes[:, None]


@dataclass(frozen=True, eq=False)
class Scan:
    """Hold a named cloud with, optionally, the truth about it.

    labels: (N,) int32, 0 = unlabelled, i = ``classes[i - 1]``; or None.
    instances: (N,) int32, 0 = none; or None.
    """

    name: str
    cloud: PointCloud
    labels: Int[np.ndarray, "N"] | None = None
    classes: tuple[str, ...] = ()
    instances: Int[np.ndarray, "N"] | None = None
    category: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(str(c) for c in self.classes))
        for name, most in (("labels", len(self.classes)), ("instances", None)):
            column = getattr(self, name)
            if column is None:
                continue
            column = np.asarray(column)
            if column.shape != (len(self.cloud),) or not np.issubdtype(column.dtype, np.integer):
                raise _fail(
                    f"{self.name}: {name}",
                    f"{len(self.cloud):,} integers",
                    f"{column.dtype} {column.shape}",
                )
            if most is not None and (column.min() < 0 or column.max() > most):
                raise _fail(
                    f"{self.name}: {name}",
                    f"0 .. {most}, one per class",
                    f"{column.min()} .. {column.max()}",
                )
            object.__setattr__(self, name, _frozen(column.astype(np.int32)))


@dataclass(frozen=True, eq=False)
class Encoding:
    """Hold a cloud as text-aligned token features: slow to make, cheap to query.

    features: (M, E) float32 unit rows, one per group; global_feature: (E,) float32 unit vector.
    ``tokenizer`` and ``engine`` say how it was made, ``seconds`` how long each stage took, and
    ``notes`` what a user must be told (sampling, fallbacks, untrained weights), and
    ``metres_per_unit`` what the scan's unit was taken for: told or estimated, None if neither.
    """

    cloud: PointCloud
    groups: Groups
    features: Float[np.ndarray, "M E"]
    global_feature: Float[np.ndarray, "E"]
    tokenizer: str = "superpoint"
    engine: str = "s4token"
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    metres_per_unit: float | None = None

    def __post_init__(self) -> None:
        if self.groups.n_points != len(self.cloud):
            raise _fail("groups", f"groups of {len(self.cloud):,} points", self.groups.n_points)
        if self.features.ndim != 2 or len(self.features) != len(self.groups):
            raise _fail("features", f"({len(self.groups)}, E)", self.features.shape)
        if self.global_feature.shape != self.features.shape[1:]:
            raise _fail("global_feature", str(self.features.shape[1:]), self.global_feature.shape)
        object.__setattr__(self, "features", _frozen(self.features.astype(np.float32)))
        object.__setattr__(self, "global_feature", _frozen(self.global_feature.astype(np.float32)))

    @cached_property
    def size_text(self) -> str:
        """Say how large the scan is in metres and whether that is estimated; "" where unknown."""
        if self.metres_per_unit is None:
            return ""
        sides = self.metres_per_unit * np.ptp(self.cloud.points, axis=0).astype(np.float64)
        text = " × ".join(f"{side:.2g}" for side in sides) + " m"
        told = self.cloud.metres_per_unit is not None
        return text if told else f"about {text}, estimated from what it shows"


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Hold the answer to a set of prompts.

    classes: the C prompts; labels: (N,) int32, 0 = unlabelled, i = ``classes[i - 1]``;
    confidence: (N,) float32 in [0, 1], probability of the best prompt; superpoints: (N,) int32
    token id of each point (nearest token where groups overlap); scores: (M, C) float32 cosine of
    every token with every prompt; probability: (M, C + K) float32 of every token for every prompt
    and then for K negatives, from which labels are decided, or None; provenance: what was asked of
    which model, JSON-ready.
    """

    classes: tuple[str, ...]
    labels: Int[np.ndarray, "N"]
    confidence: Float[np.ndarray, "N"]
    superpoints: Int[np.ndarray, "N"]
    scores: Float[np.ndarray, "M C"]
    probability: Float[np.ndarray, "M CK"] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.labels)
        if len(self.confidence) != n or len(self.superpoints) != n:
            raise _fail("confidence, superpoints", f"{n:,} rows", "another count")
        if self.labels.max() > len(self.classes) or self.labels.min() < 0:
            raise _fail("labels", f"0 .. {len(self.classes)}", f"up to {self.labels.max()}")
        if self.probability is not None and len(self.probability) != len(self.scores):
            raise _fail("probability", f"{len(self.scores):,} rows", f"{len(self.probability):,}")
        for name in ("labels", "confidence", "superpoints", "scores", "probability"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _frozen(getattr(self, name)))

    @property
    def hardly_labelled(self) -> bool:
        """Whether three words or more name next to nothing, as where another axis is up."""
        return len(self.classes) >= 3 and float((self.labels > 0).mean()) < 0.05


@dataclass(frozen=True, eq=False)
class Camera:
    """Hold a pinhole camera that looks from ``position`` to ``target`` with ``up`` upwards.

    fov: vertical field of view in degrees; width, height: pixels.
    """

    position: Float[np.ndarray, "3"]
    target: Float[np.ndarray, "3"]
    up: Float[np.ndarray, "3"] = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    fov: float = 60.0
    width: int = 112
    height: int = 112

    def __post_init__(self) -> None:
        for name in ("position", "target", "up"):
            vector = np.asarray(getattr(self, name), dtype=np.float64)
            if vector.shape != (3,) or not np.isfinite(vector).all():
                raise _fail(name, "3 finite numbers", vector)
            object.__setattr__(self, name, _frozen(vector))
        if np.array_equal(self.position, self.target):
            raise _fail("target", "a point other than position", self.target)
        if not 0 < self.fov < 180:
            raise _fail("fov", "degrees in (0, 180)", self.fov)
        if self.width < 1 or self.height < 1:
            raise _fail("width, height", "positive", (self.width, self.height))


@dataclass(frozen=True, eq=False)
class Views:
    """Hold V rendered pictures with their way back to the cloud.

    images: (V, H, W, 3) uint8 sRGB; point_index: (V, H, W) int32, point in each pixel or -1.
    """

    images: Int[np.ndarray, "V H W 3"]
    point_index: Int[np.ndarray, "V H W"]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise _fail("images", "uint8 (V, H, W, 3)", f"{self.images.dtype} {self.images.shape}")
        if self.point_index.shape != self.images.shape[:3]:
            raise _fail("point_index", str(self.images.shape[:3]), self.point_index.shape)

    def __len__(self) -> int:
        return len(self.images)
