"""Corrections: nothing is lost, everything can be undone, and nothing made up gets in."""

from __future__ import annotations

import base64
import errno
import json
import os
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import s4token
from s4token import PointCloud
from tests.fakes import striped_cloud
from viewer import corrections, edit_messages, edits, events, exchange, journal
from viewer.controls import Controls
from viewer.corrections import FIRST, NONE, UNLABELLED, Corrections, Desk
from viewer.session import Store
from viewer.shared import App

POINTS = 60

indices = st.lists(st.integers(0, POINTS - 1), min_size=1, unique=True).map(
    lambda x: np.array(sorted(x))
)
acts = st.one_of(
    st.tuples(st.just("set"), indices, st.sampled_from(["chair", "стол", None])),
    st.tuples(st.just("erase"), indices, st.none()),
    st.tuples(st.sampled_from(["undo", "redo"]), st.none(), st.none()),
    st.tuples(st.just("class"), st.none(), st.sampled_from(["lamp", "chair"])),
    st.tuples(st.just("import"), indices, st.sampled_from(["chair", "стол", None])),
    st.tuples(st.just("instance"), indices, st.sampled_from(["chair", "стол"])),
    st.tuples(st.just("split"), indices, st.integers(2, 5)),
)


def values_of(found: Corrections) -> list[list[int]]:
    return [found.own.tolist(), found.instance.tolist(), found.piece.tolist()]


def act(found: Corrections, op, index, label) -> None:
    """Do one random thing; what is not possible is refused and must change nothing."""
    before = values_of(found), found.revision, len(found.journal.entries)
    try:
        if op == "instance":
            found.set(index, label, instance=int(found.instance.max()) + 1)
        elif op == "split":
            found.split(index, found.pieces + 1 + np.arange(len(index)) % label)
        elif op in ("set", "erase"):
            found.set(index, label, erase=op == "erase")
        elif op == "import":
            values = np.zeros(POINTS, dtype=np.uint8)
            values[index] = np.arange(len(index)) % 3 + (label is not None)
            found.take(values, ["lamp", label or "стул"])
        elif op == "class":
            found.add_class(label)
        else:
            found.step(op)
    except ValueError:
        assert values_of(found) == before[0]
        assert (found.revision, len(found.journal.entries)) == before[1:]


# -- the journal ----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(acts, max_size=25))
def test_undoing_all_is_the_start_and_reopening_is_the_same(tmp_path_factory, todo):
    path = tmp_path_factory.mktemp("state") / "scan.journal"
    found = Corrections(POINTS, path)
    for one in todo:
        act(found, *one)
    found.journal.close()
    again = Corrections(POINTS, path)
    assert values_of(again) == values_of(found) and again.names == found.names
    assert again.pieces == again.piece.max()
    assert len(again.done) == len(found.done) and len(again.undone) == len(found.undone)
    end, steps = values_of(again), len(again.done)
    for _ in range(steps):
        again.step("undo")
    assert not np.any(values_of(again)) and again.pieces == 0, "undo all = start"
    with pytest.raises(ValueError, match="nothing to undo"):
        again.step("undo")
    for _ in range(steps):
        again.step("redo")
    assert values_of(again) == end, "redo all = end"
    again.journal.close()


@settings(max_examples=30, deadline=None)
@given(indices)
def test_packed_points_come_back(index):
    assert (corrections.unpack(corrections.pack(index)) == index).all()


def filled(path) -> Corrections:
    found = Corrections(POINTS, path)
    for i in range(5):
        found.set(np.arange(10 * i, 10 * i + 10), f"class {i}")
    found.journal.close()
    return found


def test_a_torn_last_line_costs_one_edit_at_most(tmp_path):
    path = tmp_path / "scan.journal"
    whole = filled(path).journal.entries
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    for cut in range(len(data) - len(lines[-1]) + 1, len(data)):
        path.write_bytes(data[:cut])
        found = Corrections(POINTS, path)
        assert found.journal.entries == whole[:-1] and "not been finished" in found.journal.note
        found.set(np.array([59]), "next")
        found.journal.close()
        again = Corrections(POINTS, path)
        assert again.own[59] == found.own[59] > 0 and again.journal.note == ""
        again.journal.close()


