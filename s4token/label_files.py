"""Labels of a scan in files, to and from: with the points (PLY, NPZ, LAS, ...) or without them.

Without: one JSON, SemanticKITTI's ``.label``, and ScanNet's pair of segments and aggregation.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from s4token.datasets.scannet import owners
from s4token.datasets.semantickitti import IDS
from s4token.io import (
    READERS,
    about_beside,
    about_of,
    explained,
    read,
    replacing,
    suffix_of,
    target,
    whole_numbers,
    write,
)
from s4token.labelling import Labelling, legend_text, names_of, of_columns, same_points
from s4token.types import PointCloud

_HALF = (1 << 16) - 1
_PER_POINT = 64  # bytes: more than any of these files needs for a point, unpacked
_FIXED = 1 << 24  # bytes beside that, for names and provenance
UNANNOTATED = "unannotated"
"""What ScanNet calls an object without a class."""


# --- writing ----------------------------------------------------------------------------------


def _legend(cloud: PointCloud, labelling: Labelling, **more: Any) -> dict[str, Any]:
    """Return a legend for a file without points, which says by a hash whose points it means."""
    return {**labelling.legend, "fingerprint": cloud.fingerprint, **more}


def _shortest(values: np.ndarray) -> list[int | float]:
    """Return numbers that JSON writes with no more digits than bring every bit back."""
    numbers = values.tolist()
    return [float(f"{v:.9g}") for v in numbers] if values.dtype.kind == "f" else numbers


def _write_json(paths: list[Path], cloud: PointCloud, labelling: Labelling) -> None:
    """Write everything as one JSON object: the legend, then ``columns`` of one value per point."""
    head = json.dumps(_legend(cloud, labelling), ensure_ascii=False, indent=1)
    columns = [f'  "{k}": {json.dumps(_shortest(v))}' for k, v in labelling.columns.items()]
    rows = ",\n".join(columns)  # one line each: with an indent, JSON would give each number its own
    text = f'{head[:-2]},\n "columns": {{\n{rows}\n }}\n}}\n'
    paths[0].write_bytes(text.encode("utf-8", "replace"))


def _kitti_ids(labelling: Labelling) -> dict[str, int] | None:
    """Return SemanticKITTI's id of every label, if all classes are classes of that data set."""
    if not all(name in IDS for name in labelling.classes):
        return None
    return {str(i): IDS[name][0] for i, name in enumerate(labelling.classes, start=1)}


def _write_kitti(paths: list[Path], cloud: PointCloud, labelling: Labelling) -> None:
    """Write ``instance << 16 | class`` as uint32, and the legend as JSON beside it."""
    ids = _kitti_ids(labelling)
    table = np.arange(len(labelling.classes) + 1)
    if ids is not None:
        table[1:] = list(ids.values())
    raw = table[labelling.labels].astype("<u4")
    if labelling.instances is not None:
        raw |= labelling.instances.astype("<u4") << np.uint32(16)
    paths[0].write_bytes(raw.tobytes())
    more = {} if ids is None else {"ids": ids}
    paths[1].write_bytes(legend_text(_legend(cloud, labelling, **more)))


def _segments(labelling: Labelling) -> tuple[np.ndarray, dict[str, int]]:
    """Return (N,) segments that no label or instance crosses, and the superpoint of new ones.

    The largest part of a superpoint keeps its number; what was split off counts on from there.
    """
    zeros = np.zeros(len(labelling), dtype=np.int32)
    superpoints = labelling.superpoints if labelling.superpoints is not None else zeros
    part = np.zeros(len(labelling), dtype=np.int64)
    for column in (superpoints, labelling.labels, labelling.instances):
        if column is not None:
            part = part * (int(column.max()) + 1) + column
            part = np.unique(part, return_inverse=True)[1]
    count = np.bincount(part)
    owner = np.zeros(len(count), dtype=np.int64)
    owner[part] = superpoints
    order = np.lexsort((np.arange(len(count)), -count, owner))  # of each superpoint, largest first
    first = np.append(True, np.diff(owner[order]) > 0)
    number = owner.copy()
    split = order[~first]
    number[split] = int(superpoints.max()) + 1 + np.arange(len(split))
    return number[part], {str(number[s]): int(owner[s]) for s in split}


