"""Scans in files: read any of the common formats, write a segmented cloud, never half of it."""

from __future__ import annotations

import json
import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from s4token.labelling import Labelling, legend_text, names_of
from s4token.las import las_about, read_las, write_las
from s4token.meshes import read_mesh
from s4token.pcd import read_pcd, write_pcd
from s4token.ply import ply_about, read_ply, write_ply
from s4token.tables import (
    NORMAL,
    RGB,
    XYZ,
    Columns,
    npz_about,
    read_npy,
    read_npz,
    read_text,
    write_npz,
    write_text,
)
from s4token.types import PointCloud, Scan, Segmentation

READERS: Mapping[str, Callable[[Path], Columns]] = {
    "ply": read_ply,
    "pcd": read_pcd,
    **dict.fromkeys(("las", "laz"), read_las),
    **dict.fromkeys(("xyz", "txt", "csv", "pts"), read_text),
    "npy": read_npy,
    "npz": read_npz,
    **dict.fromkeys(("obj", "glb", "gltf", "stl", "off"), read_mesh),
}
"""How the files of each suffix are read."""

WRITERS: Mapping[str, Callable[[Path, Columns, Mapping[str, Any]], None]] = {
    "ply": write_ply,
    "pcd": write_pcd,
    **dict.fromkeys(("las", "laz"), write_las),
    **dict.fromkeys(("xyz", "txt", "csv"), write_text),
    "npz": write_npz,
}
"""How the files of each suffix are written."""

