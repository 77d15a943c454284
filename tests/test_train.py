"""What the Train tab does: its form checked, its checkpoints chosen page by page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import FakeModel, striped_cloud
from viewer import events, train
from viewer.checkpoints import Checkpoints
from viewer.controls import Controls
from viewer.corrections import Desk
from viewer.events import quiet
from viewer.session import Session, Store
from viewer.shared import App
from viewer.train import Form
from viewer.trainer import Trainer

WORDS = Controls(prompts="red\ngreen", threshold=0.0)


class Trained(FakeModel):
    """A checkpoint with one tokenizer only."""

    tokenizers = ("knn",)


def write_run(folder: Path, name: str, finished: bool = True) -> None:
    folder.mkdir(parents=True)
    plan = {"name": name, "tokenizers": ["knn"], "weights": {"masked": 1.0}, "steps": 7}
    (folder / "plan.json").write_text(json.dumps(plan))
    if finished:
        (folder / f"{name}.safetensors").write_text("weights")


@pytest.fixture
def app(tmp_path):
    own = FakeModel()

    def load(path, model):
        assert model is own and path.is_file()
        if "broken" in path.name:
            raise ValueError(f"{path.name}: not a readable safetensors file")
        return Trained()

    write_run(tmp_path / "training" / "0001", "mine")
    write_run(tmp_path / "training" / "0002", "broken")
    return App(
        lambda: own,
        Store(1 << 30),
        desk=Desk(tmp_path),
        trainer=Trainer(tmp_path / "training"),
        checkpoints=Checkpoints(load),
    )


def opened(app: App, points: int = 600) -> str:
    handle = app.store.open()
    events._open(app, handle, Session("stripes", striped_cloud(points)), WORDS, quiet)
    return handle


def test_a_chosen_checkpoint_encodes_the_open_scan_and_the_next_on_that_page_alone(app):
    here, other = opened(app), opened(app)
    before = app.store.get(here)
    screen = train.use(app, "0001", here, WORDS)
    trained = app.page(here).model()
    assert isinstance(trained, Trained)
    assert trained.encoded == ["knn"] and "fake.safetensors answers" in screen.status
    session = app.store.get(here)
    assert session.tokenizer == "knn" and set(session.layers) == {("knn", 1.0)}
    assert session.layer.encoding is not before.layer.encoding
    assert session.answer.classes == ("red", "green"), "asked again"
    assert app.page(other).model() is app.model()
    assert app.store.get(other).tokenizer == "superpoint"
    train.use(app, "", here, WORDS)
    assert app.page(here).model() is app.model() and app.model().encoded[-1] == "knn"


def test_a_checkpoint_chosen_before_a_scan_is_open(app):
    handle = app.store.open()
    assert train.use(app, "0001", handle, WORDS).scene is None
    assert app.page(handle).model().tokenizers == ("knn",)
    app.close(handle)
    assert app.page(handle).model() is app.model()


@pytest.mark.parametrize(
    ("name", "said"), [("0009", "no such one"), ("../x", "no such one"), ("0002", "broken.safet")]
)
def test_what_cannot_be_loaded_changes_nothing(app, name, said):
    handle = opened(app)
    before = app.store.get(handle)
    with pytest.raises(ValueError, match=said):
        train.use(app, name, handle, WORDS)
    assert app.store.get(handle) is before and app.page(handle).model() is app.model()


def test_what_the_tab_shows(app, tmp_path):
    view = train.look(app, "h", "")
    assert [n for _, n in view.offer[0]] == ["", "0002", "0001"] and view.offer[1] == ""
    assert view.can == {"start": True, "pause": False, "resume": False, "stop": False}
    write_run(tmp_path / "training" / "0003", "<i>x</i>", finished=False)
    log = tmp_path / "training" / "0003" / "work" / "knn" / "log.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text('{"step": 3, "loss": 0.5}\n')
    output = tmp_path / "training" / "0003" / "output.txt"
    output.write_text("left out: <b>.ply: bad\ns4token: interrupted; nothing")
    view = train.look(app, "h", "", said="Done.")
    assert "Done. &lt;i&gt;x&lt;/i&gt; is paused (knn tokens, step 4 of 7)" in view.status
    assert "&lt;b&gt;.ply" in view.notes and "<b>" not in view.notes
    assert view.can == {"start": False, "pause": False, "resume": True, "stop": True}
    assert view.figure is not None and [n for _, n in view.offer[0]] == ["", "0002", "0001"]
    assert train.look(app, "h", view.drawn).figure is None, "the same curves are not sent again"
    output.write_text("s4token: step 4: loss is nan")
    assert "has failed. step 4: loss is nan" in train.look(app, "h", "").status


GOOD = Form("x", "Bundled rooms", "", ["knn"], 4, 10, True, [1.0, 0, 0, 0])


@pytest.mark.parametrize(
    "weights", [["1", 0, 0, 0], [float("nan"), 0, 0, 0], [True, 0, 0, 0], [None] * 4]
)
def test_weights_from_the_browser_are_checked(weights):
    form = Form("x", "Bundled rooms", "", ["knn"], 4, 10, True, weights)
    with pytest.raises(ValueError, match="Distillation"):
        form.plan("clip", "")


def test_a_training_begins_with_what_answers_on_the_page(app, monkeypatch):
    started = []
    monkeypatch.setattr(Trainer, "start", lambda self, plan, scans: started.append((plan, scans)))
    handle = app.store.open()
    assert train.start(app, handle, GOOD, ["/x.ply"]) == "x has begun."
    plan, scans = started[0]
    assert (plan.start, plan.clip, scans) == ("shipped", "fake-clip", ())
    train.use(app, "0001", handle, WORDS)
    train.start(app, handle, GOOD, [])
    assert started[1][0].start.endswith("0001/mine.safetensors")
    with pytest.raises(ValueError, match="no superpoint"):
        train.start(
            app, handle, Form("x", "Bundled rooms", "", ["superpoint"], 4, 9, True, [1] * 4), []
        )
    own = Form("x", "My scans", "cm", ["knn"], 4, 9, False, [1, 0, 0, 0])
    train.start(app, handle, own, ["/x.ply"])
    assert (started[2][0].start, started[2][0].unit) == ("", "cm")
    assert started[2][1] == [Path("/x.ply")]


def test_the_choice_of_a_tokenizer_stays_where_it_can(app):
    handle = app.store.open()
    every = list(events.TOKENIZERS)
    choices, chosen = events.offered(app, handle, "radius")
    assert [name for _, name in choices] == every and chosen is None, "no scan: what was chosen"
    opened_knn = opened(app)
    app.store.update(opened_knn, lambda s: replace(s, tokenizer="knn"))
    assert events.offered(app, opened_knn, "knn")[1] is None
    assert events.offered(app, opened_knn, "superpoint")[1] == "knn", "as the scan is shown"
    train.use(app, "0001", handle, WORDS)
    for was in every:
        assert events.offered(app, handle, was) == ([("kNN", "knn")], "knn")
