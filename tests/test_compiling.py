"""Who waits for numba is told; who does not is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import njit

from s4token import cli, model, superpoints
from s4token.compiling import COMPILING, compiling
from s4token.multiview import encode_views
from s4token.superpoints import Superpoints

ROOT = Path(__file__).resolve().parent.parent

FRESH = """
import s4token
from s4token.compiling import compiling
model, said = s4token.load(), []
with compiling(lambda: said.append("warm")):
    model.warm_up()
cloud = s4token.room("office", 1).cloud
with compiling(lambda: said.append("again")):
    for scan in (cloud, s4token.PointCloud(cloud.points.astype(float))):
        model.encode(scan)
print(*said)
"""


def kernel():
    """Return a kernel that nobody has compiled yet."""
    return njit(lambda x: x + 1)


def test_it_is_said_once_and_only_while_something_is_compiled():
    said, first, second = [], kernel(), kernel()
    with compiling(lambda: said.append(1)):
        first(1), second(1), first(1.0)
    assert said == [1]
    with compiling(lambda: said.append(2)):
        first(1)
    assert said == [1]


def test_a_stage_says_why_it_takes_long(tiny_model, room_cloud, monkeypatch):
    def heard() -> list[str]:
        stages = []
        tiny_model.encode(room_cloud, progress=lambda _, stage: stages.append(stage))
        return stages

    heard()
    assert len(heard()) == 4 and not any("compiled" in stage for stage in heard())
    levels = model._levels
    monkeypatch.setattr(model, "_levels", lambda *a: kernel()(1) and levels(*a))
    first, second, *rest = heard()
    assert second == f"{first}; {COMPILING}" and len(rest) == 3


class Slow(Superpoints):
    """Superpoints whose kernel has yet to be compiled."""

    def __call__(self, cloud):
        kernel()(1)
        return super().__call__(cloud)


def test_the_2d_teacher_says_it_too(tiny_clip, room_cloud):
    for grouping, said in ((Superpoints(24), 4), (Slow(24), 5)):
        stages: list[str] = []
        say = lambda *stage, to=stages: to.append(stage[1])  # noqa: E731
        encode_views(tiny_clip, room_cloud, grouping=grouping, views=2, progress=say)
        assert len(stages) == said and sum(COMPILING in stage for stage in stages) == said - 4


def test_the_command_that_partitions_says_it_too(path, tmp_path, monkeypatch, capsys):
    command = ["partition", str(path), "--count", "24", "--out", str(tmp_path / "cut.ply")]
    assert cli.main(command) == 0
    capsys.readouterr()
    assert cli.main(command) == 0 and capsys.readouterr().err == ""
    monkeypatch.setattr(superpoints, "Superpoints", Slow)
    assert cli.main(command) == 0 and capsys.readouterr().err == f"{COMPILING}\n"


@pytest.mark.slow
def test_after_warming_up_no_scan_waits(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FRESH],
        cwd=ROOT,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout.split() == ["warm"], done.stdout + done.stderr