_RGB_NAMES = (RGB, ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
_NORMAL_NAMES = (NORMAL, ("normal_x", "normal_y", "normal_z"))
_MOST_CLASSES = 65_535  # a larger label is no class number but an id of something else
_ABOUT = {"ply": ply_about, "npz": npz_about, "las": las_about, "laz": las_about}
_log = logging.getLogger("s4token.io")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file into one line that names it."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # parsers of foreign bytes raise anything
        text = " ".join(str(error).split())[:400]
        if type(error) is not ValueError:
            kind = path.suffix.lstrip(".").upper()
            text = f"cannot be read as {kind} ({type(error).__name__}: {text})"
        raise ValueError(f"{path.name}: {text}") from error


def suffix_of(path: Path, known: Mapping[str, Any]) -> str:
    suffix = path.suffix.lstrip(".").lower()
    if suffix not in known:
        raise ValueError(f"{path.name}: unknown suffix '.{suffix}'; known are {', '.join(known)}")
    return suffix


def _spelled(columns: Columns, choices: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the names of the first choice that is there, as ``columns`` spells them, or []."""
    spelled = {name.lower(): name for name in columns} | {name: name for name in columns}
    there = (names for names in choices if spelled.keys() >= set(names))
    return [spelled[name] for name in next(there, ())]


def _take(columns: Columns, choices: Sequence[tuple[str, ...]]) -> np.ndarray | None:
    """Move three columns, the first choice that is there, out of ``columns`` into (N, 3)."""
    if not (names := _spelled(columns, choices)):
        return None
    stacked = np.stack([columns.pop(name) for name in names], axis=1)
    return stacked.astype(stacked.dtype.newbyteorder("="), copy=False)


def _unit_colors(rgb: np.ndarray) -> Float[np.ndarray, "N 3"]:
    """Scale colours of 8 or 16 bits, or in 0 .. 1 already, to 0 .. 1: by type and range."""
    peak = float(rgb.max())
    if rgb.dtype.kind == "f" and peak <= 1 + 1e-6:
        most = max(peak, 1.0)
    else:
        most = 255 if peak <= 255 else 65_535
    return rgb.astype(np.float32) / np.float32(most)


def _place(points: np.ndarray) -> tuple[np.ndarray, Float[np.ndarray, "3"]]:
    """Return the points and the offset taken off them.

    float32 stays as it is. Larger types stay float64, unless the points lie so far from the
    origin that float32 would move them by more than 1e-5 of their extent: then a round number
    near the minimum is subtracted and the rest fits float32.
    """
    if points.dtype in (np.float16, np.float32):
        return points.astype(np.float32, copy=False), np.zeros(3)
    points = points.astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        low, extent = points.min(axis=0), float(np.ptp(points, axis=0).max())
    far = float(np.finfo(np.float32).eps) * float(np.abs(points).max()) > 1e-5 * extent
    if not far or not (extent == 0 or 1e-30 < extent < 1e30):
        return points, np.zeros(3)
    step = 10.0 ** np.floor(np.log10(extent)) if extent > 0 else 0.0
    offset = np.floor(low / step) * step if step else low
    return (points - offset).astype(np.float32), offset


def _valid(columns: Columns, drop_invalid: bool) -> Columns:
    """Refuse rows whose coordinates or colours are not finite, or leave them out."""
    needed = [*_spelled(columns, (XYZ,)), *_spelled(columns, _RGB_NAMES)]
    valid = np.logical_and.reduce([np.isfinite(columns[name]) for name in needed])
    bad = len(valid) - int(valid.sum())
    if bad == 0:
        return columns
    rows = f"{bad:,} of {len(valid):,} rows hold NaN or infinity"
    if not drop_invalid:
        raise ValueError(f"{rows}; `python -m s4token convert IN OUT --drop-invalid` removes them")
    if bad == len(valid):
        raise ValueError(f"{rows}; nothing is left without them")
    _log.warning("%s were left out", rows)
    return {name: values[valid] for name, values in columns.items()}


def _cloud(columns: Columns, *, drop_invalid: bool, sampled: bool) -> PointCloud:
    """Make a cloud of named columns; those without a meaning here become attributes."""
    if not _spelled(columns, (XYZ,)):
        raise ValueError(f"has no columns x, y, z; it holds {', '.join(columns) or 'nothing'}")
    if len(next(iter(columns.values()))) == 0:
        raise ValueError("holds no points")
    columns = dict(_valid(columns, drop_invalid))
    xyz, rgb = _take(columns, (XYZ,)), _take(columns, _RGB_NAMES)
    normals = _take(columns, _NORMAL_NAMES)
    if normals is not None and not np.isfinite(normals).all():
        _log.warning("normals with NaN or infinity were left out")
        normals = None
    points, offset = _place(np.asarray(xyz))
    if sampled:  # a mesh has the precision of float32, the samples were computed in float64
        points = points.astype(np.float32)
    native = {k: v.astype(v.dtype.newbyteorder("="), copy=False) for k, v in columns.items()}
    colors = None if rgb is None else _unit_colors(rgb)
    return PointCloud(points, colors, normals, offset, attributes=native)


def read(path: str | os.PathLike[str], *, drop_invalid: bool = False) -> PointCloud:
    """Read a scan from a file of any suffix in ``READERS``.

    Coordinates come as the file has them: float32 bit by bit, float64 as float64, or relative
    to ``offset`` in float32 when they lie far from the origin. Meshes (OBJ, glTF, STL, OFF) are
    sampled, which the logger ``s4token.io`` reports; a PLY gives its vertices, with or without
    faces. ``drop_invalid`` leaves out rows with NaN or infinity instead of refusing them.

    Raises FileNotFoundError, or ValueError that begins with the file's name.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not path.is_file():
        raise ValueError(f"{path.name}: is a folder or a device; give a file")
    suffix = suffix_of(path, READERS)
    if path.stat().st_size == 0:
        raise ValueError(f"{path.name}: the file is empty")
    with explained(path):
        reader = READERS[suffix]
        return _cloud(reader(path), drop_invalid=drop_invalid, sampled=reader is read_mesh)


def whole_numbers(name: str, values: np.ndarray) -> Int[np.ndarray, "N"]:
    """Return class numbers or ids as int32; NaN and negative values mean none, 0."""
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0)
    if (numbers != np.floor(numbers)).any() or numbers.max() >= 2**31:
        raise ValueError(f"{name}: expected whole numbers below 2^31 in every row")
    return np.maximum(numbers, 0).astype(np.int32)


def _about_inside(path: Path) -> Mapping[str, Any]:
    """Return names of labels and provenance that a file itself holds, {} if none."""
    inside = _ABOUT.get(path.suffix.lstrip(".").lower())
    with explained(path):
        found = inside(path) if inside else {}
        names_of(found)  # or it raises
    return found


def about_beside(path: Path) -> Mapping[str, Any]:
    """Return what a JSON file says as a whole: an object, or {} for anything else, or no file."""
    if not path.is_file():
        return {}
    with explained(path):
        found = json.loads(path.read_text(encoding="utf-8"))
        names_of(found if isinstance(found, dict) else {})  # or it raises
    return found if isinstance(found, dict) else {}


def about_of(path: Path, beside: Path | None = None) -> Mapping[str, Any]:
    """Return names of labels and provenance: from the file itself, or else from the JSON beside."""
    inside = _about_inside(path)
    named = isinstance(inside.get("labels"), dict)
    return inside if named else about_beside(beside or path.with_suffix(".json"))


def read_scan(path: str | os.PathLike[str]) -> Scan:
    """Read a scan with its labels, if it has any, as 0 = unlabelled and i = ``classes[i - 1]``.

    Labels are a column ``label`` (or ``scalar_label``). Class names come from the file itself, an
    NPZ's ``names`` (whose labels count from 0) or a PLY's comment ``{"labels": {"1": "chair"}}``,
    or else from such a JSON file of the same name; a class without a name is called "class 1".
    Instances are a column ``instance``, 0 = none. Raises as ``read`` does.
    """
    path = Path(path)
    cloud = read(path)
    found: dict[str, np.ndarray | None] = {}
    with explained(path):
        for name in ("label", "instance"):
            column = cloud.attributes.get(name, cloud.attributes.get(f"scalar_{name}"))
            found[name] = None if column is None else whole_numbers(name, column)
    labels = found["label"]
    if labels is None:
        return Scan(path.stem, cloud, instances=found["instance"])
    names = names_of(about_of(path))
    most = max([int(labels.max()), *names])
    if most > _MOST_CLASSES:
        raise ValueError(f"{path.name}: label: expected class numbers, got values up to {most:,}")
    classes = tuple(names.get(i, f"class {i}") for i in range(1, most + 1))
    return Scan(path.stem, cloud, labels, classes, found["instance"])


def _storable(values: np.ndarray) -> np.ndarray | None:
    """Return a column in a type that every format has, or None if it holds no numbers."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind not in "biuf":
        return None
    if kind == "b":
        return values.astype(np.uint8)
    if kind == "f":
        return values.astype(np.float32 if size <= 4 else np.float64)
    if size < 8:
        return values
    small = np.iinfo(np.int32)
    fits = small.min <= values.min() and values.max() <= small.max
    return values.astype(np.int32 if fits else np.float64)


def _results(
    cloud: PointCloud, labelling: Labelling | None, superpoints: np.ndarray | None
) -> Columns:
    """Return the columns that were computed, one value per point each."""
    columns: Columns = dict(labelling.columns) if labelling is not None else {}
    if superpoints is not None:
        columns["superpoint"] = np.asarray(superpoints).astype(np.int32)
    for name, values in columns.items():
        if values.shape != (len(cloud),):
            raise ValueError(
                f"{name}: expected {len(cloud):,} values, one per point, got {values.shape}"
            )
    return columns


def _classified(cloud: PointCloud, results: Columns) -> tuple[PointCloud, Columns]:
    """Add the 8-bit classification that LAS viewers show, if the labels fit; keep the source's."""
    if "label" not in results or results["label"].max() > np.iinfo(np.uint8).max:
        return cloud, results
    source = dict(cloud.attributes)
    if "classification" in source:
        source.setdefault("source_classification", source.pop("classification"))
    classification = results["label"].astype(np.uint8)
    return replace(cloud, attributes=source), {**results, "classification": classification}


def _as_floats(results: Columns) -> Columns:
    """Rename results as CloudCompare loads them by itself, scalar_... and float."""
    for name, values in results.items():
        if values.max() > 1 << 24:
            raise ValueError(f"{name}: the preset 'cloudcompare' holds numbers up to 16,777,216")
    return {f"scalar_{k}": v.astype(np.float32) for k, v in results.items()}


def _columns(cloud: PointCloud, results: Columns) -> Columns:
    """Name everything known about the points: coordinates first, the source's columns last."""
    points = cloud.points
    if cloud.offset.any():
        points = points.astype(np.float64) + cloud.offset
    columns: Columns = {name: points[:, i] for i, name in enumerate(XYZ)}
    if cloud.normals is not None:
        columns |= {name: cloud.normals[:, i] for i, name in enumerate(NORMAL)}
    if cloud.colors is not None:
        rgb = np.round(cloud.colors * 255).astype(np.uint8)
        columns |= {name: rgb[:, i] for i, name in enumerate(RGB)}
    columns |= results
    taken = {name.removeprefix("scalar_") for name in columns}
    for name, values in cloud.attributes.items():
        stored = _storable(values.reshape(len(cloud), -1))
        if stored is None:
            _log.warning("attribute %r holds no numbers and was left out", name)
            continue
        for k in range(stored.shape[1]):
            key = name if stored.shape[1] == 1 else f"{name}_{k}"
            key = re.sub(r"[^\x21-\x7e]+|[,;\"#]+", "_", key) or "_"
            if key.removeprefix("scalar_") not in taken:
                columns[key] = stored[:, k]
                taken.add(key.removeprefix("scalar_"))
    return columns


def target(path: str | os.PathLike[str]) -> Path:
    """Return the file that writing to ``path`` replaces: through a link, so that the link stays."""
    path = Path(path).resolve()
    if not path.parent.is_dir():
        raise ValueError(f"{path}: the folder {path.parent} does not exist; make it first")
    return path


@contextmanager
def replacing(*targets: Path) -> Iterator[list[Path]]:
    """Yield files to write that take the places of ``targets`` only if everything succeeds.

    Raises ValueError naming the first target, with what was there before unchanged.
    """
    for path in targets:
        if path.is_dir():
            raise ValueError(f"{path}: is a folder; give a file name")
    token = uuid.uuid4().hex[:12]
    drafts = [t.with_name(f".{token}-{i}.tmp{t.suffix}") for i, t in enumerate(targets)]
    try:
        yield drafts
        for draft, target in zip(drafts, targets, strict=True):
            os.replace(draft, target)
    except Exception as error:  # lazrs reports a full disk with an exception of its own
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"{targets[0]}: cannot be written ({reason}); what was there before is unchanged"
        ) from error
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


