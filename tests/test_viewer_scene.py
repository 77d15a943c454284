"""What goes to the browser: binary points, colours per superpoint, and nothing that it made up."""

from __future__ import annotations

import base64
import gc
import json
from dataclasses import replace

import numpy as np
import pytest

import s4token
from s4token import PointCloud
from tests.fakes import FakeModel, striped_cloud
from viewer import compare, controls, events, files, panels, scene
from viewer.controls import Controls
from viewer.session import Layer, Session

MILLION = 1_000_000


@pytest.fixture
def handle(app, path):
    handle = app.store.open()
    events.open_file(app, handle, path, Controls())
    return handle


def fetched(spec, dtype):
    """Read a file as the browser would."""
    with open(spec["file"]["path"], "rb") as data:
        return np.frombuffer(data.read(), dtype)


def decoded(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def test_the_file_holds_every_point_once_in_a_random_order(app, handle):
    cloud = app.store.get(handle).cloud
    found = events.redraw(app, handle, Controls()).scene["cloud"]
    raw = fetched(found, np.uint8)
    assert len(raw) == 19 * len(cloud) == 19 * found["count"]
    packed = app.files.cloud(cloud)
    assert (np.sort(packed.order) == np.arange(len(cloud))).all()
    assert (packed.order[packed.place] == np.arange(len(cloud))).all()
    points = raw[: 12 * len(cloud)].view("<f4").reshape(-1, 3)
    assert np.allclose(points + packed.center, cloud.points[packed.order], atol=1e-6)
    walk = raw[12 * len(cloud) : 16 * len(cloud)].view("<u4")
    assert (np.sort(walk) == np.arange(len(cloud))).all()
    steps = np.linalg.norm(np.diff(points[walk], axis=0), axis=1)
    assert steps.mean() < 0.3 * np.linalg.norm(np.diff(points, axis=0), axis=1).mean()
    shades = raw[16 * len(cloud) :].reshape(-1, 3) / 255
    assert np.allclose(shades, cloud.colors[packed.order], atol=1 / 255)
    prefix = points[: len(points) // 10]  # a tenth of the file is a fair sample of the scan
    assert np.allclose(prefix.mean(axis=0), points.mean(axis=0), atol=0.1)


def test_far_away_scans_lose_no_precision():
    near = np.random.default_rng(0).uniform(0, 30, (500, 3))
    far = near + np.array([691_000.25, 5_334_000.5, 600.0])
    moved, middle = files.relative(far)
    exact = near - (near.min(axis=0) + near.max(axis=0)) / 2
    assert np.abs(moved - exact).max() < 2e-6 and moved.dtype == np.float32
    assert np.abs(middle - far.mean(axis=0)).max() < 3
    assert np.abs(far.astype(np.float32) - far).max() > 0.1, "float32 alone would lose this"


@pytest.mark.parametrize("grid", [True, False])
def test_spacing_is_that_of_the_surface(grid):
    rng = np.random.default_rng(0)
    steps = np.arange(80)
    flat = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2).astype(float)
    if not grid:
        flat = rng.uniform(0, 80, (6400, 2))
    points = np.c_[flat, np.zeros(len(flat))] * 0.02
    assert files.spacing(points, rng) == pytest.approx(0.02, rel=0.15)
    assert files.spacing(np.ones((50, 3)), rng) > 0
    assert files.spacing(np.ones((1, 3)), rng) > 0


def test_clouds_without_colours_are_grey_by_height():
    cloud = PointCloud(np.array([[0, 0, 0], [0, 0, 1], [0, 0, 2.0]]))
    shade = files.shades(cloud)
    assert (np.diff(shade[:, 0].astype(int)) > 0).all() and (shade[:, 0] == shade[:, 2]).all()


@pytest.mark.parametrize("tokenizer", FakeModel.tokenizers)
def test_each_point_names_its_superpoint(app, handle, tokenizer):
    c = Controls(tokenizer=tokenizer, view="Superpoints")
    (panel,) = events.choose_tokenizer(app, handle, c).scene["panels"]
    session = app.store.get(handle)
    order = app.files.cloud(session.cloud).order
    ids = fetched(panel["tokens"], "<u4")
    held = session.layer.token[order] >= 0
    assert ((ids >> 31 == 0) == held).all()
    assert (ids[held] == session.layer.token[order][held]).all()
    count = len(session.layer.encoding.groups)
    assert (ids & 0x7FFFFFFF).max() < count == len(decoded(panel["palette"], np.uint8)) // 4


def drawn_labels(panel, ids) -> np.ndarray:
    """Return the label of each point of the file, as the page's script finds it."""
    return decoded(panel["labels"], "<u2")[ids & 0x7FFFFFFF].astype(int)


@pytest.mark.parametrize("tokenizer", FakeModel.tokenizers)
@pytest.mark.parametrize("threshold", [0, 0.9])
def test_every_point_has_its_own_label_in_picture_and_answer(app, handle, tokenizer, threshold):
    c = Controls(prompts="red\ngreen\nblue", threshold=threshold, tokenizer=tokenizer)
    events.choose_tokenizer(app, handle, c)
    screen = events.ask(app, handle, c)
    session = app.store.get(handle)
    raw = s4token.segment(
        app.model(), session.layer.encoding, ("red", "green", "blue"), threshold=threshold
    )
    assert (session.answer.labels == raw.labels).all(), "as on the command line"
    assert (session.answer.confidence == raw.confidence).all()
    (panel,) = screen.scene["panels"]
    order = app.files.cloud(session.cloud).order
    ids = fetched(panel["tokens"], "<u4")
    assert (drawn_labels(panel, ids) == raw.labels[order]).all()
    most = panels.token_labels(session)
    rgba = decoded(panel["palette"], np.uint8).reshape(-1, 4)
    want = scene.rgb([session.color(i) for i in range(4)])
    assert (rgba[:, :3] == want[most]).all() and (rgba[:, 3] == 255).all()


def test_hidden_classes_have_no_alpha(app, handle):
    c = Controls(prompts="red\ngreen", view="Labels")
    events.ask(app, handle, c)
    (panel,) = events.toggle(app, handle, "hide", 1, c).scene["panels"]
    labels = decoded(panel["labels"], "<u2")
    alpha = decoded(panel["palette"], np.uint8).reshape(-1, 4)[:, 3]
    assert ((alpha == 0) == (labels == 1)).all() and (labels == 1).any()


@pytest.mark.parametrize("scale", controls.SCALES)
def test_a_heatmap_is_brightest_where_the_score_is_highest(app, handle, scale):
    c = Controls(prompts="red\ngreen", view="Heatmap", heat="green", scale=scale)
    (panel,) = events.ask(app, handle, c).scene["panels"]
    scores = decoded(panel["scores"], "<f4")
    assert np.allclose(scores, app.store.get(handle).answer.scores[:, 1])
    light = decoded(panel["palette"], np.uint8).reshape(-1, 4)[:, :3].astype(int).sum(axis=1)
    assert (np.diff(light[np.argsort(scores)]) >= -3).all() and np.ptp(light) > 100
    assert panel["bar"]["title"] == "green"
    answer = app.store.get(handle).answer
    skewed = replace(answer, scores=answer.scores * [1, 0.5])
    low, high = scene.heat_range(skewed, 1, scale)
    assert (high == skewed.scores.max()) == (scale == "raw") and low < high


def test_tokens_are_discs_of_their_extent(app, handle):
    (panel,) = events.redraw(app, handle, Controls(view="Tokens")).scene["panels"]
    discs = decoded(panel["discs"], "<f4").reshape(-1, 4)
    session = app.store.get(handle)
    center = app.files.cloud(session.cloud).center
    assert np.allclose(discs[:, :3] + center, session.layer.centers, atol=1e-5)
    assert np.allclose(discs[:, 3], session.layer.extent, atol=1e-5)


def test_the_cut_travels_as_one_number(app, handle):
    assert events.redraw(app, handle, Controls()).scene["cut"] is None
    screen = events.redraw(app, handle, Controls(cut=0.5))
    cloud = app.store.get(handle).cloud
    height = cloud.points[:, 2] - app.files.cloud(cloud).center[2]
    below = height <= screen.scene["cut"]
    middle = np.ptp(cloud.points[:, 2]) / 2 + cloud.points[:, 2].min()
    assert (below == (cloud.points[:, 2] <= middle)).mean() > 0.999
    assert f"showing {below.sum():,} of {below.sum():,} points" in screen.caption


def test_an_answer_at_a_million_points_is_small():
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(MILLION, 3))
    points[:, 2] = (np.floor(points[:, 2] * 8) + 0.5) / 8  # surfaces, as scans are
    cloud = PointCloud(points.astype(np.float32))
    cell = (cloud.points * 8).astype(int) @ [64, 8, 1]
    groups = s4token.Groups.from_labels(cell)
    features = rng.normal(size=(len(groups), 16)).astype(np.float32)
    encoding = s4token.Encoding(cloud, groups, features, features[0])
    session = Session("big", cloud).with_layers({("superpoint", 1.0): Layer(encoding)})
    classes = tuple(f"word {i}" for i in range(64))
    labels = rng.integers(0, 65, len(groups)).astype(np.int32)[groups.labels]
    scores = rng.uniform(size=(len(groups), 64)).astype(np.float32)
    answer = s4token.Segmentation(
        classes, labels, np.ones(MILLION, np.float32), groups.labels, scores
    )
    session = replace(session, answer=answer)
    found = files.Files()
    for view in controls.VIEWS:
        c = Controls(view=view, heat="word 3")
        sent = scene.scene(found, session, [scene.panel(found, session, c)], c)
        assert len(json.dumps(sent)) < 64_000, view


