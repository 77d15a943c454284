"""Instances, splits, locks and what to look at next: kept, undone, restored, and never forged."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from plyfile import PlyData

import s4token
from s4token import PointCloud
from viewer import events, exchange, overlay, suggest
from viewer.controls import Controls
from viewer.corrections import Desk
from viewer.edits import apply
from viewer.session import Store
from viewer.shared import App

ANNOTATE = Controls(view="Annotate")


def opened(app, path, prompts="red\ngreen\nblue") -> str:
    handle = app.store.open()
    events.open_file(app, handle, path, Controls(prompts=prompts))
    return handle


@pytest.fixture
def handle(app, path):
    return opened(app, path)


def edit(app, handle, **data):
    packed = app.files.cloud(app.store.get(handle).cloud)
    return apply(app, handle, {"number": 1, "cloud": packed.key, **data})


def shown(app, handle):
    return overlay.corrected(app, handle, app.store.get(handle))


# -- splitting ------------------------------------------------------------------------------------


def test_a_superpoint_is_cut_and_only_that(app, handle):
    before = app.store.get(handle)
    members = before.layer.encoding.groups[7]
    answer = edit(app, handle, op="split", tokens=[7], parts=4)
    assert answer["refresh"] and "cut into 4 parts" in answer["said"]
    after = shown(app, handle)
    groups, old = after.layer.encoding.groups, before.layer.encoding.groups
    count = len(old)
    assert len(groups) == count + 3
    parts = np.unique(after.layer.nearest[members])
    assert parts.tolist() == [7, count, count + 1, count + 2], "the first part keeps the number"
    others = np.setdiff1d(np.arange(len(before.cloud)), members)
    assert (after.layer.nearest[others] == before.layer.nearest[others]).all()
    exact = s4token.Superpoints(count=4)(before.cloud.select(members)).labels
    for part in range(4):
        assert len(np.unique(after.layer.nearest[members[exact == part]])) == 1
    assert (after.answer.labels == before.answer.labels).all(), "labels stay"
    assert (after.answer.scores[parts] == before.answer.scores[7]).all(), "as their parent"
    assert (after.layer.encoding.features[parts] == before.layer.encoding.features[7]).all()
    assert app.store.get(handle).layer is before.layer, "what the model said is untouched"


def test_a_part_is_picked_labelled_and_split_again(app, handle):
    edit(app, handle, op="split", tokens=[7, 9], parts=2)
    count = len(app.store.get(handle).layer.encoding.groups)
    edit(app, handle, op="split", tokens=[count], parts=3)
    session = shown(app, handle)
    assert len(session.layer.encoding.groups) == count + 4
    members = session.layer.encoding.groups[count + 1]
    edit(app, handle, op="label", label="blue", tokens=[count + 1])
    assert (np.flatnonzero(app.desk.get(handle).own) == np.sort(members)).all()
    assert f"Superpoint {count + 1}:" in events.explain(app, handle, {"token": count + 1}).why
    scene = events.redraw(app, handle, ANNOTATE).scene
    with open(scene["panels"][0]["tokens"]["file"]["path"], "rb") as data:
        ids = np.frombuffer(data.read(), "<u4")
    assert len(np.unique(ids)) == count + 4
    assert around(scene) == session.layer.neighbours


def around(scene) -> list[list[int]]:
    """Return the neighbours of each superpoint, as the page's script finds them."""
    with open(scene["neighbours"]["file"]["path"], "rb") as file:
        data = np.frombuffer(file.read(), "<u4")
    begin = data[: data[0]]
    return [data[a:b].tolist() for a, b in pairwise(begin)]


def test_neighbours_are_sent_once_for_a_partition(app, handle):
    first, again = (events.redraw(app, handle, ANNOTATE).scene for _ in range(2))
    assert around(first) == app.store.get(handle).layer.neighbours
    assert first["neighbours"] == again["neighbours"], "the same file, which a page keeps"
    edit(app, handle, op="split", tokens=[7], parts=2)
    cut = events.redraw(app, handle, ANNOTATE).scene
    assert cut["neighbours"]["key"] != first["neighbours"]["key"]
    assert len(around(cut)) == len(around(first)) + 1
    assert "neighbours" not in events.redraw(app, handle, Controls(view="Labels")).scene