def test_damage_in_the_middle_is_said_and_kept(tmp_path):
    path = tmp_path / "scan.journal"
    filled(path)
    data = bytearray(path.read_bytes())
    lines = bytes(data).splitlines(keepends=True)
    data[len(lines[0]) + len(lines[1]) + 20] ^= 1
    path.write_bytes(data)
    found = Corrections(POINTS, path)
    assert len(found.journal.entries) == 1 and found.count == 10
    assert "damaged" in found.journal.note
    assert path.with_suffix(".damaged").read_bytes() == bytes(data)


@pytest.mark.parametrize(
    ("header", "body", "message"),
    [
        ({"journal": 99, "points": POINTS}, None, "another version"),
        ({"journal": 1, "points": 7}, None, "another scan"),
        ({"journal": 1, "points": POINTS}, {"op": "dance"}, "line 2 makes no sense"),
        ({"journal": 1, "points": POINTS}, {"op": "undo"}, "line 2 makes no sense"),
        (
            {"journal": 1, "points": POINTS},
            {"op": "set", "label": "x", "value": 2, "points": corrections.pack(np.array([999]))},
            "line 2 makes no sense",
        ),
        (
            {"journal": 1, "points": POINTS},
            {"op": "import", "labels": [], "points": "", "values": "eJxjYmIGAAAQAAc="},
            "line 2 makes no sense",
        ),
        (
            {"journal": 1, "points": POINTS},
            {
                "op": "split",
                "points": corrections.pack(np.arange(4)),
                "pieces": corrections.pack_values(np.arange(3)),
            },
            "line 2 makes no sense",
        ),
    ],
)
def test_a_journal_that_is_not_ours_is_refused_and_left_alone(tmp_path, header, body, message):
    path = tmp_path / "scan.journal"
    data = journal.encode(header) + (journal.encode(body) if body else b"")
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        Corrections(POINTS, path)
    assert "scan.journal" in str(caught.value) and path.read_bytes() == data


def test_a_full_disk_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "scan.journal"
    found = Corrections(POINTS, path)
    found.set(np.arange(5), "chair")
    data, own = path.read_bytes(), found.own.copy()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for change in (
        lambda: found.set(np.arange(20), "table"),
        lambda: found.step("undo"),
        lambda: found.add_class("lamp"),
        lambda: found.take(np.full(POINTS, FIRST, np.uint8), ["lamp"]),
    ):
        with pytest.raises(OSError, match="No space"):
            change()
        assert path.read_bytes() == data and (found.own == own).all()
        assert found.names == ["chair"] and len(found.done) == 1
    monkeypatch.undo()
    found.step("undo")
    assert not found.own.any()


KILLED = """
import os, sys, numpy as np
from pathlib import Path
from viewer.corrections import Corrections
found = Corrections(60, Path(sys.argv[1]))
for i in range(3):
    found.set(np.arange(i, i + 3), "chair")
print("acknowledged", flush=True)
os.kill(os.getpid(), 9)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    path = tmp_path / "scan.journal"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "acknowledged" and done.returncode == -9, done.stderr
    found = Corrections(POINTS, path)
    assert len(found.done) == 3 and (found.own[:5] == FIRST).all() and not found.own[5:].any()


@pytest.mark.skipif(journal.fcntl is None, reason="needs flock")
def test_a_second_server_is_told(tmp_path):
    path = tmp_path / "scan.journal"
    first = Corrections(POINTS, path)
    first.set(np.arange(5), "chair")
    second = Corrections(POINTS, path)
    with pytest.raises(ValueError, match="another S4Token app"):
        second.set(np.arange(9), "table")
    assert second.count == 5 and Corrections(POINTS, path).count == 5


def test_there_is_a_limit_of_classes(tmp_path):
    found = Corrections(POINTS, tmp_path / "scan.journal")
    for i in range(corrections.MOST):
        found.add_class(f"class {i}")
    values = np.full(POINTS, FIRST + 1, np.uint8)
    for change in (
        lambda: found.add_class("one more"),
        lambda: found.set(np.arange(3), "more"),
        lambda: found.take(values, ["class 1", "more"]),
    ):
        with pytest.raises(ValueError, match="at most 125 classes"):
            change()
    found.set(np.arange(3), "class 124")
    assert found.own.max() < 128, "the browser keeps the highest bit for itself"


@pytest.mark.parametrize("same", [True, False])
def test_scans_are_told_apart_by_their_points(same):
    points = np.random.default_rng(0).uniform(size=(50, 3))
    other = points.copy() if same else points + np.array([0, 0, 1e-9])
    keys = {PointCloud(p).fingerprint for p in (points, other)}
    assert len(keys) == (1 if same else 2)


# -- pages ----------------------------------------------------------------------------------------


def opened(app, path) -> str:
    handle = app.store.open()
    events.open_file(app, handle, path, Controls(prompts="red\ngreen\nblue"))
    return handle


@pytest.fixture
def handle(app, path):
    return opened(app, path)


def edit(app, handle, **data):
    packed = app.files.cloud(app.store.get(handle).cloud)
    return edits.apply(app, handle, {"number": 1, "cloud": packed.key, **data})


def bits(app, handle, index) -> str:
    packed = app.files.cloud(app.store.get(handle).cloud)
    inside = np.zeros(len(packed.order), dtype=bool)
    inside[packed.place[index]] = True
    return base64.b64encode(np.packbits(inside, bitorder="little").tobytes()).decode()


def browser(app, handle, answers, n) -> np.ndarray:
    """Follow the patches as the page does; returns values in the file's order."""
    packed = app.files.cloud(app.store.get(handle).cloud)
    ids = app.store.get(handle).layer.nearest[packed.order]
    own = np.zeros(n, dtype=np.uint8)
    for answer in answers:
        for token, value in answer.get("tokens", []):
            own[ids == token] = value
        if "own" in answer:
            at, values = unpacked(answer["own"], packed.walk, np.uint8)
            own[at] = values
    return own


