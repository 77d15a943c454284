"""A training is a folder and a process: one at a time, resumable, found by the next app."""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from viewer.curves import curves
from viewer.trainer import Plan, Run, Trainer, read_log, trainings

# What `python -m s4token pretrain` does as seen from outside: a log and a state per tokenizer, a
# checkpoint at the end, a saved state and one line on SIGTERM; only that nothing is learned.
STAND_IN = """
import json, signal, sys, time
from pathlib import Path
work, out, steps, tokenizers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    if (out.parent / "fail").exists():
        sys.exit("s4token: step 3: loss is nan")
    print("left out: broken.ply: the file is empty", flush=True)
    for name in tokenizers:
        (work / name).mkdir(parents=True, exist_ok=True)
        state = work / name / "state.pt"
        done = int(state.read_text()) if state.exists() else 0
        for step in range(done, steps):
            state.with_suffix(".part").write_text(str(step + 1))
            state.with_suffix(".part").replace(state)
            with (work / name / "log.jsonl").open("a") as log:
                print(json.dumps({"step": step, "loss": 1 / (step + 1)}), file=log)
            time.sleep(0.02)
    out.write_text("trained")
except KeyboardInterrupt:
    sys.exit("s4token: interrupted; nothing half-written was left behind")
"""


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    def command(plan: Plan, folder: Path, threads: int) -> list[str]:
        assert threads >= 1
        paths = [str(folder / "work"), str(folder / plan.file)]
        return [sys.executable, "-c", STAND_IN, *paths, str(plan.steps), *plan.tokenizers]

    monkeypatch.setattr(Plan, "command", command)
    trainer = Trainer(tmp_path / "training")
    yield trainer
    trainer.close()
    if trainer._process is not None:
        trainer._process.wait(30)


LONG = Plan("my rooms", steps=100_000, scenes=2)


def wait(trainer: Trainer, state: str, step: int = 0) -> Run:
    until = time.monotonic() + 60
    while True:
        run = trainer.current()
        assert run is not None and time.monotonic() < until, run
        far = run.logs and next(iter(run.logs.values()))[-1]["step"] >= step
        if run.state == state and (not step or far):
            return run
        time.sleep(0.05)


def test_it_runs_to_its_end_and_leaves_a_checkpoint(trainer):
    assert trainer.current() is None
    trainer.start(replace(LONG, steps=5, tokenizers=("superpoint", "knn")))
    run = wait(trainer, "finished")
    assert run.checkpoint.read_text() == "trained" and run.checkpoint.name == "my_rooms.safetensors"
    assert {t: len(rows) for t, rows in run.logs.items()} == {"superpoint": 5, "knn": 5}
    assert run.notes == ("left out: broken.ply: the file is empty",) and run.done == 1
    trainer.tidy()
    assert not list(run.folder.glob("work/*/state.pt")) and trainer.current() == run
    trainer.start(replace(LONG, name="second", steps=5))
    assert [r.plan.name for r in trainer.runs()] == ["second", "my rooms"]
    wait(trainer, "finished")


def test_pause_and_resume(trainer):
    trainer.start(LONG)
    wait(trainer, "running", 3)
    with pytest.raises(ValueError, match="my rooms is running; one at a time"):
        trainer.start(replace(LONG, name="another"))
    with pytest.raises(ValueError, match="not paused"):
        trainer.resume()
    trainer.pause()
    paused = wait(trainer, "paused")
    far = paused.logs["superpoint"][-1]["step"]
    assert paused.message == "" and "100,000" in paused.stage
    with pytest.raises(ValueError, match="is paused; one at a time, resume or stop it"):
        trainer.start(replace(LONG, name="another"))
    with pytest.raises(ValueError, match="none is running"):
        trainer.pause()
    assert len(trainer.runs()) == 1, "what was refused left nothing behind"
    trainer.resume()
    steps = [r["step"] for r in wait(trainer, "running", far + 3).logs["superpoint"]]
    assert steps == list(range(len(steps))), "it went on where it was"


def test_the_next_app_finds_the_training_of_one_that_was_killed(trainer):
    trainer.start(LONG)
    wait(trainer, "running", 2)
    after = Trainer(trainer.folder)  # knows only what is on disk
    assert after.current().state == "running"
    with pytest.raises(ValueError, match="one at a time"):
        after.start(replace(LONG, name="another"))
    after.pause()
    trainer._process.wait(30)
    assert wait(after, "paused").plan == LONG
    after.resume()
    far = wait(after, "running", 5)
    assert far.state == "running"
    after._process.send_signal(signal.SIGKILL)
    after._process.wait(30)
    killed = wait(after, "paused")
    assert "ended from outside" in killed.message
    after.resume()
    wait(after, "running", int(killed.logs["superpoint"][-1]["step"]) + 2)
    after.close()
    after._process.wait(30)


