"""What a step costs: time, and memory that is taken and given back inside it."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from s4token.resources import Cost, measured


def test_time_and_peak_memory_are_seen():
    with measured(torch.device("cpu")) as calm:
        time.sleep(0.05)
    with measured(torch.device("cpu")) as busy:
        block = np.ones(30_000_000)
        time.sleep(0.05)
        del block
    assert 0.05 <= calm.seconds < 5 and busy.seconds > 0.05
    assert busy.peak_mb - calm.peak_mb > 150  # 229 MB were held


def test_costs_add_up():
    cost = Cost(1.0, 50.0)
    cost.add(Cost(2.0, 40.0))
    assert (cost.seconds, cost.peak_mb) == (3.0, 50.0)


def test_a_failing_step_is_measured_too():
    with pytest.raises(RuntimeError), measured(torch.device("cpu")) as cost:
        raise RuntimeError
    assert cost.seconds > 0
