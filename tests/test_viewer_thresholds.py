"""Thresholds per prompt: one decision on both sides, histograms, and what a page may ask."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import s4token
from tests.fakes import striped_cloud
from viewer import events, thresholds
from viewer.controls import Controls
from viewer.session import Query

STATIC = Path(thresholds.__file__).parent / "static"


@pytest.fixture
def asked(app, path):
    """A page on which red and blue were asked for, and green is not wanted."""
    handle = app.store.open()
    c = Controls(prompts="red\nblue", negatives="green", threshold=0.2, view="Labels")
    events.open_file(app, handle, path, c)
    return handle


def labels(app, handle):
    return app.store.get(handle).answer.labels


def alone(app, handle, threshold):
    """Return what the library says without the app."""
    encoding = app.store.get(handle).layer.encoding
    words = {"prompts": ["red", "blue"], "negatives": ["green"]}
    return s4token.segment(app.model(), encoding, **words, threshold=threshold)


def test_a_threshold_of_one_prompt_leaves_the_others_alone(app, asked):
    before = labels(app, asked)
    assert set(before.tolist()) == {0, 1, 2}
    screen = events.tune(app, asked, "threshold", 1, 100, Controls(view="Colours"))
    after = labels(app, asked)
    assert (after == alone(app, asked, (1.0, 0.2)).labels).all()
    assert (before == 1).sum() > (after == 1).sum() and (after[before == 2] == 2).all()
    assert screen.view == "Labels" and screen.scene["panels"][0]["fit"]["least"] == [10_000, 2000]
    assert 'aria-valuenow="100"' in screen.legend and 'aria-valuenow="20"' in screen.legend
    answer = app.store.get(asked).answer
    assert list(answer.provenance["threshold"]) == [1.0, 0.2]


def test_best_word_and_back(app, asked):
    events.tune(app, asked, "threshold", 1, 100, Controls())
    before = labels(app, asked)
    screen = events.tune(app, asked, "best", None, True, Controls())
    best = labels(app, asked)
    assert (best > 0).sum() > (before > 0).sum() and "s4-idle" in screen.legend
    events.tune(app, asked, "best", None, False, Controls())
    assert app.store.get(asked).query.thresholds == (1.0, 0.2), "they were only set aside"


def test_thresholds_stay_with_their_words_until_the_slider_moves(app, asked):
    events.tune(app, asked, "threshold", 2, 70, Controls())
    c = Controls(prompts="blue\nother", threshold=0.2)
    events.ask(app, asked, c)
    assert app.store.get(asked).query.thresholds == (0.7, 0.2)
    events.ask(app, asked, Controls(prompts="blue\nother", threshold=0.4))
    assert app.store.get(asked).query.thresholds == (0.4, 0.4)


@pytest.mark.parametrize(
    ("action", "label", "value"),
    [
        ("threshold", 0, 50), ("threshold", 3, 50), ("threshold", True, 50), ("threshold", "1", 50),
        ("threshold", 1, -1), ("threshold", 1, 101), ("threshold", 1, 0.5),
        ("threshold", 1, float("nan")), ("threshold", 1, None), ("best", 1, "yes"), ("best", 1, 1),
    ],
)  # fmt: skip
def test_forged_messages_change_nothing(app, asked, action, label, value):
    before = app.store.get(asked)
    with pytest.raises(ValueError, match="Thresholds:"):
        events.tune(app, asked, action, label, value, Controls())
    assert app.store.get(asked) is before


def test_without_words_there_is_nothing_to_tune(app, tmp_path):
    handle = app.store.open()
    s4token.write(tmp_path / "stripes.ply", striped_cloud())
    events.open_file(app, handle, tmp_path / "stripes.ply", Controls())
    with pytest.raises(ValueError, match="Type words"):
        events.tune(app, handle, "threshold", 1, 50, Controls())


def test_bars_count_every_point_once(app, asked):
    session = app.store.get(asked)
    counts = thresholds.bars(session.answer, session.layer, 0)
    assert counts.sum() == 3000
    values = session.answer.probability[:, 0][session.layer.nearest]
    assert counts.tolist() == np.histogram(values, thresholds.BINS, (0, 1))[0].tolist()
    path = thresholds.outline(counts)
    assert path.count("h1") == thresholds.BINS and "nan" not in path
    assert "nan" not in thresholds.outline(np.zeros(thresholds.BINS, int))


def test_names_in_histograms_are_inert(app, asked):
    screen = events.ask(app, asked, Controls(prompts='<img src=x onerror="x">\nStühle | 椅子'))
    assert "<img" not in screen.legend and "Stühle | 椅子" in screen.legend


def test_labels_are_those_of_the_library(app, asked):
    assert (alone(app, asked, 0.2).labels == labels(app, asked)).all()


def test_the_mode_that_asks_nothing_is_zero_for_all():
    query = Query(("a", "b"), threshold=0.4, own={"b": 0.6}, best=True)
    assert query.thresholds == (0.0, 0.0)


def test_whole_numbers_decide_as_probabilities_do():
    """What a page decides while a line is dragged is what the server says when it is let go."""
    rng = np.random.default_rng(0)
    share = np.linspace(0, 1, 101)
    near = rng.choice(share, (4000, 4)) + rng.choice([-1e-5, -1e-7, 0, 1e-7, 1e-5], (4000, 4))
    probability = np.concatenate([near, rng.random((4000, 4))]).clip(0, 1).astype(np.float32)
    for asked in rng.choice(share, (20, 3)):
        want = s4token.best_prompt(probability, asked)[0]
        got = s4token.best_prompt(thresholds.whole(probability), thresholds.least(asked))[0]
        rows = np.sort(probability, axis=1)
        clear = (np.diff(rows, axis=1) > 2e-4).all(axis=1)  # 1e-4 apart is one whole number
        assert (got == want)[clear].all() and clear.mean() > 0.5


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_browser_decides_as_the_server_does():
    rng = np.random.default_rng(0)
    table = rng.integers(0, 6, (300, 4)).astype(np.uint16)
    least = np.array([2, 0, 5])
    want = s4token.best_prompt(table.astype(np.int32), least)[0].tolist()
    code = (
        "global.window = {s4: {}};"
        + (STATIC / "thresholds.js").read_text(encoding="utf-8")
        + f"const t = Uint16Array.from({table.ravel().tolist()});"
        f"console.log(JSON.stringify(Array.from(window.s4.decide(t, {least.tolist()}))));"
    )
    done = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == want