def test_stop_keeps_what_was_learned(trainer):
    trainer.start(replace(LONG, tokenizers=("superpoint", "knn")))
    wait(trainer, "running", 3)
    said = trainer.stop()
    run = wait(trainer, "finished")
    steps = len(run.logs["superpoint"])
    assert run.plan.stopped and run.plan.steps == steps and f"after {steps:,} steps" in said
    assert run.plan.tokenizers == ("superpoint",), "only those that learned anything"
    assert run.checkpoint.read_text() == "trained"
    with pytest.raises(ValueError, match="none is running or paused"):
        trainer.stop()


def test_stop_before_anything_was_learned_leaves_nothing(trainer):
    (trainer.folder / "0001").mkdir(parents=True)
    (trainer.folder / "0001" / "plan.json").write_text(
        json.dumps({"name": "early", "tokenizers": ["knn"], "weights": {"masked": 1}})
    )
    assert trainer.current().state == "paused"
    assert "before it had learned anything" in trainer.stop()
    assert trainer.current() is None and not (trainer.folder / "0001").exists()


def test_a_failure_is_told_and_can_be_resumed(trainer):
    trainer.start(LONG)
    wait(trainer, "running", 2)
    trainer.pause()
    folder = wait(trainer, "paused").folder
    (folder / "fail").write_text("")
    trainer.resume()
    failed = wait(trainer, "failed")
    assert failed.message == "step 3: loss is nan"
    (folder / "fail").unlink()
    trainer.resume()
    wait(trainer, "running", 5)


def test_scans_are_copied_and_none_is_lost_to_a_name(trainer, tmp_path):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "scan.ply").write_text(place)
    with pytest.raises(ValueError, match="choose a folder"):
        trainer.start(replace(LONG, source="scans", steps=1))
    assert trainer.current() is None
    paths = [tmp_path / "one" / "scan.ply", tmp_path / "two" / "scan.ply"]
    trainer.start(replace(LONG, source="scans", steps=1), paths)
    run = wait(trainer, "finished")
    assert {p.read_text() for p in (run.folder / "scans").iterdir()} == {"one", "two"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": " "}, "Name"),
        ({"name": "x" * 61}, "Name"),
        ({"source": "/etc"}, "Learn from"),
        ({"scenes": 1}, "Scenes: expected a whole number from 2"),
        ({"steps": 0}, "Steps"),
        ({"steps": 2.5}, "Steps"),
        ({"steps": None}, "Steps"),
        ({"tokenizers": ()}, "Tokenizers"),
        ({"tokenizers": ("voxel",)}, "Tokenizers"),
        ({"weights": {"masked": float("nan")}}, "Masked"),
        ({"weights": {"masked": 0.0}}, "at least one"),
        ({"weights": {"magic": 1.0}}, "Magic"),
        ({"unit": "parsec"}, "Unit: choose one of m, "),
        ({"source": "scans", "weights": {"alignment": 1.0}}, "Alignment: your scans have no"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        replace(LONG, **wrong)


def test_the_command_line_is_one_that_the_library_takes(tmp_path):
    from s4token.cli import _parser

    plan = Plan(
        "../$(x) 日本", source="scans", tokenizers=("knn", "radius"), start="shipped",
        weights={"distillation": 0.5, "masked": 1.0}, clip="ViT-B-16:openai", unit="cm",
    )  # fmt: skip
    python, *rest = plan.command(tmp_path, 2)
    assert rest[:3] == ["-m", "s4token", "pretrain"] and python == sys.executable
    options = _parser().parse_args(rest[2:])
    assert options.data == f"folder:{tmp_path / 'scans'}" and options.threads == 2
    assert options.tokenizers == ["knn", "radius"] and options.start == Path("shipped")
    assert (options.distillation, options.masked, options.alignment) == (0.5, 1.0, None)
    assert options.unit == "cm"
    rooms = _parser().parse_args(replace(plan, source="rooms").command(tmp_path, 2)[3:])
    assert rooms.unit is None, "rooms know theirs"
    assert options.out.parent == tmp_path and options.out.name == "x_日本.safetensors"


def test_a_log_with_a_torn_line_and_steps_done_again(tmp_path):
    rows = [{"step": 0, "loss": 3.0}, {"step": 20, "loss": 2.0}, {"step": 20, "loss": 1.0}]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in rows) + '\n{"step": 40, "lo')
    assert [(r["step"], r["loss"]) for r in read_log(path)] == [(0, 3.0), (20, 1.0)]
    assert read_log(tmp_path / "none") == []


def test_curves_show_every_tokenizer_and_the_parts_of_the_last():
    rows = [{"step": s, "loss": 2.0 - s, "distance": 0.5, "token_cosine": 0.9} for s in (0, 1)]
    figure = curves({"superpoint": rows, "knn": rows[:1]}, 100)
    names = [trace.name for trace in figure.data]
    assert names.count("distance") == 1 and {"loss, superpoint", "loss, knn"} <= set(names)
    assert "between tokens, superpoint" in names
    (line,) = [t for t in figure.data if t.name == "loss, superpoint"]
    assert list(line.x) == [1, 2] and list(line.y) == [2.0, 1.0]


def test_where_trainings_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("S4TOKEN_STATE", str(tmp_path))
    assert trainings() == tmp_path / "training"
    monkeypatch.delenv("S4TOKEN_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert trainings() == tmp_path / "s4token" / "training"
