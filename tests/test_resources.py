"""What a step costs: time, and memory that is taken and given back inside it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from s4token.resources import Cost, measured

SCRIPT = """
import json, time
import numpy as np, torch
from s4token.resources import measured
with measured(torch.device("cpu")) as calm:
    time.sleep(0.05)
with measured(torch.device("cpu")) as busy:
    block = np.ones(30_000_000)
    time.sleep(0.2)
    del block
print(json.dumps([calm.seconds, calm.peak_mb, busy.seconds, busy.peak_mb]))
"""


def test_time_and_peak_memory_are_seen():
    """In a process of its own: a long-lived one has memory to spare and needs no more."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    calm, before, busy, peak = json.loads(done.stdout)
    assert 0.05 <= calm < 5 and busy >= 0.2
    assert peak - before > 150  # 229 MB were held


def test_costs_add_up():
    cost = Cost(1.0, 50.0)
    cost.add(Cost(2.0, 40.0))
    assert (cost.seconds, cost.peak_mb) == (3.0, 50.0)


def test_a_failing_step_is_measured_too():
    with pytest.raises(RuntimeError), measured(torch.device("cpu")) as cost:
        raise RuntimeError
    assert cost.seconds > 0
