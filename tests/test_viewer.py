"""The viewer without a browser: palettes, figures, sessions, controls and events."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest

from s4token import PointCloud, point_tokens
from tests.fakes import CAMERA, FakeModel, marker_values, striped_cloud
from viewer import colors, events, figures, page, panels
from viewer.controls import Controls, parse_look, parse_prompts, parse_toggle
from viewer.events import Screen
from viewer.figures import Look
from viewer.guard import guarded, staged
from viewer.session import Layer, Session, Store
from viewer.shared import App

# -- colours --------------------------------------------------------------------------------------


def test_classes_are_distinct_and_repeat_after_the_palette():
    assert len(set(colors.CLASSES)) == len(colors.CLASSES) == 21
    assert colors.label_color(0) == colors.UNLABELLED not in colors.CLASSES
    assert colors.label_color(1) == colors.OKABE_ITO[0]
    assert colors.label_color(22) == colors.label_color(1)


def test_neighbouring_tokens_differ():
    rng = np.random.default_rng(1)
    centers = rng.uniform(size=(300, 3))
    shade = colors.neighbour_colors(centers)
    distance = np.linalg.norm(centers[:, None] - centers[None], axis=2)
    nearest = np.argsort(distance, axis=1)[:, 1]
    assert (shade != shade[nearest]).mean() > 0.95
    assert (colors.neighbour_colors(centers) == shade).all()


def test_quantized_colors_are_close():
    rgb = np.random.default_rng(0).uniform(size=(4000, 3))
    found = colors.quantize(rgb)
    assert len(found.palette) <= 256
    table = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in found.palette]) / 255
    assert np.abs(table[found.index] - rgb).mean() < 0.06


@pytest.mark.parametrize("rgb", [np.zeros((1, 3)), np.ones((5, 3)), np.eye(3)])
def test_few_colors_survive_exactly(rgb):
    found = colors.quantize(rgb)
    back = [tuple(int(found.palette[i][k : k + 2], 16) for k in (1, 3, 5)) for i in found.index]
    assert np.allclose(np.array(back) / 255, rgb, atol=3 / 255)


# -- figures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "limit"),
    [([10, 20], 100), ([5000, 1, 1, 3000], 1000), ([7] * 300, 500), ([1] * 900, 100)],
)
def test_sample_keeps_every_token(sizes, limit):
    rng = np.random.default_rng(0)
    token = rng.permutation(np.repeat(np.arange(len(sizes)) - 1, sizes))
    index = figures.sample_tokens(token, limit)
    assert len(index) == min(limit, len(token))
    assert len(np.unique(index)) == len(index) and (np.diff(index) > 0).all()
    if len(sizes) <= limit:
        assert set(token[index]) == set(token)
    if len(token) > limit and len(sizes) < limit / 2:  # about in proportion to the sizes
        share = np.bincount(token[index] + 1) / limit
        assert np.abs(share - np.array(sizes) / len(token)).max() < 0.05


def test_a_figure_does_not_depend_on_the_units():
    cloud = striped_cloud()
    a, b = (
        figures.make_frame(p, np.arange(len(p)), cloud.up, Look())
        for p in (cloud.points.astype(float), cloud.points.astype(float) * 1000 + 5e5)
    )
    assert np.allclose(a.points, b.points, atol=1e-5) and np.allclose(a.size, b.size, atol=1e-5)


def frame_of(cloud: PointCloud, look: Look | None = None) -> figures.Frame:
    return figures.make_frame(cloud.points, np.arange(len(cloud)), cloud.up, look or Look())


def all_figures(look: Look):
    cloud = striped_cloud(400)
    frame, n = frame_of(cloud, look), len(cloud)
    token = np.arange(n) % 7 - 1
    yield figures.colors_figure(frame, cloud.colors)
    yield figures.colors_figure(frame, None)
    yield figures.superpoints_figure(frame, token, np.arange(6, dtype=np.int16))
    yield figures.tokens_figure(
        frame, frame.points[:6], np.full(6, 0.1), ["#000000"] * 6, ["x"] * 6
    )
    yield figures.heatmap_figure(frame, np.linspace(-1, 1, n), "chair")
    yield figures.labels_figure(frame, np.arange(n) % 3, ("a", "b"), colors.label_color)


def test_every_figure_keeps_the_camera_and_is_cheap():
    drawn = list(all_figures(Look(CAMERA)))
    assert (
        json.loads(figures.empty_figure(frame_of(striped_cloud(9), Look(CAMERA))).to_json())[
            "layout"
        ]["scene"]["camera"]
        == CAMERA
    )
    for figure in drawn:
        scene = json.loads(figure.to_json())["layout"]["scene"]
        assert scene["camera"] == CAMERA
        assert scene["aspectmode"] == "manual"
        for trace in json.loads(figure.to_json())["data"]:
            assert trace["type"] == "scatter3d"
            assert all(trace[c]["dtype"] == "f4" for c in "xyz")
            color = trace["marker"].get("color")
            tokens = trace["marker"]["symbol"] == "circle"
            assert tokens or trace["marker"]["symbol"] == "square"
            assert tokens or not isinstance(color, list), "per-point strings take seconds to send"


def test_default_camera_looks_from_above_for_any_up():
    for up in np.eye(3):
        camera = figures.default_camera(up)
        eye = np.array([camera["eye"][c] for c in "xyz"])
        assert eye @ up > 0.5 and np.linalg.norm(eye) > 1
        assert np.allclose([camera["up"][c] for c in "xyz"], up)


def test_heatmap_shows_the_scores():
    cloud = striped_cloud(500)
    score = cloud.points[:, 0] / 3
    figure = figures.heatmap_figure(frame_of(cloud), score, "left <b>")
    assert np.allclose(marker_values(figure), score, atol=1e-6)
    assert figure.data[0].marker.colorbar.title.text == "left &lt;b&gt;"
    flat = figures.heatmap_figure(frame_of(cloud), np.zeros(500), "x").data[0].marker
    assert flat.cmin < flat.cmax


def test_labels_have_one_escaped_trace_per_class():
    figure = figures.labels_figure(
        frame_of(striped_cloud(9)), np.array([0, 1, 2] * 3), ("<script>", "b"), colors.label_color
    )
    assert [len(t.x) for t in figure.data] == [3, 3, 3]
    assert figure.data[1].hovertemplate.startswith("&lt;script&gt;")
    assert figure.data[1].marker.color == colors.label_color(1)


# -- sessions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", FakeModel.tokenizers)
def test_a_layer_knows_which_points_its_tokens_hold(model, tokenizer):
    encoding = model.encode(striped_cloud(400), tokenizer=tokenizer)
    points, groups = encoding.cloud.points.astype(float), encoding.groups
    layer = Layer(encoding)
    held = np.isin(np.arange(len(points)), np.concatenate(list(groups)))
    assert (layer.nearest == point_tokens(encoding.cloud, groups)).all()
    assert (layer.token == np.where(held, layer.nearest, -1)).all()
    assert layer.coverage == pytest.approx(held.mean()) and layer.held.sum() == 400
    centers = np.array([points[g].mean(axis=0) for g in groups])
    assert np.allclose(layer.centers, centers)
    spread = [
        np.sqrt(((points[g] - c) ** 2).sum(1).mean()) for g, c in zip(groups, centers, strict=True)
    ]
    assert np.allclose(layer.extent, spread)


def session_of(n: int) -> Session:
    encoding = FakeModel().encode(striped_cloud(n))
    return Session("scan.ply", encoding.cloud).with_layers({("superpoint", 1.0): Layer(encoding)})


def test_the_oldest_session_gives_way_and_is_told():
    one = session_of(1000)
    store = Store(int(one.nbytes * 2.5))
    handles = [store.open() for _ in range(3)]
    assert store.update(handles[0], lambda _: one)[1] == ""
    assert store.update(handles[1], lambda _: one)[1] == ""
    store.get(handles[0])  # now the second is the oldest
    _, note = store.update(handles[2], lambda _: one)
    assert "Unloaded 1 scan" in note
    assert store.get(handles[0]).cloud is not None
    with pytest.raises(ValueError, match=r"Scan: it was unloaded.*Open it again"):
        store.get(handles[1])


def test_a_scan_above_the_budget_is_refused_and_the_old_one_kept():
    small = session_of(100)
    store = Store(small.nbytes + 100)
    handle = store.open()
    store.update(handle, lambda _: small)
    with pytest.raises(ValueError, match=r"scan\.ply: needs .* may use .*Downsample"):
        store.update(handle, lambda _: session_of(5000))
    assert store.get(handle) is small


def test_a_scan_that_is_too_large_is_refused_before_it_is_encoded(model, path):
    app = App(lambda: model, Store(20_000))
    handle = app.store.open()
    with pytest.raises(ValueError, match=r"stripes\.ply: needs .* may use 20 KB.*Downsample"):
        events.open_file(app, handle, path, Controls())
    assert not model.encoded and not app.store.has_scan(handle)


def test_a_scan_is_measured_as_it_will_be(model):
    """What is refused beforehand would have been refused afterwards, too."""
    session = session_of(2000)
    needed = session.nbytes
    Store(needed).check(replace(session, layers={}))
    with pytest.raises(ValueError, match="needs"):
        Store(session.cloud.points.nbytes).check(replace(session, layers={}))


def test_other_tokenizations_are_dropped_first(model):
    session = session_of(500)
    store = Store(session.nbytes + 200)
    more = session.with_layers({("knn", 1.0): Layer(model.encode(session.cloud, tokenizer="knn"))})
    kept, note = store.update(store.open(), lambda _: more)
    assert list(kept.layers) == [("superpoint", 1.0)] and "tokenizations" in note


@pytest.mark.parametrize("handle", [None, "", "made-up"])
def test_an_unknown_handle_has_no_scan(handle):
    store = Store(1000)
    assert not store.has_scan(handle)
    with pytest.raises(ValueError, match="none is open yet"):
        store.get(handle)


# -- controls -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        (" \n\t\n", ()),
        ("chair\n\n table  leg \nChair", ("chair", "table leg")),
        ("стул\n椅子", ("стул", "椅子")),
        ("a\x00b\x1b[31m", ("a b [31m",)),
        ("\n".join(map(str, range(64))), tuple(map(str, range(64)))),
    ],
)
def test_prompts(text, expected):
    assert parse_prompts("Words", text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n".join(map(str, range(300))), "Words: 300 lines, but at most 64.*remove 236"),
        ("ok\n" + "x" * 5000, "Words: line 2 has 5,000 characters; shorten it to 200"),
    ],
)
def test_too_many_words(text, message):
    with pytest.raises(ValueError, match=message):
        parse_prompts("Words", text)


@pytest.mark.parametrize(
    "text",
    [None, "", "rubbish", "[]", "7", '{"camera": 3}', '{"camera": {"eye": {}}}', "{" * 5000]
    + [
        json.dumps({"camera": CAMERA | {"eye": {"x": bad, "y": 0, "z": 0}}})
        for bad in ("1", None, True, 1e9, float("nan"), float("inf"))
    ],
)
def test_an_odd_camera_is_the_default_one(text):
    assert parse_look(text).camera is None


def test_a_camera_survives():
    sent = CAMERA | {"projection": {"type": "orthographic"}, "evil": "<script>"}
    look = parse_look(json.dumps({"camera": sent, "dark": True}))
    assert look == Look(CAMERA | {"projection": {"type": "orthographic"}}, True)


@pytest.mark.parametrize(
    ("action", "label"),
    [
        ("hide", -1),
        ("hide", 3),
        ("drop", 1),
        ("hide", "1"),
        ("hide", None),
        (None, 1),
        ("solo", True),
    ],
)
def test_a_made_up_click_is_refused(action, label):
    with pytest.raises(ValueError, match="Legend:"):
        parse_toggle(action, label, 2)


@pytest.mark.parametrize("value", [None, "0.3", float("nan"), float("inf"), True, [1]])
def test_a_made_up_threshold_is_refused(value):
    with pytest.raises(ValueError, match="Threshold: expected a number"):
        Controls.of("", "", value, "knn", "Labels", None, "raw", 100, "", "z", "")


def test_controls_are_clamped():
    c = Controls.of("a", None, 7, None, "Nonsense", 3, "x", 0, "furlong", "up", "")
    assert (c.threshold, c.tokenizer, c.view, c.heat, c.scale, c.cut, c.unit, c.up) == (
        0.99,
        "superpoint",
        "Colours",
        None,
        "normalised",
        0.05,
        "",
        "z",
    )


# -- panels ---------------------------------------------------------------------------------------


def test_names_are_escaped_for_html_and_templates():
    hostile = '<img src=x onerror="1">{{value}}${value}'
    safe = panels.escape(hostile)
    assert not set("<>{}$\"'") & set(safe.replace("&lt;", "").replace("&gt;", ""))


def test_the_model_card_is_honest():
    facts = FakeModel().description
    assert "not CLIP" in panels.badge(facts) and "not CLIP" in panels.about(facts)
    assert "noise" in panels.badge(facts | {"trained": False})
    big = facts | {"clip_is_small": False}
    assert "not CLIP" not in panels.badge(big) and "not CLIP" not in panels.about(big)


# -- guard ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("room.ply: truncated\nafter 3 rows"), "room.ply: truncated after 3 rows"),
        (FileNotFoundError("room.ply: no such file"), "room.ply: no such file"),
        (ImportError("laspy: pip install laspy"), "laspy: pip install laspy"),
        (MemoryError(), "Memory: this scan does not fit"),
    ],
)
def test_an_error_is_one_line(error, text):
    def work():
        raise error

    screen = guarded(work)
    assert isinstance(screen, Screen) and screen.kind == "error"
    assert screen.status is not None and text in screen.status and "\n" not in screen.status
    assert vars(replace(screen, status=None, kind="info")) == vars(Screen())


def test_a_bug_is_logged_and_told_without_details(caplog):
    screen = guarded(lambda: {}[1])
    assert "KeyError" in screen.status and "kept" in screen.status
    assert "an event failed" in caplog.text


def test_stages_are_shown_and_the_result_comes_last():
    def work(report):
        report(0.2, "reading")
        time.sleep(0.4)
        report(0.6, "encoding")
        time.sleep(0.4)
        return Screen(status="done")

    *busy, last = staged(work, every=0.05)
    assert last.status == "done"
    assert [(s.status, s.fraction) for s in busy] == [("Reading …", 0.2), ("Encoding …", 0.6)]
    bar = panels.status(busy[0].status, busy[0].kind, busy[0].fraction)
    assert 'role="progressbar"' in bar and 'aria-valuenow="20"' in bar


def test_an_answer_says_from_what_to_what_it_sets_controls():
    values = ["red", "", 0.3, "superpoint", "Colours", None, "raw", 100, "{}"]
    drawn = Screen(scene={}, view="Labels", heat="red")
    found = json.loads(page.settings(drawn, values, {"threshold": 0.5}))["controls"]
    assert found == {
        "threshold": [0.3, 0.5],
        "view": ["Colours", "Labels"],
        "heat": [None, "red"],
        "scale": ["raw", "raw"],
        "cut": [100, 100],
    }
    said = page.settings(Screen(status="no"), values, {})
    assert not isinstance(said, str), "a line alone leaves the controls alone"
    texts = {page.settings(drawn, values, {}) for _ in range(3)}
    assert len(texts) == 3, "a page notices the same answer again"


def test_a_word_that_is_gone_does_not_refuse_what_comes_with_it():
    """Words may change while a message is under way; Gradio's own dropdown raises then."""
    assert page.word_choice("Heatmap of", "s4-heat").preprocess("lamp") == "lamp"
    with pytest.raises(gr.Error):
        gr.Dropdown(["chair", "table"]).preprocess("lamp")