def test_a_split_is_undone_redone_and_restored(app, handle, path):
    before = app.store.get(handle).layer.nearest
    edit(app, handle, op="split", tokens=[3], parts=3)
    cut = shown(app, handle).layer.nearest
    assert edit(app, handle, op="undo")["refresh"]
    assert shown(app, handle).layer is app.store.get(handle).layer
    assert edit(app, handle, op="redo")["refresh"]
    assert (shown(app, handle).layer.nearest == cut).all() and (cut != before).any()
    app.close(handle)
    later = App(app.model, Store(1 << 30), desk=Desk(app.desk.folder))
    again = opened(later, path)
    assert (shown(later, again).layer.nearest == cut).all()
    edit(later, again, op="undo")
    assert (shown(later, again).layer.nearest == before).all()


def test_other_tokenizers_do_not_split(app, handle):
    edit(app, handle, op="split", tokens=[3], parts=3)
    events.choose_tokenizer(app, handle, Controls(tokenizer="knn"))
    assert shown(app, handle).layer is app.store.get(handle).layer
    with pytest.raises(ValueError, match="only superpoints can be split"):
        edit(app, handle, op="split", tokens=[3], parts=3)


def test_a_superpoint_too_small_is_refused_and_nothing_is_cut(app, tmp_path):
    rng = np.random.default_rng(0)
    cloud = PointCloud(rng.uniform(size=(200, 3)), rng.uniform(size=(200, 3)))
    s4token.write(tmp_path / "few.ply", cloud)
    handle = opened(app, tmp_path / "few.ply")
    sizes = app.store.get(handle).layer.encoding.groups.sizes
    small, large = int(sizes.argmin()), int(sizes.argmax())
    with pytest.raises(ValueError, match=f"superpoint {small} has {sizes[small]} points"):
        edit(app, handle, op="split", tokens=[small, large], parts=int(sizes[small]) + 1)
    assert not app.desk.get(handle).piece.any() and not app.desk.get(handle).done


# -- instances ------------------------------------------------------------------------------------


def test_instances_have_numbers_leave_with_their_class_and_come_back(app, handle, path):
    groups = app.store.get(handle).layer.encoding.groups
    assert "red #1" in edit(app, handle, op="instance", label="red", tokens=[1, 2])["said"]
    edit(app, handle, op="instance", label="red", tokens=[5])
    found = app.desk.get(handle)
    assert (found.instance[groups[1]] == 1).all() and (found.instance[groups[5]] == 2).all()
    again = edit(app, handle, op="label", label="red", tokens=[1])
    assert "already" in again["said"], "the same class: still that instance"
    edit(app, handle, op="label", label="blue", tokens=[1])
    assert not found.instance[groups[1]].any() and (found.instance[groups[2]] == 1).all()
    edit(app, handle, op="undo")
    edit(app, handle, op="erase", tokens=[5])
    assert found.instance.max() == 1
    edit(app, handle, op="undo")
    end = found.instance.copy()
    app.close(handle)
    later = App(app.model, Store(1 << 30), desk=Desk(app.desk.folder))
    again = opened(later, path)
    assert (later.desk.get(again).instance == end).all() and end.max() == 2
    for _ in range(2):
        edit(later, again, op="undo")
    assert not later.desk.get(again).instance.any() and not later.desk.get(again).own.any()


def test_instances_are_exported_and_open_elsewhere(app, handle, tmp_path):
    edit(app, handle, op="label", label="green", tokens=[3])
    (plain, _), _ = exchange.export(app, handle, "ply", tmp_path / "plain")
    assert "instance" not in s4token.read(plain).attributes
    edit(app, handle, op="instance", label="green", tokens=[1, 2])
    (path, _), _ = exchange.export(app, handle, "ply", tmp_path / "out")
    found = app.desk.get(handle).instance
    vertex = PlyData.read(str(path))["vertex"]
    assert vertex["instance"].dtype == np.int32 and (vertex["instance"] == found).all()
    assert (s4token.read_scan(path).instances == found).all()


# -- locked and hidden classes --------------------------------------------------------------------