def write(
    path: str | os.PathLike[str],
    cloud: PointCloud,
    segmentation: Segmentation | Labelling | None = None,
    *,
    superpoints: Int[np.ndarray, "N"] | None = None,
    preset: Literal["plain", "cloudcompare"] = "plain",
) -> None:
    """Write a cloud, in its own order, as the suffix says (any in ``WRITERS``).

    A segmentation adds ``label`` (0 = unlabelled), ``superpoint`` and ``confidence``, a labelling
    what it has of them and ``instance``; and a JSON file of the same name with class names, counts
    and provenance, which PLY, NPZ and LAS hold inside as well. ``superpoints`` adds only those. The
    preset "cloudcompare" (PLY) names them scalar_... and makes them float, so that CloudCompare
    loads them by itself. In LAS, labels below 256 are the classification, too. The offset is added
    back, in float64.

    Old files are replaced at once or not at all. Raises ValueError naming the file.
    """
    path = Path(path)
    suffix = suffix_of(path, WRITERS)
    if preset not in ("plain", "cloudcompare"):
        raise ValueError(f"preset: expected 'plain' or 'cloudcompare', got {preset!r}")
    if preset == "cloudcompare" and suffix != "ply":
        raise ValueError(f"{path.name}: the preset 'cloudcompare' is for .ply files")
    labelling = (
        Labelling.of(segmentation) if isinstance(segmentation, Segmentation) else segmentation
    )
    results = _results(cloud, labelling, superpoints)
    if preset == "cloudcompare":
        results = _as_floats(results)
    elif suffix in ("las", "laz"):
        cloud, results = _classified(cloud, results)
    columns = _columns(cloud, results)
    path = target(path)
    with replacing(*([path] if labelling is None else [path, path.with_suffix(".json")])) as drafts:
        WRITERS[suffix](drafts[0], columns, labelling.about if labelling else {})
        if labelling is not None:
            drafts[1].write_bytes(legend_text(labelling.legend))
