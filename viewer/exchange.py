"""Labels leave as files of many formats, and come back as one edit that can be undone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import s4token
from s4token import Labelling
from viewer import answers, events
from viewer.controls import Controls, number, parse_prompts
from viewer.corrections import FIRST, NONE, UNLABELLED
from viewer.events import Screen
from viewer.session import Query, Session
from viewer.shared import App


@dataclass(frozen=True)
class Format:
    """Hold a choice of format: its name for people, and how its files end."""

    title: str
    ending: str
    preset: Literal["plain", "cloudcompare"] = "plain"


FORMATS = {
    "ply": Format("PLY", ".labels.ply"),
    "cloudcompare": Format("PLY for CloudCompare", ".cloudcompare.ply", "cloudcompare"),
    "npz": Format("NumPy NPZ", ".labels.npz"),
    "las": Format("LAS", ".labels.las"),
    "laz": Format("LAZ", ".labels.laz"),
    "scannet": Format("ScanNet (zip)", ".scannet.zip"),
    "semantickitti": Format("SemanticKITTI .label", ".semantickitti.label"),
    "json": Format("JSON, all in one", ".s4token.json"),
}
MOST_FILES = 2
"""A file of labels and, where the names are not in it, the JSON that was written beside it."""


def stem_of(name: str) -> str:
    """Return a tame file name for a scan, without suffix; letters of any script survive."""
    return re.sub(r"[^\w.-]+", "_", Path(name).stem).strip("._")[:60] or "scan"


def labelling(session: Session, instances: np.ndarray | None = None) -> Labelling:
    """Return what is said about every point, with where it came from; instances: (N,), 0 = none."""
    if session.answer is None:
        raise ValueError("Export: there are no labels yet. Type words and press Find first.")
    seeds = {name: seed for name, seed in events.ROOMS.values()}
    scan: dict[str, Any] = {"name": session.name, "tokenizer": session.tokenizer}
    if session.suggestions and session.name in seeds:
        scan["seed"] = seeds[session.name]
    colors = {n: session.color(i) for i, n in enumerate(session.answer.classes, 1)}
    found = Labelling.of(session.answer, instances)
    more = {"version": s4token.__version__, "scan": scan, "colors": colors}
    return replace(found, provenance={**found.provenance, **more})


def export(app: App, handle: str, kind: str, folder: Path) -> tuple[list[Path], str]:
    """Write the labelled scan in a format of ``FORMATS``; returns the files and a line about them.

    Raises ValueError, with older files as they were, when there is nothing to write or it cannot
    be written.
    """
    if kind not in FORMATS:
        raise ValueError(f"Export: there is no format {kind!r:.40}; choose one of the list.")
    session = events.corrected(app, handle, app.store.get(handle))
    made = app.desk.get(handle)
    found = labelling(session, made.instance if made and made.instance.any() else None)
    assert session.cloud is not None
    chosen = FORMATS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem_of(session.name)}{chosen.ending}"
    try:
        s4token.write_labels(path, session.cloud, found, preset=chosen.preset)
    except ValueError as error:
        raise ValueError(f"Export: {_shown(error, path)}") from error
    beside = path.with_suffix(".json")
    files = [path] if beside == path or not beside.is_file() else [path, beside]
    said = f"Written: {path.name} with {len(session.cloud):,} points"
    return files, f"{said}, and {beside.name}." if len(files) > 1 else f"{said}."


def _shown(error: BaseException, path: Path) -> str:
    """Return a message that names a file but not the server's folder."""
    return str(error).replace(str(path.resolve()), path.name).replace(str(path), path.name)


def _sorted_out(paths: Sequence[str | Path]) -> tuple[Path, Path | None]:
    """Return which of the uploaded files holds the labels, and which the names, if any does."""
    found = [Path(p) for p in paths]
    names = [p for p in found if p.suffix.lower() == ".json"]
    data = [p for p in found if p.suffix.lower() != ".json"]
    if len(found) > MOST_FILES or len(data) > 1 or (len(names) > 1) or not found:
        raise ValueError(
            "Import: choose one file of labels, and the .json that was written beside it, if any."
        )
    return (data[0], names[0] if names else None) if data else (names[0], None)


