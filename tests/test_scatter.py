"""Pooling by group: torch-scatter, core torch and a loop give the same, gradients included."""

from __future__ import annotations

import pytest
import torch

from s4token import scatter
from s4token.scatter import core_sum, scatter_mean, scatter_sum


def rows(n=50, width=4, groups=9):
    generator = torch.Generator().manual_seed(0)
    group = torch.randint(groups - 2, (n,), generator=generator)
    return torch.randn(n, width, generator=generator, dtype=torch.float64), group, groups


def slow_sum(values, group, groups):
    out = torch.zeros(groups, values.shape[1], dtype=values.dtype)
    for row, number in zip(values, group.tolist(), strict=True):
        out[number] = out[number] + row
    return out


@pytest.mark.parametrize("function", [core_sum, scatter_sum])
def test_sum_equals_a_loop(function):
    values, group, groups = rows()
    torch.testing.assert_close(function(values, group, groups), slow_sum(values, group, groups))


def test_mean_equals_a_loop_and_empty_groups_give_zero():
    values, group, groups = rows()
    got = scatter_mean(values, group, groups)
    for number in range(groups):
        own = values[group == number]
        expected = own.mean(dim=0) if len(own) else torch.zeros(4, dtype=torch.float64)
        torch.testing.assert_close(got[number], expected)
    assert (got[-2:] == 0).all()


@pytest.mark.parametrize("function", [core_sum, scatter_sum, scatter_mean])
def test_gradients(function):
    values, group, groups = rows(n=12)
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: function(v, group, groups), values)


@pytest.mark.skipif(not scatter.HAVE_TORCH_SCATTER, reason="torch-scatter is not installed")
def test_library_equals_core_torch():
    values, group, groups = rows(n=5000, width=64)
    torch.testing.assert_close(scatter_sum(values, group, groups), core_sum(values, group, groups))


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(scatter, "_library", None)
    values, group, groups = rows()
    torch.testing.assert_close(scatter_sum(values, group, groups), slow_sum(values, group, groups))


def test_no_rows():
    assert scatter_mean(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), 2).shape == (2, 3)