@pytest.mark.parametrize("how", ["lock", "hide"])
@pytest.mark.parametrize("op", ["label", "erase", "instance"])
def test_locked_and_hidden_classes_are_kept_and_it_is_said(app, handle, how, op):
    edit(app, handle, op="label", label="red", tokens=[1])
    edit(app, handle, op="label", label="green", tokens=[2])
    events.toggle(app, handle, how, 1, ANNOTATE)  # red
    session = shown(app, handle)
    red = session.answer.labels == 1
    inside = np.isin(session.layer.nearest, [1, 2])
    found = app.desk.get(handle)
    before = found.own.copy()
    what = {"op": op, "tokens": [1, 2], **({} if op == "erase" else {"label": "blue"})}
    said = edit(app, handle, **what)["said"]
    assert f"{(red & inside).sum():,} points of locked or hidden classes were kept" in said
    assert (found.own[red] == before[red]).all() and not found.instance[red].any()
    assert (found.own[inside & ~red] != before[inside & ~red]).all()
    with pytest.raises(ValueError, match=r"all .* of locked or hidden classes"):
        edit(app, handle, **{**what, "tokens": [1]})
    events.toggle(app, handle, how, 1, ANNOTATE)
    edit(app, handle, **{**what, "tokens": [1]})
    assert (found.own[session.layer.nearest == 1] != before[session.layer.nearest == 1]).all()


def test_nothing_joins_a_locked_class(app, handle):
    answer = edit(app, handle, op="lock", label="green")
    assert [c["locked"] for c in answer["classes"]] == [False, True, False]
    for op in ("label", "instance"):
        with pytest.raises(ValueError, match="green is locked"):
            edit(app, handle, op=op, label="green", tokens=[1])
    legend = events.redraw(app, handle, ANNOTATE).legend
    assert legend.count('data-action="lock"') == 4
    assert legend.count('aria-label="lock green" aria-pressed="true"') == 1
    events.ask(app, handle, Controls(prompts="green"))
    assert app.store.get(handle).locked == {"green"}, "also after another question"
    assert not any(c["locked"] for c in edit(app, handle, op="lock", label="green")["classes"])


def test_undo_goes_back_through_a_lock(app, handle):
    edit(app, handle, op="label", label="red", tokens=[1])
    edit(app, handle, op="lock", label="red")
    edit(app, handle, op="undo")
    assert not app.desk.get(handle).own.any()


def test_a_hidden_class_may_be_gone_after_an_undo(app, handle):
    edit(app, handle, op="label", label="green", tokens=[2])
    edit(app, handle, op="class", name="sofa")
    edit(app, handle, op="label", label="sofa", tokens=[1])
    events.toggle(app, handle, "hide", 4, ANNOTATE)
    for _ in range(2):
        edit(app, handle, op="undo")
        for view in ("Labels", "Annotate"):
            assert events.redraw(app, handle, Controls(view=view)).scene is not None


# -- next -----------------------------------------------------------------------------------------


def test_next_walks_from_the_most_doubtful_and_comes_round(app, handle):
    session = app.store.get(handle)
    doubt = np.bincount(session.layer.nearest, 1 - session.answer.confidence)
    found, at, revision = [], -1, app.desk.get(handle).revision
    for _ in range(len(doubt)):
        answer = edit(app, handle, op="next", after=at)
        assert answer["select"] == [answer["focus"]]
        at = answer["focus"]
        found.append(at)
    assert sorted(found) == list(range(len(doubt))), "each once"
    assert (np.diff(doubt[found]) <= 1e-6).all()
    assert edit(app, handle, op="next", after=at)["focus"] == found[0], "and round again"
    state = app.desk.get(handle)
    assert state.revision == revision and not state.own.any(), "it never labels"


def test_next_leaves_out_what_is_done_locked_or_hidden(app, handle):
    first = edit(app, handle, op="next", after=-1)["focus"]
    edit(app, handle, op="label", label="red", tokens=[first])
    second = edit(app, handle, op="next", after=first)["focus"]
    assert second != first
    events.toggle(app, handle, "hide", 2, ANNOTATE)
    events.toggle(app, handle, "lock", 3, ANNOTATE)
    _, todo = suggest.doubtful(shown(app, handle), app.desk.get(handle))
    labels = s4_labels(shown(app, handle))
    assert todo.any() and not todo[np.isin(labels, [2, 3])].any()
    count = len(app.store.get(handle).layer.encoding.groups)
    for label in (0, 1):
        events.toggle(app, handle, "lock", label, ANNOTATE)
    answer = edit(app, handle, op="next", after=count - 1)
    assert answer["select"] == [] and "focus" not in answer and "every superpoint" in answer["said"]


def s4_labels(session) -> np.ndarray:
    """Return the label of each superpoint, -1 where its points differ."""
    groups = session.layer.encoding.groups
    return np.array(
        [x[0] if (x == x[0]).all() else -1 for x in (session.answer.labels[g] for g in groups)]
    )