def _read(session: Session, paths: Sequence[str | Path]) -> tuple[str, Labelling]:
    """Return the name of an uploaded file and what it says about the open scan."""
    assert session.cloud is not None
    path, names = _sorted_out(paths)
    try:
        found = s4token.read_labels(path, session.cloud, names=names)
        for name in found.classes:
            if parse_prompts("class", name) != (name,):
                raise ValueError(f"{path.name}: the class name {name!r:.40} cannot be shown here")
    except (ValueError, OSError) as error:
        said = _shown(error, path)
        said = said.replace(str(names), names.name) if names is not None else said
        raise ValueError(f"Import: {said.rstrip('.')}. Nothing was changed.") from error
    return path.name, found


def _texts(value: Any) -> list[str] | None:
    return value if isinstance(value, list) and all(isinstance(v, str) for v in value) else None


def query_of(provenance: Mapping[str, Any]) -> Query | None:
    """Return what was asked when a file was written, None where it does not say so."""
    prompts, negatives = (_texts(provenance.get(k, [])) for k in ("prompts", "negatives"))
    if not prompts or negatives is None:
        return None
    said = provenance.get("threshold")
    least = said if isinstance(said, list) else [said] * len(prompts)
    if len(least) != len(prompts):
        return None
    try:
        least = [number("threshold", value, 0, 1) for value in least]
        query = Controls("\n".join(prompts), "\n".join(negatives)).query()
        if not isinstance(said, list) and least[0] < 1:
            return replace(query, threshold=least[0])
        return replace(query, own=dict(zip(query.prompts, least, strict=True)))
    except ValueError:  # more or longer words than a page takes, or no numbers
        return None


def _values(found: Labelling, asked: Session, restored: bool) -> tuple[np.ndarray, list[str]]:
    """Return the correction that each point needs, and the classes that they are of.

    A point needs none where the model says the same. Without the words that the model was asked
    when the file was written, what has a label needs one in any case: other words would undo it.
    """
    answer = asked.answer
    names = list(found.classes)
    wanted = np.where(found.labels > 0, found.labels + FIRST - 1, UNLABELLED)
    if answer is None:
        same = found.labels == 0
    else:
        table = [0, *(names.index(n) + 1 if n in names else -1 for n in answer.classes)]
        same = np.array(table)[answer.labels] == found.labels
    if not restored:
        same &= found.labels == 0
    return np.where(same, NONE, wanted), names


def _used(values: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]]:
    """Leave out the classes that no point is corrected to."""
    present = [i for i in np.unique(values) if i >= FIRST]
    table = np.arange(FIRST + len(names))
    table[present] = FIRST + np.arange(len(present))
    return table[values].astype(np.uint8), [names[i - FIRST] for i in present]


def load(
    app: App, handle: str, paths: Sequence[str | Path], c: Controls
) -> tuple[Screen, Query | None]:
    """Put the labels of a file on the open scan, as one edit; returns the query it brought back.

    Raises ValueError or OSError, with nothing changed, when the file or the disk does not allow it.
    """
    before = app.store.get(handle)
    name, found = _read(before, paths)
    corrections = app.desk.get(handle)
    if corrections is None:
        raise ValueError("Import: the corrections of this scan could not be opened.")
    query = query_of(found.provenance)
    asked = before if query is None else answers.answered(app, before, query)
    values, names = _used(*_values(found, asked, restored=query is not None))
    with app.desk.lock:
        if not app.desk.owns(handle):
            raise ValueError(
                "Import: this scan is being corrected on another page. Choose the view Annotate "
                "to go on here."
            )
        now, note = app.store.update(handle, lambda s: answers.unless_changed(s, before, asked))
        try:
            change = corrections.take(values, names, found.instances)
        except (ValueError, OSError):
            app.store.update(handle, lambda s: before if s is now else s)
            raise
    said = (
        f"{name}: labels of {len(found):,} points, {len(found.classes)} classes; "
        f"{corrections.count:,} differ from the model's."
    )
    if query is not None:
        said += " Its words are asked again."
    said += " One undo takes the labels back." if change else " Nothing differed."
    view = c.view if c.view in ("Labels", "Annotate") else "Labels"
    screen = events.redraw(app, handle, replace(c, view=view))
    return replace(screen, status=f"{said} {note}".strip()), query