def _groups(segments: np.ndarray, labelling: Labelling) -> list[dict[str, Any]]:
    """Return ScanNet's objects: one per instance and class; what is not counted, one per class."""
    number, first = np.unique(segments, return_index=True)
    label = labelling.labels[first]
    instance = np.zeros_like(label) if labelling.instances is None else labelling.instances[first]
    found: dict[tuple[int, int], list[int]] = {}
    for i, c, s in zip(instance.tolist(), label.tolist(), number.tolist(), strict=True):
        if i or c:
            found.setdefault((i, c), []).append(s)
    return [
        {
            "id": k,
            "objectId": k,
            "segments": found[i, c],
            "label": labelling.classes[c - 1] if c else UNANNOTATED,
            "labelId": c,
            "instance": i,
        }
        for k, (i, c) in enumerate(sorted(found))
    ]


def _write_scannet(paths: list[Path], cloud: PointCloud, labelling: Labelling, name: str) -> None:
    """Write ``segs.json``, ``aggregation.json`` and the legend into one zip."""
    segments, parts = _segments(labelling)
    segs = {"params": {}, "sceneId": name, "segIndices": segments.tolist()}
    if labelling.superpoints is not None:
        segs["superpoints"] = parts
    aggregation = {
        "sceneId": name,
        "appId": "s4token",
        "segGroups": _groups(segments, labelling),
        "segmentsFile": f"{name}_vh_clean_2.0.010000.segs.json",
        "instances": labelling.instances is not None,
    }
    with zipfile.ZipFile(paths[0], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(aggregation["segmentsFile"], json.dumps(segs))
        archive.writestr(f"{name}.aggregation.json", json.dumps(aggregation))
        archive.writestr(f"{name}.labels.json", legend_text(_legend(cloud, labelling)))


def _check_writable(path: Path, cloud: PointCloud, labelling: Labelling) -> None:
    if len(labelling) != len(cloud):
        raise ValueError(
            f"{path.name}: {len(labelling):,} labels for {len(cloud):,} points; give as many"
        )
    instances = labelling.instances
    if path.suffix.lower() == ".label":
        most = int(labelling.labels.max()), 0 if instances is None else int(instances.max())
        if max(most) > _HALF:
            raise ValueError(
                f"{path.name}: SemanticKITTI has 16 bits for a class and 16 for an instance, "
                f"numbers up to {_HALF:,}; these go up to {max(most):,}. Choose another format"
            )


def write_labels(
    path: str | os.PathLike[str],
    cloud: PointCloud,
    labelling: Labelling,
    *,
    preset: Literal["plain", "cloudcompare"] = "plain",
) -> None:
    """Write labels of a cloud, in its order, as the suffix says.

    .json: all in one file. .label: SemanticKITTI, ``instance << 16 | class``, with its own class
    ids if all classes are its own; names stand in the JSON beside it. .zip: ScanNet's ``segs.json``
    and ``aggregation.json``, whose segments are superpoints, cut where labels or instances differ
    inside. Any other suffix: with the points, as ``write`` does.

    Old files are replaced at once or not at all. Raises ValueError naming the file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".json", ".label", ".zip"):
        return write(path, cloud, labelling, preset=preset)
    if preset != "plain":
        raise ValueError(f"{path.name}: the preset {preset!r} is for .ply files")
    _check_writable(path, cloud, labelling)
    path = target(path)
    beside = [path.with_suffix(".json")] if suffix == ".label" else []
    with replacing(path, *beside) as drafts:
        if suffix == ".json":
            _write_json(drafts, cloud, labelling)
        elif suffix == ".label":
            _write_kitti(drafts, cloud, labelling)
        else:
            _write_scannet(drafts, cloud, labelling, path.stem)


# --- reading ----------------------------------------------------------------------------------


def _for_cloud(about: Mapping[str, Any], cloud: PointCloud) -> None:
    """Raise ValueError if a legend says that it was made for other points."""
    points, mark = about.get("points"), about.get("fingerprint")
    if points is not None and points != len(cloud):
        raise ValueError(f"made for {points} points, the scan has {len(cloud):,}")
    if mark is not None and mark != cloud.fingerprint:
        raise ValueError(
            "made for another scan: as many points, but other ones, or in another order or unit"
        )


def _named(about: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    if not isinstance(about.get("labels"), dict):
        beside = path.with_suffix(".json").name
        raise ValueError(
            f"the names of its labels are missing; give {beside} together with it, which says "
            '{"labels": {"1": "name", ...}}'
        )
    return about


def _numbers(name: str, values: Any, count: int) -> np.ndarray:
    """Return whole numbers from JSON, one per point."""
    column = np.asarray(values)
    if column.shape != (count,) or column.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected {count:,} whole numbers, one per point")
    return column


def _json_labels(path: Path, beside: Path, cloud: PointCloud) -> Labelling:
    about = json.loads(path.read_text(encoding="utf-8"))
    columns = about.get("columns") if isinstance(about, dict) else None
    if not isinstance(columns, dict) or "label" not in columns:
        raise ValueError("holds names but no labels; give the file that it was written beside")
    _for_cloud(_named(about, path), cloud)
    known = ("label", "instance", "superpoint")
    found = {k: _numbers(k, columns[k], len(cloud)) for k in known if k in columns}
    if "confidence" in columns:
        found["confidence"] = np.asarray(columns["confidence"], dtype=np.float32)
    return of_columns(found, about)


def _kitti_labels(path: Path, beside: Path, cloud: PointCloud) -> Labelling:
    size = path.stat().st_size
    if size != 4 * len(cloud):
        raise ValueError(f"{size:,} bytes, 4 for each of {size / 4:,g} points; the scan has "
                         f"{len(cloud):,}")  # fmt: skip
    about = _named(about_beside(beside), path)
    _for_cloud(about, cloud)
    raw = np.fromfile(path, "<u4")
    label = (raw & _HALF).astype(np.int64)
    if isinstance(ids := about.get("ids"), dict):
        known = {int(v): int(k) for k, v in ids.items()}
        strange = ~np.isin(label, [0, *known])
        if strange.any():
            raise ValueError(f"label: the class id {label[strange][0]} has no name")
        table = np.zeros(_HALF + 1, dtype=np.int64)
        table[list(known)] = list(known.values())
        label = table[label]
    return of_columns({"label": label, "instance": (raw >> 16).astype(np.int32)}, about)


def _member(archive: zipfile.ZipFile, ending: str, count: int) -> Any:
    """Return the one JSON of a zip whose name ends so, None if there is none."""
    found = [i for i in archive.infolist() if i.filename.endswith(ending)]
    if len(found) > 1:
        raise ValueError(f"holds {len(found)} files *{ending}; give those of one scan")
    if not found:
        return None
    if found[0].file_size > _PER_POINT * count + _FIXED:
        raise ValueError(f"{found[0].filename}: {found[0].file_size:,} bytes for {count:,} points")
    data = json.loads(archive.read(found[0]))
    if not isinstance(data, dict):
        raise ValueError(f"{found[0].filename}: expected a JSON object")
    return data


def _scannet_labels(path: Path, beside: Path, cloud: PointCloud) -> Labelling:
    with zipfile.ZipFile(path) as archive:
        segs = _member(archive, "segs.json", len(cloud))
        aggregation = _member(archive, "aggregation.json", len(cloud))
        about = _member(archive, ".labels.json", len(cloud)) or about_beside(beside)
    for name, data in (("segs.json", segs), ("aggregation.json", aggregation)):
        if data is None:
            raise ValueError(
                f"holds no *.{name}; a ScanNet pair is *.segs.json, *.aggregation.json"
            )
    _for_cloud(about, cloud)
    segments = _numbers("segIndices", segs["segIndices"], len(cloud)).astype(np.int64)
    groups = aggregation["segGroups"]
    owner = owners(segments, groups)
    if isinstance(about.get("labels"), dict):  # ours: it says which label each object has
        ids = [int(g["labelId"]) for g in groups]
    else:
        names = [str(g["label"]) for g in groups]
        classes = [n for n in dict.fromkeys(names) if n != UNANNOTATED]
        about = {"labels": {str(i): n for i, n in enumerate(classes, start=1)}}
        ids = [classes.index(n) + 1 if n in classes else 0 for n in names]
    columns = {"label": np.array([0, *ids])[owner]}
    if aggregation.get("instances", True):
        numbers = [int(g.get("instance", k)) for k, g in enumerate(groups, start=1)]
        columns["instance"] = np.array([0, *numbers])[owner]
    if "superpoints" in segs or "appId" not in aggregation or aggregation["appId"] != "s4token":
        parts = {int(k): int(v) for k, v in segs.get("superpoints", {}).items()}
        number, at = np.unique(segments, return_inverse=True)
        columns["superpoint"] = np.array([parts.get(s, s) for s in number.tolist()])[at]
    return of_columns(columns, about)


_Reader = Callable[[Path, Path, PointCloud], Labelling]
_WITHOUT_POINTS: Mapping[str, _Reader] = {
    "json": _json_labels,
    "label": _kitti_labels,
    "zip": _scannet_labels,
}


def labels_in(path: Path, cloud: PointCloud, about: Mapping[str, Any]) -> Labelling:
    """Return the labels among the columns of a cloud that was read from ``path``."""
    found = {}
    for name in ("label", "instance", "superpoint", "confidence"):
        column = cloud.attributes.get(name, cloud.attributes.get(f"scalar_{name}"))
        if column is not None:
            whole = name != "confidence"
            found[name] = whole_numbers(name, column) if whole else np.nan_to_num(column)
    if "label" not in found:
        raise ValueError("holds no labels: expected a column label or scalar_label")
    return of_columns(found, _named(about, path))


def read_labels(
    path: str | os.PathLike[str],
    cloud: PointCloud,
    *,
    names: str | os.PathLike[str] | None = None,
) -> Labelling:
    """Read the labels of a cloud from a file of ``write_labels``, ``write``, or like theirs.

    names: the JSON with the names of the labels, where the file itself does not hold them; by
    default the one of the same name beside it. Superpoints, instances and confidence come back
    where the format holds them.

    Raises FileNotFoundError, or ValueError naming the file if it is damaged or does not fit:
    another number of points, other points, labels without a name.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    suffix = suffix_of(path, {**_WITHOUT_POINTS, **READERS})
    beside = Path(names) if names is not None else path.with_suffix(".json")
    if suffix in _WITHOUT_POINTS:
        with explained(path):
            return _WITHOUT_POINTS[suffix](path, beside, cloud)
    found, about = read(path), about_of(path, beside)
    with explained(path):
        same_points(found, cloud)
        return labels_in(path, found, about)


def _all_named(cloud: PointCloud, names: Mapping[int, str]) -> dict[str, str]:
    """Name every number up to the largest label, "class 3" where no name is known."""
    column = cloud.attributes.get("label", cloud.attributes.get("scalar_label"))
    most = max([0, *names, 0 if column is None else int(whole_numbers("label", column).max())])
    if not names or most > _HALF:  # a larger label is no class number but an id of something else
        return {}
    return {str(i): names.get(i, f"class {i}") for i in range(1, most + 1)}


def convert(
    source: Path,
    out: Path,
    *,
    labels: Path | None = None,
    drop_invalid: bool = False,
    scale: float = 1.0,
) -> str:
    """Rewrite a scan in another format, its labels with their names too; return what was done.

    labels: a file of labels for the scan, if they are not in ``source`` itself.
    """
    cloud = read(source, drop_invalid=drop_invalid)
    labelling = None
    if labels is not None:
        labelling = read_labels(labels, cloud)
    elif {"label", "scalar_label"} & set(cloud.attributes):
        about = about_of(source)
        with explained(source):
            if names := _all_named(cloud, names_of(about)):
                labelling = labels_in(source, cloud, {**about, "labels": names})
    cloud = cloud if scale == 1 else cloud.scaled(scale)
    said = f"{len(cloud):,} points"
    if labelling is not None:
        write_labels(out, cloud, labelling)
        return f"{said}, labels of {len(labelling.classes)} classes: {out}"
    if suffix_of(out, {**_WITHOUT_POINTS, **READERS}) in _WITHOUT_POINTS:
        raise ValueError(f"{source.name}: has no labels with names to put into {out.name}")
    write(out, cloud)
    return f"{said}: {out}"