def test_files_go_with_their_scan(app, handle, tmp_path):
    folder = app.files.folder
    before = set(folder.iterdir())
    assert len(before) == 2, "one of points, one of superpoints"
    s4token.write(tmp_path / "other.ply", striped_cloud(100))
    events.open_file(app, handle, tmp_path / "other.ply", Controls())
    gc.collect()
    assert not before & set(folder.iterdir()) and len(list(folder.iterdir())) == 2


def test_a_redraw_sends_no_points_again(app, handle):
    first = events.redraw(app, handle, Controls()).scene
    second = events.ask(app, handle, Controls(prompts="red")).scene
    assert first["cloud"] == second["cloud"]
    assert first["panels"][0]["tokens"] == second["panels"][0]["tokens"]


def test_compared_panels_share_the_points(app, handle):
    events.ask(app, handle, Controls(prompts="red"))
    found = compare.compare(app, handle, Controls(), compare.Choice(1000.0, "Tokens"))
    assert found.scene["units"] == 1000 and len(found.scene["panels"]) == 3
    assert found.scene["cloud"] == events.redraw(app, handle, Controls()).scene["cloud"]
    extent = app.files.cloud(app.store.get(handle).cloud).radius
    for panel in found.scene["panels"]:
        discs = decoded(panel["discs"], "<f4").reshape(-1, 4)
        assert np.abs(discs[:, :3]).max() <= extent, "drawn where the points are"


