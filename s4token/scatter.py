"""Pooling of rows by group: torch-scatter where it is installed, core torch otherwise."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

_library: Any = None
# An installed torch-scatter breaks with OSError when torch was upgraded since.
with contextlib.suppress(ImportError, OSError):
    import torch_scatter as _library  # pyright: ignore[reportMissingImports]

HAVE_TORCH_SCATTER = _library is not None


def core_sum(rows: Float[Tensor, "L E"], group: Int[Tensor, "L"], groups: int) -> Tensor:
    """Return (groups, E) sums of rows by group id, with core torch."""
    return rows.new_zeros(groups, rows.shape[1]).index_add_(0, group, rows)


def scatter_sum(
    rows: Float[Tensor, "L E"], group: Int[Tensor, "L"], groups: int
) -> Float[Tensor, "M E"]:
    """Return the sum of rows per group id in 0 .. groups-1; empty groups give 0."""
    if _library is not None:
        return _library.scatter_sum(rows, group, dim=0, dim_size=groups)
    return core_sum(rows, group, groups)


def scatter_mean(
    rows: Float[Tensor, "L E"], group: Int[Tensor, "L"], groups: int
) -> Float[Tensor, "M E"]:
    """Return the mean of rows per group id in 0 .. groups-1; empty groups give 0."""
    count = torch.bincount(group, minlength=groups).clamp(min=1).to(rows.dtype)
    return scatter_sum(rows, group, groups) / count[:, None]
