"""The training loop: resumes bit for bit, survives NaN and a kill, logs what it did."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import types
from dataclasses import replace

import pytest
import torch

from s4token.training import MUON_RATIO, Loop, MuonAdamW, own_device, parameter_groups
from tests.fakes import torchrun


class Task:
    """A small regression whose step draws from its number alone."""

    def __init__(self, muon=False):
        torch.manual_seed(0)
        self.module = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 1)
        )
        groups = parameter_groups(self.module, 0.01)
        adamw = torch.optim.AdamW(groups, lr=1.0)
        self.optimizer = MuonAdamW(self.module, 1.0, 0.01) if muon else adamw
        self.seen = []

    def step(self, number):
        self.seen.append(number)
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(number))
        error = self.module(x)[:, 0] - x.sum(dim=1)
        return {"loss": (error**2).mean(), "largest": error.abs().max(), "answer": 42}

    def run(self, loop, **kwargs):
        loop.run(self.module, self.optimizer, kwargs.pop("step", self.step), **kwargs)
        return self

    def state(self):
        weights = {k: v.clone() for k, v in self.module.state_dict().items()}
        parts = getattr(self.optimizer, "parts", (self.optimizer,))
        moments = [m for part in parts for m in part.state_dict()["state"].values()]
        return weights, {(i, k): v.clone() for i, m in enumerate(moments) for k, v in m.items()}


def equal(first, second):
    return all(
        a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
        for a, b in zip(first.state(), second.state(), strict=True)
    )


class Killed(BaseException):
    """What a signal looks like from inside: nothing may catch it."""


def until(stop):
    def progress(steps):
        for number in steps:
            if number == stop:
                raise Killed
            yield number

    return progress


def loop(folder, **kwargs):
    return Loop(folder, 30, 0.01, **({"save_seconds": -1.0, "log_every": 1} | kwargs))


def rows(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("muon", [False, True])
@pytest.mark.parametrize("stop", [1, 13, 29])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, stop, muon):
    whole = Task(muon).run(loop(tmp_path / "whole"))
    with pytest.raises(Killed):
        Task(muon).run(loop(tmp_path / "part"), progress=until(stop))
    second = Task(muon).run(loop(tmp_path / "part"))
    assert second.seen == list(range(stop, 30))
    assert equal(whole, second)
    losses = [r["loss"] for r in rows(tmp_path / "part")]
    assert losses == [r["loss"] for r in rows(tmp_path / "whole")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_rest_follows_bit_for_bit(tmp_path, number):
    whole = Task().run(loop(tmp_path / "whole"))
    part, before = Task(), signal.getsignal(number)

    def step(i):
        if i == 7:
            os.kill(os.getpid(), number)
        return part.step(i)

    with pytest.raises(KeyboardInterrupt):
        part.run(loop(tmp_path / "part", save_seconds=1e9, log_every=20), step=step)
    assert part.seen == list(range(8)), "the step that ran has ended, no other has begun"
    assert rows(tmp_path / "part")[-1]["step"] == 7, "the log says how far it came"
    assert signal.getsignal(number) is before
    second = Task().run(loop(tmp_path / "part"))
    assert second.seen == list(range(8, 30)) and equal(whole, second)


def test_a_second_signal_does_not_wait(tmp_path):
    task = Task()

    def step(i):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return task.step(i)

    with pytest.raises(KeyboardInterrupt):
        task.run(loop(tmp_path), step=step)
    assert task.seen == [] and not (tmp_path / "state.pt").exists()


def test_a_state_of_other_settings_is_refused(tmp_path):
    begun = loop(tmp_path, settings={"seed": 1, "scenes": "abc"})
    with pytest.raises(Killed):
        Task().run(begun, progress=until(9))
    before = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(
        ValueError, match="seed 1 and not 2, scenes abc and not def; choose another"
    ):
        Task().run(replace(begun, settings={"seed": 2, "scenes": "def"}))
    assert (tmp_path / "state.pt").read_bytes() == before
    Task().run(replace(begun, peak_lr=0.001, steps=40))  # what an unfinished one may change
    with pytest.raises(ValueError, match=r"lr 0\.001 and not 0\.5"):
        Task().run(replace(begun, peak_lr=0.5, steps=40))


def test_fewer_steps_than_were_done_keep_what_was_done(tmp_path, caplog):
    done = Task().run(loop(tmp_path))
    again = Task().run(replace(loop(tmp_path), steps=20))
    assert equal(done, again) and again.seen == [] and "30 steps are done" in caplog.text


def test_a_state_of_no_settings_is_gone_on_from(tmp_path):
    with pytest.raises(Killed):
        Task().run(loop(tmp_path), progress=until(9))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["settings"]
    torch.save(state, tmp_path / "state.pt")
    assert Task().run(loop(tmp_path, settings={"seed": 1})).seen[0] == 9


@pytest.mark.parametrize("damage", [b"", b"no zip", None])
def test_a_damaged_state_is_named(tmp_path, damage):
    Task().run(loop(tmp_path))
    path = tmp_path / "state.pt"
    path.write_bytes(path.read_bytes()[:-500] if damage is None else damage)
    with pytest.raises(ValueError, match=r"state\.pt: cannot be read .* delete it to begin anew"):
        Task().run(loop(tmp_path))


def test_a_folder_is_trained_in_once_at_a_time(tmp_path):
    task = Task()

    def step(number):
        with pytest.raises(ValueError, match="another training runs there"):
            Task().run(loop(tmp_path))
        return task.step(number)

    task.run(loop(tmp_path), step=step)
    Task().run(loop(tmp_path))  # it has ended


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    with pytest.raises(
        FloatingPointError, match="step 0: a weight is not finite; nothing was saved"
    ):
        Task().run(replace(loop(tmp_path), peak_lr=float("inf")))
    assert not (tmp_path / "state.pt").exists()


def test_a_full_disk_keeps_the_last_state(tmp_path, monkeypatch):
    with pytest.raises(Killed):
        Task().run(loop(tmp_path), progress=until(9))
    (tmp_path / ".state.1234").write_bytes(b"of a run that was killed as it saved")
    before = (tmp_path / "state.pt").read_bytes()

    def full(state, path):
        path.write_bytes(b"half")
        raise RuntimeError("unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ValueError, match=r"state\.pt: cannot be written .* make room"):
        Task().run(loop(tmp_path))
    assert (tmp_path / "state.pt").read_bytes() == before
    assert not list(tmp_path.glob(".state.*"))


@pytest.mark.parametrize("device", ["cuda", "foo"])
def test_a_device_that_is_not_there_is_refused(device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="device"):
        own_device(device)


def test_training_trains(tmp_path):
    Task().run(Loop(tmp_path, 300, 0.02, log_every=1))
    losses = [r["loss"] for r in rows(tmp_path)]
    assert losses[-1] < 0.1 * losses[0]


def test_what_was_not_saved_is_done_again(tmp_path):
    whole = Task().run(loop(tmp_path / "whole"))
    with pytest.raises(Killed):
        Task().run(loop(tmp_path / "part", save_seconds=1e9), progress=until(20))
    second = Task().run(loop(tmp_path / "part"))
    assert second.seen == list(range(30)) and equal(whole, second)


def test_finished_run_does_nothing_more(tmp_path):
    first = Task().run(loop(tmp_path))
    log = rows(tmp_path)
    second = Task().run(loop(tmp_path))
    assert second.seen == [] and equal(first, second) and rows(tmp_path) == log


def test_killed_while_saving(tmp_path, monkeypatch):
    whole = Task().run(loop(tmp_path / "whole"))
    part = tmp_path / "part"
    write, calls = torch.save, []

    def half(state, path):
        calls.append(state["done"])
        if len(calls) == 10:
            path.write_bytes(b"half a state")
            raise Killed
        write(state, path)

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(Killed):
        Task().run(loop(part))
    monkeypatch.undo()
    assert calls[-1] == 10
    (part / ".state.12345").write_bytes(b"left by a process that was killed outright")
    second = Task().run(loop(part))
    assert second.seen == list(range(9, 30)) and equal(whole, second)


@pytest.mark.parametrize("log_every", [1, 20])
@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_not_a_number_stops_and_keeps_the_last_good_state(tmp_path, kind, log_every):
    task = Task()

    def step(number):
        values = task.step(number)
        if number == 7 and kind == "loss":
            values["loss"] = values["loss"] * math.nan
        elif number == 7:
            zero = task.module[0].weight.sum() * 0
            values["loss"] = values["loss"] + zero.sqrt()  # finite, of infinite slope
        return values

    with pytest.raises(FloatingPointError, match=f"step 7: .*{tmp_path.name}.*lower learning rate"):
        task.run(loop(tmp_path, log_every=log_every), step=step)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert saved["done"] == 7
    assert all(torch.isfinite(v).all() for v in saved["module"].values())
    assert all(torch.equal(v, saved["module"][k]) for k, v in task.module.state_dict().items())
    # The run goes on from there as if nothing had been.
    whole, second = Task().run(loop(tmp_path / "whole")), Task().run(loop(tmp_path))
    assert second.seen == list(range(7, 30)) and equal(whole, second)


def test_log_holds_step_rate_and_values(tmp_path):
    Task().run(loop(tmp_path, log_every=10))
    log = rows(tmp_path)
    assert [r["step"] for r in log] == [0, 10, 20, 29]
    assert all(r["answer"] == 42 and r["loss"] > 0 and r["largest"] > 0 for r in log)
    assert [r["lr"] for r in log] == [loop(tmp_path).lr(n) for n in (0, 10, 20, 29)]


def test_tensorboard_gets_what_the_log_gets_where_it_is_installed(tmp_path, monkeypatch):
    class SummaryWriter:
        def __init__(self, folder):
            assert folder == str(tmp_path)

        def add_scalar(self, name, value, step):
            written.append((step, name, value))

    written, module = [], types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    Task().run(loop(tmp_path, log_every=10))
    names = ("loss", "largest", "answer", "lr")
    assert written == [(r["step"], name, r[name]) for r in rows(tmp_path) for name in names]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    (tmp_path / "state.pt").unlink()
    Task().run(loop(tmp_path))
    assert len(written) == 16


def test_two_processes_step_by_the_mean_of_their_gradients(tmp_path):
    code = """