def test_a_prompt_keeps_its_colour(app, handle):
    c = Controls(prompts="red\ngreen", view="Labels")
    events.ask(app, handle, c)
    screen = events.recolor(app, handle, 2, "#12ab34", c)
    assert 'value="#12AB34"' in screen.legend
    events.ask(app, handle, replace(c, prompts="green\nred"))
    assert app.store.get(handle).color(1) == "#12AB34"
    assert app.store.get(handle).color(0) == panels.colors.UNLABELLED


@pytest.mark.parametrize(
    ("label", "color"),
    [(0, "#000000"), (3, "#000000"), ("1", "#000000"), (True, "#000000"), (1, "red"), (1, None)]
    + [(1, bad) for bad in ("#00000", "#0000000", "url(x)", '"><script>', "#00000g", "#000000\n")],
)
def test_a_made_up_colour_is_refused(app, handle, label, color):
    events.ask(app, handle, Controls(prompts="red\ngreen"))
    with pytest.raises(ValueError, match="Legend:"):
        events.recolor(app, handle, label, color, Controls())


def test_a_click_says_why(app, handle):
    assert "Type words" in events.explain(app, handle, {"token": 3}).why
    events.ask(app, handle, Controls(prompts="\n".join(["red", "<b>x</b>", *"abcdef"])))
    why = events.explain(app, handle, {"token": 3}).why
    scores = app.store.get(handle).answer.scores[3]
    assert why.count("<tr>") == panels.WHY and "<b>x</b>" not in why
    assert (
        f"{scores.max():.3f}" in why and f"{len(app.store.get(handle).layer.encoding.groups[3])} "
    )


def test_the_reason_follows_words_and_leaves_with_its_superpoint(app, handle):
    c = Controls(prompts="red\ngreen")
    assert events.ask(app, handle, c).why == "", "nothing was clicked"
    events.explain(app, handle, {"token": 3})
    why = events.ask(app, handle, replace(c, prompts="lamp")).why
    assert "Superpoint 3:" in why and "lamp" in why and "red" not in why
    assert "Superpoint 3:" in events.redraw(app, handle, c).why
    other = events.choose_tokenizer(app, handle, replace(c, tokenizer="knn"))
    assert other.why == "" and events.redraw(app, handle, c).why == ""


@pytest.mark.parametrize(
    "data",
    [None, {}, [], "x"]
    + [{"token": t} for t in (-1, 10**9, 1.0, "1", True, None, float("nan"), [0])],
)
def test_a_made_up_superpoint_is_refused(app, handle, data):
    with pytest.raises(ValueError, match="Click: there is no such superpoint"):
        events.explain(app, handle, data)