def test_next_needs_words(app, path):
    handle = opened(app, path, prompts="")
    with pytest.raises(ValueError, match="Next: type words"):
        edit(app, handle, op="next", after=-1)


# -- pages ----------------------------------------------------------------------------------------


def test_a_second_page_is_told_when_it_opens_the_scan(app, handle, path):
    other = app.store.open()
    screen = events.open_file(app, other, path, Controls())
    assert "open on another page" in screen.status
    assert "open on another page" not in events.redraw(app, handle, Controls()).status


def test_a_page_that_was_left_does_not_count(app, handle, path):
    edit(app, handle, op="label", label="red", tokens=[1])
    app.desk.leave(handle)
    edit(app, handle, op="undo")  # its connection broke, but it is still there
    other = app.store.open()
    assert "another page" not in events.open_file(app, other, path, Controls()).status
    edit(app, other, op="redo")
    with pytest.raises(ValueError, match="on another page"):
        edit(app, handle, op="undo")
    app.desk.leave(other)
    claimed = events.redraw(app, handle, Controls(view="Annotate")).status
    assert "other page" not in claimed
    edit(app, handle, op="undo")


def test_labelling_what_is_so_already_is_no_mistake(app, handle):
    first = edit(app, handle, op="label", label="red", tokens=[1])
    again = edit(app, handle, op="label", label="red", tokens=[1])
    assert "are red already" in again["said"] and again["revision"] == first["revision"]
    assert len(app.desk.get(handle).done) == 1


def test_a_page_that_lost_a_connection_counts_again_as_soon_as_it_asks(app, handle, path):
    edit(app, handle, op="label", label="red", tokens=[1])
    app.desk.leave(handle)
    app.page(handle)  # what every event of a page begins with
    other = app.store.open()
    assert "open on another page" in events.open_file(app, other, path, Controls()).status
    with pytest.raises(ValueError, match="on another page"):
        edit(app, other, op="undo")
    edit(app, handle, op="undo")


FORGED = [
    {"op": "split"}, {"op": "split", "tokens": [1]}, {"op": "split", "tokens": [], "parts": 2},
    {"op": "split", "tokens": [-1], "parts": 2}, {"op": "split", "tokens": [10**6], "parts": 2},
    {"op": "split", "tokens": [1.5], "parts": 2}, {"op": "split", "tokens": 1, "parts": 2},
    {"op": "split", "tokens": list(range(40)), "parts": 2},
    {"op": "split", "tokens": [0] * 1_000_000, "parts": 2},
    *({"op": "split", "tokens": [1], "parts": p} for p in (0, 1, 33, 2.0, "2", True, None, -2)),
    {"op": "split", "tokens": [1], "parts": float("nan")},
    *({"op": "next", "after": a} for a in (-2, 10**6, None, "0", 1.0, False, float("nan"), [1])),
    {"op": "instance", "label": "red"}, {"op": "instance", "tokens": [1]},
    {"op": "instance", "label": "evil", "tokens": [1]},
    {"op": "instance", "label": "red", "tokens": [float("nan")]},
    {"op": "instance", "label": "red", "points": "AAAA"},
    {"op": "lock"}, {"op": "lock", "label": "evil"}, {"op": "lock", "label": ["red"]},
]  # fmt: skip


@pytest.mark.parametrize("data", FORGED)
def test_forged_edits_are_refused_and_change_nothing(app, handle, data):
    with pytest.raises(ValueError, match="Corrections:"):
        edit(app, handle, **data)
    found = app.desk.get(handle)
    assert not any(np.any(v) for v in (found.own, found.instance, found.piece))
    assert not found.journal.path.exists() and not app.store.get(handle).locked


@pytest.mark.parametrize(("action", "label"), [("lock", 4), ("lock", -1), ("lock", None), ("x", 1)])
def test_a_forged_click_on_the_legend_is_refused(app, handle, action, label):
    with pytest.raises(ValueError, match="Legend:"):
        events.toggle(app, handle, action, label, ANNOTATE)
    assert not app.store.get(handle).locked


def test_an_edit_of_many_points_is_answered_with_little(app, handle):
    rng = np.random.default_rng(0)
    found = app.desk.get(handle)
    some = np.sort(rng.choice(len(found.own), 1500, replace=False))
    found.set(some, "red", instance=1)
    assert len(json.dumps(edit(app, handle, op="undo"))) < 4 * len(found.own)