import os, sys, torch
from test_training import Task, loop
from pathlib import Path
task = Task().run(loop(Path(sys.argv[1])))
torch.save(task.module.state_dict(), f"{sys.argv[1]}/{os.environ['RANK']}.pt")
assert task.seen == list(range(int(os.environ["RANK"]), 60, 2))
"""
    torchrun(tmp_path, code, str(tmp_path))
    whole = Task()

    def both(number):
        one, other = whole.step(2 * number), whole.step(2 * number + 1)
        return {"loss": (one["loss"] + other["loss"]) / 2}

    whole.run(loop(tmp_path / "one"), step=both)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name, weight in whole.module.state_dict().items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], weight, rtol=1e-4, atol=1e-5)
    log = rows(tmp_path)
    assert [r["step"] for r in log] == list(range(30)), "the first process alone writes"


def test_rate_warms_up_and_ends_near_zero(tmp_path):
    schedule = Loop(tmp_path, 1000, 0.5, warmup=0.1)
    rates = [schedule.lr(n) for n in range(1000)]
    assert 0 < rates[0] < 0.001 and max(rates) == pytest.approx(0.5, rel=0.01)
    assert rates[:100] == sorted(rates[:100]) and rates[100:] == sorted(rates[100:], reverse=True)
    assert 0 < rates[-1] < 1e-4
    assert Loop(tmp_path, 1, 0.5).lr(0) > 0


def test_the_rate_reaches_the_optimizer(tmp_path):
    task, used = Task(), []
    step = lambda n: used.append(task.optimizer.param_groups[1]["lr"]) or task.step(n)  # noqa: E731
    task.run(loop(tmp_path), step=step)
    assert used == [loop(tmp_path).lr(n) for n in range(30)]


def test_parameter_groups():
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 2)
    )
    module[2].requires_grad_(False)
    matrices, rest = parameter_groups(module, 0.3)
    assert matrices["weight_decay"] == 0.3 and rest["weight_decay"] == 0
    assert [p.shape for p in matrices["params"]] == [(4, 3)]
    assert [p.shape for p in rest["params"]] == [(4,), (4,), (4,)]


def test_muon_takes_the_weights_of_linear_layers_and_adamw_everything_else():
    module = torch.nn.ModuleDict(
        {
            "linear": torch.nn.Linear(6, 4),
            "attention": torch.nn.MultiheadAttention(8, 2),
            "norm": torch.nn.LayerNorm(4),
            "table": torch.nn.Embedding(5, 4),
            "frozen": torch.nn.Linear(3, 3).requires_grad_(False),
        }
    )
    optimizer = MuonAdamW(module, 0.1, 0.3)
    muon, adamw = [
        {id(p) for g in part.param_groups for p in g["params"]} for part in optimizer.parts
    ]
    names = {id(p): n for n, p in module.named_parameters()}
    assert {names[p] for p in muon} == {
        "linear.weight",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
    }
    assert not muon & adamw
    assert {names[p] for p in muon | adamw} == {
        n for n in names.values() if not n.startswith("frozen")
    }
    decays = {names[id(p)] for g in adamw_groups(optimizer) for p in g["params"]}
    assert decays == {"table.weight"}


def adamw_groups(optimizer):
    return [g for g in optimizer.parts[1].param_groups if g["weight_decay"]]


def test_a_step_of_muon_is_orthogonal_and_as_long_as_the_schedule_says(tmp_path):
    torch.manual_seed(0)
    layer = torch.nn.Linear(12, 12, bias=False)
    before = layer.weight.detach().clone()
    optimizer = MuonAdamW(layer, 1.0, 0.0)
    target = torch.randn(12, 12)
    schedule = Loop(tmp_path, 1, 0.001)
    schedule.run(layer, optimizer, lambda n: {"loss": ((layer.weight - target) ** 2).sum()})
    step = (before - layer.weight.detach()) / (schedule.lr(0) * MUON_RATIO)
    spread = lambda m: float(torch.linalg.svdvals(m).max() / torch.linalg.svdvals(m).min())  # noqa: E731
    assert spread(step) < 4
    assert spread(before - target) > 10
    assert float(torch.linalg.svdvals(step).max()) == pytest.approx(1, abs=0.3)