def unpacked(text: str, walk: np.ndarray, dtype) -> tuple[np.ndarray, np.ndarray]:
    """Read places in the file and their values, as the page's script does."""
    data = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    marked = np.unpackbits(data[: (len(walk) + 7) // 8], bitorder="little")[: len(walk)] > 0
    return walk[marked], data[(len(walk) + 7) // 8 :].view(dtype)


def test_a_click_corrects_a_superpoint_and_the_patch_says_so(app, handle):
    answer = edit(app, handle, op="label", label="green", tokens=[7])
    session = app.store.get(handle)
    members = session.layer.encoding.groups[7]
    shown = events.corrected(app, handle, session).answer
    assert (shown.labels[members] == 2).all() and (shown.confidence[members] == 1).all()
    others = np.setdiff1d(np.arange(len(session.cloud)), members)
    assert (shown.labels[others] == session.answer.labels[others]).all()
    assert answer["tokens"] == [[7, FIRST]] and answer["undo"] and not answer["redo"]
    assert "Saved" in answer["said"] and len(json.dumps(answer)) < 2000


def test_patches_bring_the_browser_to_the_same_values(app, handle):
    n = len(app.store.get(handle).cloud)
    rng = np.random.default_rng(3)
    known = ["red", "green", "blue"]
    answers = []
    for step in range(40):
        some = np.sort(rng.choice(n, rng.integers(1, n // 2), replace=False))
        todo = [
            {"op": "label", "label": known[step % 3], "tokens": [int(rng.integers(0, 60))]},
            {"op": "label", "label": known[step % 3], "points": bits(app, handle, some)},
            {"op": "erase", "points": bits(app, handle, some)},
            {"op": "undo"},
            {"op": "redo"},
        ][rng.integers(0, 5)]
        try:
            answers.append(edit(app, handle, **todo))
        except ValueError:
            continue
    packed = app.files.cloud(app.store.get(handle).cloud)
    own = app.desk.get(handle).own[packed.order]
    assert len(answers) > 20 and (browser(app, handle, answers, n) == own).all()
    whole = edit(app, handle, op="state")["file"]["path"]
    with open(whole, "rb") as data:
        assert (np.frombuffer(data.read(), np.uint8) == own).all()


def test_corrections_come_back_in_another_page_and_after_a_restart(app, handle, path, tmp_path):
    edit(app, handle, op="class", name="  my   class ")
    edit(app, handle, op="label", label="my class", tokens=[1, 2, 3])
    own = app.desk.get(handle).own.copy()
    copy = tmp_path / "renamed.ply"
    copy.write_bytes(path.read_bytes())
    app.close(handle)
    later = App(app.model, Store(1 << 30), desk=Desk(app.desk.folder))
    again = later.store.open()
    screen = events.open_file(later, again, copy, Controls())
    assert f"{np.count_nonzero(own):,} corrected points were restored" in screen.status
    assert (later.desk.get(again).own == own).all() and "my class" in screen.legend
    edit(later, again, op="undo")
    assert not later.desk.get(again).own.any()


def test_two_pages_on_one_scan_take_turns(app, handle, path):
    other = opened(app, path)
    with pytest.raises(ValueError, match="on another page"):
        edit(app, other, op="label", label="red", tokens=[1])
    edit(app, handle, op="label", label="red", tokens=[1])
    taken = events.redraw(app, other, Controls(view="Annotate"))
    assert "This page corrects the scan now" in taken.status
    edit(app, other, op="label", label="blue", tokens=[2])
    with pytest.raises(ValueError, match="on another page"):
        edit(app, handle, op="undo")
    app.close(other)
    events.redraw(app, handle, Controls(view="Annotate"))
    edit(app, handle, op="undo")
    assert app.desk.get(handle).count == len(app.store.get(handle).layer.encoding.groups[1])


def forged(n: int) -> list:
    size = (n + 7) // 8
    full = base64.b64encode(b"\xff" * size).decode()
    label = {"op": "label", "label": "red"}
    return [
        {"op": "dance"}, {"op": None}, {"op": ["undo"]}, {},
        {**label, "tokens": [-1]}, {**label, "tokens": [10**6]}, {**label, "tokens": [1.0]},
        {**label, "tokens": [True]}, {**label, "tokens": [float("nan")]}, {**label, "tokens": []},
        {**label, "tokens": [0] * 1_000_000}, {**label, "tokens": "1"}, {**label, "tokens": None},
        {**label, "points": full[:-8]}, {**label, "points": full + "AAAA"},
        {**label, "points": "!"}, {**label, "points": "A" * 5_000_000},
        {**label, "points": full}, {**label, "points": 7},
        {**label, "points": full, "tokens": [1]}, {"op": "erase"},
        {"op": "label", "label": "evil", "tokens": [1]}, {"op": "label", "tokens": [1]},
        {"op": "label", "label": {"a": 1}, "tokens": [1]},
        {"op": "label", "label": 3, "tokens": [1]},
        {"op": "class"}, {"op": "class", "name": ""}, {"op": "class", "name": "x" * 81},
        {"op": "class", "name": 7}, {"op": "class", "name": "\x00\n"},
        {"op": "class", "name": "Unlabelled"}, {"op": "undo"}, {"op": "redo"},
        {"op": "propose"}, {"op": "propose", "label": ["red"]}, {"op": "propose", "label": "evil"},
        {"op": "undo", "cloud": "another"}, {"op": "undo", "cloud": None},
    ]  # fmt: skip


@pytest.mark.parametrize("case", range(len(forged(3001))))
def test_forged_edits_are_refused_and_change_nothing(app, handle, tmp_path, case):
    s4token.write(tmp_path / "odd.ply", striped_cloud(3001))  # the last byte has bits to spare
    events.open_file(app, handle, tmp_path / "odd.ply", Controls(prompts="red"))
    data = forged(3001)[case]
    with pytest.raises(ValueError, match="Corrections:"):
        edit(app, handle, **data)
    found = app.desk.get(handle)
    assert not found.own.any() and not found.names and not found.journal.entries
    assert not found.journal.path.exists()


@pytest.mark.parametrize("data", [None, 7, "x", [], {"number": float("nan")}, {"number": -1}])
def test_an_edit_without_a_number_is_no_edit(app, handle, data):
    assert edit_messages.parse_number(data) == -1
    with pytest.raises(ValueError, match="Corrections:"):
        edits.apply(app, handle, data)


def test_corrected_superpoints_are_prototypes_and_nothing_is_applied(app, handle):
    session = app.store.get(handle)
    rgb = session.layer.encoding.features[:, :3]
    reds, blues = (np.flatnonzero(rgb.argmax(axis=1) == axis) for axis in (0, 2))
    edit(app, handle, op="class", name="warm")
    with pytest.raises(ValueError, match="Propose: first label"):
        edit(app, handle, op="propose", label="warm")
    edit(app, handle, op="label", label="warm", tokens=reds[:2].tolist())
    edit(app, handle, op="label", label="blue", tokens=blues[:2].tolist())
    own = app.desk.get(handle).own.copy()
    answer = edit(app, handle, op="propose", label="warm")
    found = answer["select"]
    assert len(found) > 3 and set(found) <= set(reds[2:]), "red ones, and none that is done"
    assert len(found) <= 0.05 * len(rgb) + 1
    assert (app.desk.get(handle).own == own).all() and "Enter" in answer["said"]
    edit(app, handle, op="label", label="warm", tokens=found)
    assert "tokens" not in edit(app, handle, op="propose", label="warm")


def test_another_session_gets_nothing(app, handle):
    stranger = app.store.open()
    for who in (stranger, "made-up"):
        with pytest.raises(ValueError, match="none is open"):
            edits.apply(app, who, {"op": "undo", "number": 1})


def test_hostile_names_are_inert(app, handle):
    name = '<img src=x onerror="1">{{value}}${value}'
    edit(app, handle, op="class", name=name)
    edit(app, handle, op="label", label=name, tokens=[1])
    screen = events.redraw(app, handle, Controls(view="Labels"))
    assert "<img" not in screen.legend and "{{" not in screen.legend and "${" not in screen.legend


def test_hidden_classes_hide_corrected_points_too(app, handle):
    edit(app, handle, op="label", label="green", tokens=[1])
    c = Controls(view="Labels")
    own = events.toggle(app, handle, "hide", 2, c).scene["own"]
    assert own["hidden"] == [0] and own["unlabelled"]
    assert events.toggle(app, handle, "all", 0, c).scene["own"]["hidden"] == []


def test_export_writes_what_was_corrected(app, handle, tmp_path):
    edit(app, handle, op="class", name="стул")
    edit(app, handle, op="label", label="стул", tokens=[1, 2])
    session = app.store.get(handle)
    shown = events.corrected(app, handle, session).answer
    (ply, about), _ = exchange.export(app, handle, "ply", tmp_path / "out")
    back = s4token.read_scan(ply)
    assert (back.labels == shown.labels).all()
    data = json.loads(about.read_text(encoding="utf-8"))
    assert list(data["labels"].values())[-1] == "стул"
    members = np.concatenate([session.layer.encoding.groups[m] for m in (1, 2)])
    assert data["counts"]["стул"] == len(members) == data["provenance"]["corrections"]["points"]


def test_corrections_alone_can_be_exported(app, path, tmp_path):
    handle = app.store.open()
    events.open_file(app, handle, path, Controls())
    edit(app, handle, op="class", name="thing")
    edit(app, handle, op="label", label="thing", tokens=[4])
    assert "thing" in events.redraw(app, handle, Controls(view="Labels")).legend
    (ply, _), _ = exchange.export(app, handle, "ply", tmp_path / "out")
    back = s4token.read_scan(ply)
    members = app.store.get(handle).layer.encoding.groups[4]
    assert (np.flatnonzero(back.labels) == np.sort(members)).all()


def test_every_view_works_with_corrections(app, handle):
    edit(app, handle, op="class", name="thing")
    edit(app, handle, op="label", label="thing", tokens=[4])
    for view in ("Colours", "Superpoints", "Tokens", "Heatmap", "Labels", "Annotate"):
        for scale in ("raw", "normalised"):
            c = Controls(view=view, heat="red", scale=scale)
            screen = events.redraw(app, handle, c)
            assert screen.view == view
            sent = json.dumps(screen.scene, allow_nan=False)
            assert len(sent) < 64_000 and ('"own"' in sent) == (view in ("Labels", "Annotate"))
            plotly = replace(c, look=replace(c.look, plotly=True))
            assert events.redraw(app, handle, plotly).figure is not None


def test_superpoints_that_touch_are_neighbours(app, handle):
    session = app.store.get(handle)
    found = session.layer.neighbours
    pitch = np.array([3, 2, 1]) / 5
    for m, around in enumerate(found):
        assert m not in around and all(m in found[n] for n in around)
        steps = np.abs(session.layer.centers[around] - session.layer.centers[m]) / pitch
        assert (steps < 1.6).all(), "only cells side by side touch"
    assert np.mean([len(a) for a in found]) > 3
    assert NONE == 0 and UNLABELLED == 1 and FIRST == 2, "the page's script counts on it"
