"""What happens on a click, without a browser: events, comparison and export."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import s4token
from s4token import PointCloud
from tests.fakes import CAMERA, FakeModel, marker_values, striped_cloud
from viewer import colors, compare, controls, events, exchange, scene
from viewer.controls import MAX_PROMPTS, Controls, parse_look
from viewer.figures import Look
from viewer.guard import guarded
from viewer.page import CONTROLS, settings

PLOTLY = Look(plotly=True)


@pytest.fixture
def handle(app):
    return app.store.open()


@pytest.fixture
def opened(app, handle, path):
    events.open_file(app, handle, path, Controls())
    return handle


# -- events ---------------------------------------------------------------------------------------


def test_open_ask_and_draw(app, opened):
    screen = events.ask(app, opened, Controls(prompts="red\nblue"))
    session = app.store.get(opened)
    truth = {"red": 0, "blue": 2}
    stripe = np.minimum(session.cloud.points[:, 0].astype(int), 2)
    for label, name in enumerate(session.answer.classes, 1):
        assert (session.answer.labels[stripe == truth[name]] == label).mean() > 0.8
    assert screen.view == "Labels" and screen.heat_choices == ("red", "blue")
    assert "2 words compared" in screen.status
    assert "showing 3,000 of 3,000 points" in screen.caption
    counts = np.bincount(session.answer.labels)
    assert f"{counts[1]:,}" in screen.legend and "aria-pressed" in screen.legend


def test_without_webgl_large_clouds_are_sampled_and_said(app, handle, tmp_path):
    s4token.write(tmp_path / "big.ply", striped_cloud(40_000))
    screen = events.open_file(app, handle, tmp_path / "big.ply", Controls(look=PLOTLY))
    assert "showing 30,000 of 40,000 points" in screen.caption
    assert "no WebGL2" in screen.caption
    assert sum(len(t.x) for t in screen.figure.data) == 30_000 and screen.scene is None


def test_a_further_prompt_changes_the_heatmap(app, opened):
    c = Controls(prompts="red", view="Heatmap", look=PLOTLY)
    first = events.ask(app, opened, c)
    second = events.ask(app, opened, replace(c, prompts="red\ngreen", heat="green"))
    assert second.heat == "green" and second.view == "Heatmap"
    assert not np.allclose(marker_values(first.figure), marker_values(second.figure))
    gone = events.ask(app, opened, Controls(prompts="blue", view="Heatmap", heat="green"))
    assert gone.heat == "blue"


@pytest.mark.parametrize("view", controls.VIEWS)
@pytest.mark.parametrize("tokenizer", FakeModel.tokenizers)
def test_every_view_of_every_tokenizer_keeps_the_camera(app, opened, view, tokenizer):
    events.ask(app, opened, Controls(prompts="red\ngreen"))
    c = Controls(
        prompts="red\ngreen", view=view, tokenizer=tokenizer, look=Look(CAMERA, plotly=True)
    )
    screen = events.choose_tokenizer(app, opened, c)
    assert screen.view == view
    assert screen.figure.layout.scene.camera.to_plotly_json() == CAMERA
    assert app.store.get(opened).answer.provenance["tokenizer"] == tokenizer


def test_another_scan_resets_the_camera(app, opened, path):
    screen = events.open_file(app, opened, path, Controls(look=Look(CAMERA, plotly=True)))
    assert screen.figure.layout.scene.camera.to_plotly_json() != CAMERA


def test_a_tokenizer_is_encoded_once(app, opened, model):
    for name in ("knn", "superpoint", "knn"):
        events.choose_tokenizer(app, opened, Controls(tokenizer=name))
    assert model.encoded == ["superpoint", "knn"]


def test_another_unit_encodes_anew_and_keeps_words_and_corrections(app, opened, model):
    events.ask(app, opened, Controls(prompts="red\nblue"))
    assert app.store.get(opened).cloud.metres_per_unit is None
    screen = events.tell(app, opened, Controls(prompts="red\nblue", unit="cm"))
    session = app.store.get(opened)
    assert session.cloud.metres_per_unit == 0.01 and model.encoded == ["superpoint"] * 2
    assert session.answer.classes == ("red", "blue") and list(session.layers) == [("superpoint", 1)]
    sides = 0.01 * np.ptp(session.cloud.points, axis=0)
    assert f"{' × '.join(f'{v:.2g}' for v in sides)} m</td>" in screen.stats
    events.choose_tokenizer(app, opened, Controls(tokenizer="knn", unit="cm"))
    assert app.store.get(opened).layer.encoding.cloud.metres_per_unit == 0.01
    events.tell(app, opened, Controls())
    assert app.store.get(opened).cloud.metres_per_unit is None


def test_another_axis_up_keeps_words_and_corrections_and_shows_the_scan_anew(app, opened, model):
    screen = events.ask(app, opened, Controls(prompts="red\nblue", view="Labels"))
    mark = app.store.get(opened).cloud.fingerprint
    turned = events.tell(app, opened, Controls(prompts="red\nblue", view="Labels", up="-y"))
    session = app.store.get(opened)
    assert session.cloud.up.tolist() == [0, -1, 0] and model.encoded == ["superpoint"] * 2
    assert session.layer.encoding.cloud.up.tolist() == [0, -1, 0]
    assert session.answer.classes == ("red", "blue") and session.cloud.fingerprint == mark
    assert turned.scene["cloud"]["up"] == [0, -1, 0]
    again = events.tell(app, opened, Controls(up="-y"))
    assert again.status is None and again.scene is None and model.encoded == ["superpoint"] * 2
    assert turned.scene["cloud"]["home"] != screen.scene["cloud"]["home"]
    assert events.tell(app, opened, Controls()).scene["cloud"]["up"] == [0, 0, 1]


def test_a_bundled_room_stands_whatever_was_chosen_for_the_scan_before(app, handle):
    screen = events.open_room(app, handle, "office", Controls(up="-y", unit="cm"))
    cloud = app.store.get(handle).cloud
    assert cloud.up.tolist() == [0, 0, 1] and cloud.metres_per_unit is None
    assert (screen.up, screen.unit) == ("z", "")
    values = [("-y" if name == "up" else "cm" if name == "unit" else "") for name in CONTROLS]
    pairs = json.loads(settings(screen, values, {}))["controls"]
    assert pairs["up"] == ["-y", "z"] and pairs["unit"] == ["cm", ""]
    events.open_room(app, handle, "office", Controls(unit="m"))
    assert app.store.get(handle).cloud.metres_per_unit == 1


def test_words_that_find_next_to_nothing_ask_which_axis_is_up(app, opened, monkeypatch):
    monkeypatch.setattr(s4token.Segmentation, "hardly_labelled", True)
    assert "Is -y really up?" in events.ask(app, opened, Controls(prompts="red", up="-y")).status
    monkeypatch.setattr(s4token.Segmentation, "hardly_labelled", False)
    assert "really up" not in events.ask(app, opened, Controls(prompts="red", up="-y")).status


def test_a_unit_before_any_scan_is_for_the_next(app, handle, path):
    assert "next scan" in events.tell(app, handle, Controls(unit="ft")).status
    events.open_file(app, handle, path, Controls(unit="ft"))
    assert app.store.get(handle).cloud.metres_per_unit == 0.3048


def test_an_estimated_size_is_said_to_be_one(app, handle, path, model):
    model.guess = 0.5
    screen = events.open_file(app, handle, path, Controls())
    sides = 0.5 * np.ptp(app.store.get(handle).cloud.points, axis=0)
    said = " × ".join(f"{v:.2g}" for v in sides)
    assert f"about {said} m, estimated from what it shows" in screen.stats


def test_a_picture_that_catches_up_leaves_the_answer_to_be_read(app, opened):
    c = Controls(prompts="red", view="Superpoints")
    assert events.redraw(app, opened, c).status
    screen = events.catch_up(app, opened, c)
    assert screen.status is None and screen.scene is not None and screen.view == "Superpoints"
    refused = events.catch_up(app, opened, replace(c, view="Labels"))
    assert "press Find first" in refused.status and refused.view == "Colours"


def test_hide_solo_and_all(app, opened):
    c = Controls(prompts="red\ngreen\nblue", view="Labels", look=PLOTLY)
    events.ask(app, opened, c)
    counts = np.bincount(app.store.get(opened).answer.labels, minlength=4)

    def shown(screen):
        return sum(len(t.x) for t in screen.figure.data)

    hide = events.toggle(app, opened, "hide", 1, c)
    assert shown(hide) == counts.sum() - counts[1] and "show all" in hide.legend
    assert shown(events.toggle(app, opened, "hide", 1, c)) == counts.sum()
    assert shown(events.toggle(app, opened, "solo", 2, c)) == counts[2]
    assert shown(events.redraw(app, opened, replace(c, view="Heatmap"))) == counts[2]
    assert shown(events.toggle(app, opened, "solo", 2, c)) == counts.sum()
    for label in range(4):
        last = events.toggle(app, opened, "hide", label, c)
    assert shown(last) == 0 and "showing 0 of 0" in last.caption
    assert shown(events.toggle(app, opened, "all", 0, c)) == counts.sum()


def test_hidden_classes_survive_a_new_threshold_but_not_new_words(app, opened):
    events.ask(app, opened, Controls(prompts="red\ngreen"))
    events.toggle(app, opened, "hide", 1, Controls(view="Labels"))
    events.ask(app, opened, Controls(prompts="red\ngreen", threshold=0.5))
    assert app.store.get(opened).hidden == {1}
    events.ask(app, opened, Controls(prompts="red\nblue"))
    assert app.store.get(opened).hidden == frozenset()


def test_the_cut_hides_what_is_high(app, opened):
    screen = events.redraw(app, opened, Controls(cut=0.5, look=PLOTLY))
    heights = app.store.get(opened).cloud.points[:, 2]
    limit = heights.min() + 0.5 * (heights.max() - heights.min())
    assert sum(len(t.x) for t in screen.figure.data) == (heights <= limit).sum()
    assert "hidden by legend or cut" in screen.caption


def test_views_that_need_words_say_so(app, opened):
    screen = events.redraw(app, opened, Controls(view="Heatmap"))
    assert screen.view == "Colours" and "type words" in screen.status


def test_an_example_opens_a_room_for_a_newcomer(app, handle, monkeypatch):
    scan = s4token.Scan("room", striped_cloud(), classes=("red", "green"))
    monkeypatch.setattr(s4token, "room", lambda kind, seed: replace(scan, name=kind))
    screen = events.example(app, handle, "red\nblue", Controls())
    assert screen.prompts == "red\nblue" and screen.view == "Labels"
    assert app.store.get(handle).answer.classes == ("red", "blue")
    everything = events.example(app, handle, "", Controls())
    assert everything.prompts == "red\ngreen"


@pytest.mark.parametrize(
    ("kind", "typical"),
    [
        ("living", {"sofa", "table", "chair", "rug"}),
        ("bedroom", {"bed", "wardrobe", "nightstand"}),
        ("kitchen", {"table", "chair", "refrigerator", "stove"}),
        ("office", {"desk", "office chair", "bookshelf"}),
    ],
)
def test_bundled_rooms_are_typical_and_open_from_above(app, handle, kind, typical):
    events.open_room(app, handle, kind, Controls())
    found = set(app.store.get(handle).suggestions)
    assert typical <= found, "the generator changed: choose another seed"
    assert "ceiling" not in found


def test_everything_in_this_room_needs_a_bundled_room(app, opened):
    with pytest.raises(ValueError, match="Example: only bundled rooms"):
        events.example(app, opened, "", Controls())


BROKEN = {
    "empty.ply": b"",
    "magic.ply": b"not a ply at all\n",
    "short.ply": b"ply\nformat ascii 1.0\nelement vertex 9\nproperty float x\nproperty float y\n"
    b"property float z\nend_header\n0 0 0\n",
    "huge.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 999999999\n"
    b"property float x\nproperty float y\nproperty float z\nend_header\n\0\0\0\0",
    "nan.ply": b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\n"
    b"property float z\nend_header\n0 0 0\nnan 1 1\n",
    "notes.docx": b"hello",
    "кот.ply": b"rubbish",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_and_nothing_is_lost(app, opened, tmp_path, name):
    events.ask(app, opened, Controls(prompts="red"))
    before = app.store.get(opened)
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    screen = guarded(lambda: events.open_file(app, opened, path, Controls()))
    assert screen.kind == "error" and name in screen.status
    assert str(tmp_path) not in screen.status, "a reader learns nothing about the server"
    assert app.store.get(opened) is before
    assert "1 words" in events.ask(app, opened, Controls(prompts="blue")).status


@pytest.mark.parametrize(
    "points",
    [np.zeros((1, 3)), np.ones((50, 3)), np.c_[np.arange(9), np.zeros((9, 2))] * 1e6 + 4e6],
)
@pytest.mark.parametrize("plotly", [False, True])
def test_degenerate_clouds_can_be_looked_at(app, handle, tmp_path, points, plotly):
    s4token.write(tmp_path / "odd.ply", PointCloud(points.astype(np.float64)))
    for view in controls.VIEWS:
        c = Controls(view=view, prompts="red", look=Look(plotly=plotly))
        screen = guarded(lambda c=c: events.open_file(app, handle, tmp_path / "odd.ply", c))
        if screen.kind == "error":  # a tokenizer may refuse a point, but must say which file
            assert "odd.ply" in screen.status
        else:
            assert (screen.figure is None) != plotly and (screen.scene is None) == plotly
            assert screen.view == view


@pytest.mark.parametrize("text", ["", "\n \n", "\n".join(map(str, range(300))), "x" * 5000])
def test_bad_words_change_nothing(app, opened, text):
    events.ask(app, opened, Controls(prompts="red"))
    before = app.store.get(opened)
    screen = guarded(lambda: events.ask(app, opened, Controls(prompts=text)))
    assert screen.kind == "error" and screen.status.startswith("Words:") and screen.figure is None
    assert app.store.get(opened) is before


def test_bad_words_do_not_keep_a_scan_from_opening(app, handle, path):
    screen = events.open_file(app, handle, path, Controls(prompts="x" * 5000, view="Labels"))
    assert "3,000 points" in screen.status and "line 1 has 5,000 characters" in screen.status
    assert screen.view == "Colours"


def test_other_scripts_work_with_a_hint(app, opened):
    screen = events.ask(app, opened, Controls(prompts="стул\n椅子"))
    assert "English" in screen.status and "椅子" in screen.legend


def test_misspelt_words_are_asked_and_doubted(app, handle, path):
    asked = Controls(prompts="chiar\nred", negatives="celing")
    for screen in (events.open_file(app, handle, path, asked), events.ask(app, handle, asked)):
        assert "chiar: did you mean chair? celing: did you mean ceiling?" in screen.status
        assert "chiar" in screen.legend
    assert "did you mean" not in events.ask(app, handle, Controls(prompts="chair\nred")).status


def test_a_failing_encoder_keeps_the_scan(app, opened, model, path):
    before = app.store.get(opened)
    model.fail = RuntimeError("out of memory")
    screen = guarded(lambda: events.open_file(app, opened, path, Controls()))
    assert screen.kind == "error" and app.store.get(opened) is before


@pytest.mark.parametrize(
    "act",
    [
        lambda a, h: events.ask(a, h, Controls(prompts="red")),
        lambda a, h: events.redraw(a, h, Controls()),
        lambda a, h: events.toggle(a, h, "hide", 0, Controls()),
        lambda a, h: events.choose_tokenizer(a, h, Controls()),
        lambda a, h: compare.compare(a, h, Controls(), compare.Choice(1.0, "Labels")),
        lambda a, h: exchange.export(a, h, "ply", Path("unused")),
    ],
)
def test_without_a_scan_every_event_says_what_to_do(app, handle, act):
    with pytest.raises(ValueError, match="Choose a room or open a file first"):
        act(app, handle)


def test_a_made_up_tokenizer_or_room_is_refused(app, opened):
    with pytest.raises(ValueError, match="Tokenizer: this checkpoint has no 'evil'"):
        events.choose_tokenizer(app, opened, Controls(tokenizer="evil"))
    with pytest.raises(ValueError, match="Scene: there is no room"):
        events.open_room(app, opened, "../../etc/passwd", Controls())


def test_words_asked_while_another_tokenizer_encodes_are_kept(app, opened, model):
    def encode(cloud, **options):
        events.ask(app, opened, Controls(prompts="blue"))
        return FakeModel().encode(cloud, **options)

    events.ask(app, opened, Controls(prompts="red"))
    model.encode = encode
    events.choose_tokenizer(app, opened, Controls(tokenizer="knn"))
    session = app.store.get(opened)
    assert session.tokenizer == "knn" and session.answer.classes == ("blue",)


def test_an_answer_to_a_closed_scan_is_dropped(app, opened, model, path, monkeypatch):
    real = s4token.segment

    def slow(*args, **options):
        monkeypatch.setattr(s4token, "segment", real)
        events.open_file(app, opened, path, Controls())
        return real(*args, **options)

    monkeypatch.setattr(s4token, "segment", slow)
    with pytest.raises(ValueError, match="opened meanwhile"):
        events.ask(app, opened, Controls(prompts="red"))
    assert app.store.get(opened).answer is None


# -- compare and export ---------------------------------------------------------------------------


def test_compare_shows_what_units_break(app, opened):
    events.ask(app, opened, Controls(prompts="red\ngreen\nblue"))
    look = Look(CAMERA, plotly=True)
    same = compare.compare(app, opened, Controls(look=look), compare.Choice(1.0, "Labels"))
    assert list(same.panels) == ["knn", "radius", "superpoint"] and "red" in same.key
    assert "Same label" not in same.panels["knn"].numbers
    for panel in same.panels.values():
        assert panel.figure.layout.scene.camera.to_plotly_json() == CAMERA
        assert "Coverage" in panel.numbers
    compare.compare(app, opened, Controls(), compare.Choice(1000.0, "Tokens"))
    layers = app.store.get(opened).layers
    assert layers["superpoint", 1000.0].coverage == 1
    assert layers["radius", 1000.0].coverage < layers["radius", 1.0].coverage
    stable = compare.feature_agreement(layers["superpoint", 1000.0], layers["superpoint", 1.0])
    broken = compare.feature_agreement(layers["radius", 1000.0], layers["radius", 1.0])
    assert stable > 0.999 and broken < 0.5


def test_compare_encodes_each_tokenizer_once(app, opened, model):
    for factor in (1.0, 1000.0, 1.0):
        compare.compare(app, opened, Controls(), compare.Choice(factor, "Tokens"))
    assert sorted(model.encoded) == sorted(["superpoint", "knn", "radius"] * 2)


@pytest.mark.parametrize(("factor", "coloring"), [(2.0, "Labels"), (0.0, "Labels"), (1.0, "Evil")])
def test_a_made_up_comparison_is_refused(factor, coloring):
    with pytest.raises(ValueError, match="choose one of"):
        compare.Choice(factor, coloring)


def test_export_keeps_number_and_order_of_points(app, opened, tmp_path):
    events.ask(app, opened, Controls(prompts="red\n<b>стул</b>"))
    (ply, about), said = exchange.export(app, opened, "ply", tmp_path / "out")
    session = app.store.get(opened)
    back = s4token.read_scan(ply)
    assert np.allclose(back.cloud.points, session.cloud.points, atol=1e-6)
    assert (back.labels == session.answer.labels).all()
    data = json.loads(about.read_text(encoding="utf-8"))
    assert data["labels"] == {"1": "red", "2": "<b>стул</b>"}
    assert sum(data["counts"].values()) == data["points"] == len(session.cloud)
    assert data["provenance"]["prompts"] == ["red", "<b>стул</b>"]
    assert "3,000 points" in said and sorted(p.name for p in ply.parent.iterdir()) == [
        "stripes.labels.json",
        "stripes.labels.ply",
    ]


def test_export_needs_labels(app, opened, tmp_path):
    with pytest.raises(ValueError, match="Export: there are no labels yet"):
        exchange.export(app, opened, "ply", tmp_path)


def test_export_names_are_tame(app, handle, tmp_path):
    hostile = tmp_path / "..;rm -rf $HOME 'кот'.ply"
    s4token.write(hostile, striped_cloud(200))
    events.open_file(app, handle, hostile, Controls(prompts="red"))
    (ply, _), _ = exchange.export(app, handle, "ply", tmp_path / "out")
    assert ply.name == "rm_-rf_HOME_кот.labels.ply" and ply.parent == tmp_path / "out"


def test_a_palette_colours_picture_legend_and_fallback_alike(app, opened):
    words = Controls(prompts="red\ngreen\nblue", view="Labels")
    events.ask(app, opened, words)
    for name, palette in colors.PALETTES.items():
        c = replace(words, look=parse_look(json.dumps({"palette": name})))
        screen = events.redraw(app, opened, c)
        (panel,), want = screen.scene["panels"], scene.rgb(palette[:3])
        rgba = np.frombuffer(base64.b64decode(panel["palette"]), np.uint8).reshape(-1, 4)
        labels = np.frombuffer(base64.b64decode(panel["labels"]), "<u2")
        assert set(labels.tolist()) == {1, 2, 3} and (rgba[:, :3] == want[labels - 1]).all()
        assert all(p in screen.legend for p in palette[:3])
        assert [row["color"] for row in screen.scene["legend"]][:3] == list(palette[:3])
        plotly = events.redraw(app, opened, replace(c, look=replace(c.look, plotly=True)))
        drawn = [trace.marker.color for trace in plotly.figure.data]
        assert all(p in drawn for p in palette[:3])
        again = events.redraw(app, opened, words)
        assert palette[0] in again.legend, "an event that says nothing of it changes nothing"
    for odd in ("nonsense", 3, ["Tol"], None):
        assert parse_look(json.dumps({"palette": odd})).palette is None


def test_palettes_tell_as_many_classes_apart_as_they_have_colours():
    for name, palette in colors.PALETTES.items():
        rgb = scene.rgb(palette).astype(int)
        apart = np.linalg.norm(rgb[:, None] - rgb[None], axis=2) + 999 * np.eye(len(rgb))
        assert apart.min() > 20, name
        assert np.linalg.norm(rgb - scene.rgb([colors.UNLABELLED]), axis=1).min() > 20, name
        assert colors.label_color(len(palette) + 1, name) == palette[0]
    assert len(colors.PALETTES["64 colours"]) == MAX_PROMPTS
