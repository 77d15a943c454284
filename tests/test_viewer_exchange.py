"""Labels that leave as a file come back the same, as one edit; what does not fit does nothing."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import s4token
from s4token import Labelling, PointCloud
from tests.fakes import striped_cloud
from viewer import edits, events, exchange
from viewer.controls import Controls
from viewer.corrections import Desk

WORDS = Controls(prompts="red\ngreen\nblue", negatives="sky", threshold=0.2, view="Labels")


@pytest.fixture
def cloud():
    return striped_cloud()


@pytest.fixture
def handle(app, cloud, tmp_path):
    s4token.write(tmp_path / "stripes.ply", cloud)
    handle = app.store.open()
    events.open_file(app, handle, tmp_path / "stripes.ply", WORDS)
    return handle


def edit(app, handle, **data):
    packed = app.files.cloud(app.store.get(handle).cloud)
    return edits.apply(app, handle, {"number": 1, "cloud": packed.key, **data})


def shown(app, handle) -> tuple[np.ndarray, tuple[str, ...]]:
    answer = events.corrected(app, handle, app.store.get(handle)).answer
    return answer.labels, answer.classes


def correct(app, handle) -> None:
    edit(app, handle, op="class", name="стул")
    edit(app, handle, op="label", label="стул", tokens=[1, 2, 30])
    edit(app, handle, op="label", label="green", tokens=[5])


@pytest.mark.parametrize("kind", exchange.FORMATS)
def test_an_exported_file_comes_back_as_one_edit(app, handle, tmp_path, kind):
    correct(app, handle)
    labels, classes = shown(app, handle)
    files, said = exchange.export(app, handle, kind, tmp_path / "out")
    assert said.startswith(f"Written: {files[0].name} with 3,000 points")
    own = app.desk.get(handle).own.copy()
    for _ in range(2):
        edit(app, handle, op="undo")
    events.ask(app, handle, Controls(prompts="blue"))
    before = shown(app, handle)[0], len(app.desk.get(handle).done)
    screen, query = exchange.load(app, handle, files, Controls(prompts="blue"))
    found = shown(app, handle)
    assert (found[0] == labels).all() and found[1] == classes
    assert (query.prompts, query.negatives, query.threshold) == (
        ("red", "green", "blue"),
        ("sky",),
        0.2,
    )
    assert app.store.get(handle).query == query and "words are asked again" in screen.status
    assert (app.desk.get(handle).own == own).all(), "only what differs from the model"
    assert screen.view == "Labels" and len(app.desk.get(handle).done) == before[1] + 1
    edit(app, handle, op="undo")
    assert not app.desk.get(handle).count
    again = events.ask(app, handle, Controls(prompts="blue"))
    assert (shown(app, handle)[0] == before[0]).all() and again.legend
    edit(app, handle, op="redo")
    events.ask(app, handle, WORDS)
    assert (shown(app, handle)[0] == labels).all()


@pytest.mark.parametrize("kind", exchange.FORMATS)
def test_every_file_says_what_was_split_and_numbered(app, handle, tmp_path, cloud, kind):
    edit(app, handle, op="split", tokens=[7, 9], parts=3)
    (path, *_), _ = exchange.export(app, handle, "json", tmp_path)
    found = s4token.read_labels(path, cloud).provenance["corrections"]
    assert found == {"points": 0, "edits": 1, "splits": 1, "instances": 0}, "no label, but a split"
    for token in (1, 2):
        edit(app, handle, op="instance", label="green", tokens=[token])
    edit(app, handle, op="instance", label="green", tokens=[3])
    edit(app, handle, op="undo")
    own = app.desk.get(handle)
    files, _ = exchange.export(app, handle, kind, tmp_path / "out")
    names = next((f for f in files[1:] if f.suffix == ".json"), None)
    back = s4token.read_labels(files[0], cloud, names=names)
    points = int(np.count_nonzero(own.own))
    assert points and back.provenance["corrections"] == {
        "points": points, "edits": 3, "splits": 1, "instances": 2,
    }  # fmt: skip
    assert (back.instances == own.instance).all()


def test_an_import_survives_a_new_server(app, handle, tmp_path, cloud):
    correct(app, handle)
    files, _ = exchange.export(app, handle, "npz", tmp_path / "out")
    for _ in range(2):
        edit(app, handle, op="undo")
    exchange.load(app, handle, files, WORDS)
    own = app.desk.get(handle).own.copy()
    app.close(handle)
    again = Desk(app.desk.folder).open("other", cloud)
    assert (again.own == own).all() and own.any() and len(again.done) == 1


def test_labels_of_another_tool_stay_whatever_is_asked_next(app, handle, tmp_path, cloud):
    labels = np.arange(3000) % 3
    foreign = Labelling(labels, ("red", "chair"))
    s4token.write_labels(tmp_path / "other.ply", cloud, foreign)
    screen, query = exchange.load(app, handle, [tmp_path / "other.ply"], WORDS)
    assert query is None and "asked again" not in screen.status
    for c in (WORDS, Controls(prompts="green\nsofa")):
        events.ask(app, handle, c)
        found, classes = shown(app, handle)
        named = np.array(["", *classes])[found]
        assert (named[labels > 0] == np.array(["", "red", "chair"])[labels[labels > 0]]).all()
    events.ask(app, handle, WORDS)
    found, classes = shown(app, handle)
    assert (np.array(["", *classes])[found] == np.array(["", "red", "chair"])[labels]).all()


def test_labels_alone_without_words(app, cloud, tmp_path):
    s4token.write(tmp_path / "bare.ply", cloud)
    handle = app.store.open()
    events.open_file(app, handle, tmp_path / "bare.ply", Controls())
    with pytest.raises(ValueError, match="no labels yet"):
        exchange.export(app, handle, "json", tmp_path / "out")
    given = Labelling(np.arange(3000) // 1000, ("chair", "table"), instances=np.arange(3000) // 500)
    s4token.write_labels(tmp_path / "scene.zip", cloud, given)
    screen, _ = exchange.load(app, handle, [tmp_path / "scene.zip"], Controls())
    assert "chair" in screen.legend
    assert (app.desk.get(handle).instance == given.instances).all()
    files, _ = exchange.export(app, handle, "npz", tmp_path / "out")
    assert (s4token.read_labels(files[0], cloud).instances == given.instances).all()
    assert (shown(app, handle)[0] == given.labels).all()
    assert (
        "Nothing differed"
        in exchange.load(app, handle, [tmp_path / "scene.zip"], Controls())[0].status
    )


def test_what_is_exported_says_where_it_came_from(app, handle, tmp_path):
    correct(app, handle)
    (path,), _ = exchange.export(app, handle, "json", tmp_path)
    said = json.loads(path.read_text(encoding="utf-8"))["provenance"]
    assert said["prompts"] == ["red", "green", "blue"] and said["negatives"] == ["sky"]
    assert said["threshold"] == 0.2 and said["tokenizer"] == "superpoint"
    assert said["model"]["sha256"] == "0" * 64 and said["model"]["clip"] == "fake-clip"
    assert said["version"] == s4token.__version__ and said["scan"]["name"] == "stripes.ply"
    assert said["colors"]["red"].startswith("#")
    assert said["corrections"] == {
        "points": int(np.count_nonzero(app.desk.get(handle).own)),
        "edits": 2,
        "splits": 0,
        "instances": 0,
    }
    room = app.store.open()
    events.open_room(app, room, "office", WORDS)
    (path,), _ = exchange.export(app, room, "json", tmp_path)
    assert (
        json.loads(path.read_text(encoding="utf-8"))["provenance"]["scan"]["seed"]
        == events.ROOMS["office"][1]
    )


def _files(folder: Path, cloud: PointCloud) -> dict[str, tuple[list[Path], str]]:
    """Uploads that do not fit, with what is said about them."""
    labels = Labelling(np.arange(3000) % 3, ("red", "chair"))
    write = s4token.write_labels
    write(folder / "a.label", cloud, labels)
    write(folder / "lone.label", cloud, labels)
    (folder / "lone.json").unlink()
    write(folder / "few.ply", cloud.select(np.arange(9)), Labelling(np.zeros(9, int), ("red",)))
    moved = replace(cloud, points=cloud.points + np.float32(1))
    write(folder / "moved.npz", moved, labels)
    write(folder / "moved.zip", moved, labels)
    write(folder / "hostile.json", cloud, Labelling(labels.labels, ("red", "two\nlines")))
    many = tuple(f"class {i}" for i in range(126))
    write(folder / "many.json", cloud, Labelling(np.arange(3000) % 127, many))
    write(folder / "unknown.csv", cloud, labels)
    (folder / "unknown.json").write_text('{"labels": {"1": "red"}}')
    (folder / "broken.las").write_bytes(b"LASF")
    s4token.write(folder / "none.ply", cloud)
    at = lambda *names: [folder / n for n in names]  # noqa: E731
    return {
        "few": (at("few.ply"), "few.ply: holds 9 points, the scan has 3,000"),
        "moved": (at("moved.npz"), "moved.npz: 3,000 of its 3,000 points lie elsewhere"),
        "moved, by hash": (at("moved.zip"), "moved.zip: made for another scan"),
        "lone": (
            at("lone.label"),
            "lone.label: the names of its labels are missing; give lone.json",
        ),
        "unknown": (at("unknown.csv", "unknown.json"), "unknown.csv: label: 2 in 1,000 points"),
        "broken": (at("broken.las"), "broken.las: "),
        "none": (at("none.ply"), "none.ply: holds no labels"),
        "name": (at("hostile.json"), "cannot be shown here"),
        "classes": (at("many.json"), "at most 125 classes"),
        "two": (at("few.ply", "moved.npz"), "choose one file"),
        "three": (at("a.label", "a.json", "few.ply"), "choose one file"),
        "nothing": ([], "choose one file"),
    }


CASES = ("few", "moved", "moved, by hash", "lone", "unknown", "broken", "none", "name", "classes")
CASES += ("two", "three", "nothing")


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_changes_nothing(app, handle, cloud, tmp_path, case):
    correct(app, handle)
    session, found = app.store.get(handle), app.desk.get(handle)
    before = found.own.copy(), found.revision, list(found.names), found.journal.path.read_bytes()
    paths, words = _files(tmp_path, cloud)[case]
    with pytest.raises(ValueError, match=r"^(Import|Corrections): ") as caught:
        exchange.load(app, handle, paths, WORDS)
    said = str(caught.value)
    assert words in said and str(tmp_path) not in said and "\n" not in said
    assert app.store.get(handle) is session and (found.own == before[0]).all()
    assert (found.revision, found.names, found.journal.path.read_bytes()) == before[1:]


def test_a_full_disk_changes_nothing(app, handle, tmp_path, monkeypatch):
    correct(app, handle)
    files, _ = exchange.export(app, handle, "las", tmp_path / "out")
    edit(app, handle, op="undo")
    events.ask(app, handle, Controls(prompts="blue"))
    session, own = app.store.get(handle), app.desk.get(handle).own.copy()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        exchange.load(app, handle, files, WORDS)
    assert app.store.get(handle) is session and (app.desk.get(handle).own == own).all()
    monkeypatch.undo()
    (tmp_path / "full").write_bytes(b"")  # a file where a folder should be
    with pytest.raises(OSError):
        exchange.export(app, handle, "ply", tmp_path / "full" / "out")


def test_another_page_corrects_the_scan(app, handle, cloud, tmp_path):
    files, _ = exchange.export(app, handle, "json", tmp_path / "out")
    second = app.store.open()
    events.open_file(app, second, tmp_path / "stripes.ply", WORDS)
    with pytest.raises(ValueError, match="another page"):
        exchange.load(app, second, files, WORDS)


def test_a_made_up_format_is_refused(app, handle, tmp_path):
    with pytest.raises(ValueError, match=r"no format '\.\./x'"):
        exchange.export(app, handle, "../x", tmp_path)
    assert not list(tmp_path.glob("*.x"))


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        {"prompts": "chair", "threshold": 0.3},
        {"prompts": [1], "threshold": 0.3},
        {"prompts": ["chair"], "threshold": float("nan")},
        {"prompts": ["chair"], "threshold": True},
        {"prompts": ["chair"], "negatives": None, "threshold": 0.1},
        {"prompts": [f"word {i}" for i in range(100)], "threshold": 0.1},
        {"prompts": ["chair", "table"], "threshold": [0.1]},
        {"prompts": ["chair", "table"], "threshold": [0.1, "x"]},
    ],
)
def test_words_that_a_page_would_not_take_are_not_asked(provenance):
    assert exchange.query_of(provenance) is None


def test_a_threshold_per_word_comes_back():
    said = {"prompts": ["chair", "table"], "negatives": [], "threshold": [0.1, 0.5]}
    query = exchange.query_of(said)
    assert query is not None and query.thresholds == (0.1, 0.5)
