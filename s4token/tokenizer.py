"""The learned part: from described groups to tokens of the frozen transformer's width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from s4token.describe import SAMPLE_CHANNELS, SHAPE_CHANNELS, TokenInputs
from s4token.size import MetricSize

HIDDEN = 256
NEIGHBOURS = 16
"""Tokens that a token looks at before the transformer does, itself among them."""
PART = 256
"""Tokens whose samples a CPU reads at a time."""
FARTHEST = 20.0
"""Where offsets to neighbours end, in token pitches (or the unit)."""


def collate(
    inputs: Sequence[TokenInputs], device: torch.device | str = "cpu"
) -> tuple[Tensor, ...]:
    """Pad clouds of different token counts; return samples, shape, centers and valid."""
    longest = max(len(i.shape) for i in inputs)
    valid = torch.zeros(len(inputs), longest, dtype=torch.bool)
    out = []
    for name in ("samples", "shape", "centers"):
        first = getattr(inputs[0], name)
        batch = np.zeros((len(inputs), longest, *first.shape[1:]), np.float32)
        for row, item in enumerate(inputs):
            batch[row, : len(item.shape)] = getattr(item, name)
            valid[row, : len(item.shape)] = True
        out.append(torch.from_numpy(batch).to(device))
    return (*out, valid.to(device))


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.norm(x))


@dataclass(frozen=True, eq=False)
class _Nearest:
    """Hold the ``NEIGHBOURS`` nearest tokens of every token, itself among them, in (B, T, K).

    index: into the flattened (B * T) tokens; offset: to their centres and the distance, (B, T, K,
    4); weight: fades to 0 at the farthest, so that it does not matter which one that is.
    """

    index: Tensor
    offset: Tensor
    weight: Tensor


@torch.no_grad()
def _nearest(centers: Tensor, valid: Tensor | None) -> _Nearest:
    batch, tokens, _ = centers.shape
    # Not by the matrix product, whose rounding would depend on where the scan lies.
    if centers.device.type == "cpu":
        distance = torch.cdist(centers, centers, compute_mode="donot_use_mm_for_euclid_dist")
    else:
        # On a GPU cdist starts a block of threads for every pair.
        distance = (centers[:, :, None] - centers[:, None]).square().sum(dim=-1).sqrt()
    if valid is not None:
        distance = distance.masked_fill(~valid[:, None, :], torch.inf)
    distance, index = distance.topk(min(NEIGHBOURS, tokens), dim=2, largest=False)
    real = distance.isfinite()
    distance = distance.masked_fill(~real, 0)
    farthest = distance.amax(dim=2, keepdim=True).clamp(min=1e-6)
    weight = (1 - (distance / farthest) ** 2) * real
    index = index + torch.arange(batch, device=index.device)[:, None, None] * tokens
    offset = centers.reshape(-1, 3)[index] - centers[:, :, None]
    offset = torch.cat([offset, distance[..., None]], dim=-1).clamp(-FARTHEST, FARTHEST)
    return _Nearest(index, offset, weight)


class _Largest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = x.amax(dim=-2)
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x, out = ctx.saved_tensors
        largest = (x == out.unsqueeze(-2)).to(x.dtype)
        return largest * (grads[0] / largest.sum(dim=-2)).unsqueeze(-2)


def _largest(x: Float[Tensor, "*T K C"]) -> Float[Tensor, "*T C"]:
    """Return ``x.amax(dim=-2)``, whose own gradient would count the largest in int64: slow."""
    out = _Largest.apply(x)
    assert isinstance(out, Tensor)
    return out


class _Neighbours(nn.Module):
    """Let every token look at those around it: an edge convolution (EdgeConv, arXiv 1801.07829)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.near = nn.Linear(width, width // 2)
        self.offset = nn.Linear(4, width // 2)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, nearest: _Nearest) -> Tensor:
        near = self.near(self.norm(x)).flatten(0, 1)
        # Not index_select, whose gradient a GPU would add up one number at a time.
        edge = F.embedding(nearest.index, near)
        weight = nearest.weight[..., None].to(edge.dtype)
        edge = F.gelu(edge + self.offset(nearest.offset)) * weight
        mean = edge.sum(dim=2) / weight.sum(dim=2).clamp(min=1e-3)
        return x + self.out(torch.cat([_largest(edge), mean], dim=-1))


class Tokenizer(nn.Module):
    """Turn described groups into embeddings of the transformer's width.

    A shared point network with max and mean pooling (PointNet, arXiv 1612.00593) reads the samples,
    a second one the shape; Fourier features of the centres give the position. Then every token
    looks at those around it: the transformer would first have to learn what is near. In between
    it learns its size in metres (``size.MetricSize``).

    sized: False where coordinates are in the scan's unit anyway.
    """

    frequencies: Tensor

    def __init__(
        self, width: int, hidden: int = HIDDEN, octaves: int = 7, *, sized: bool = True
    ) -> None:
        super().__init__()
        self.points = nn.Sequential(
            nn.Linear(SAMPLE_CHANNELS + SHAPE_CHANNELS, hidden // 2),
            nn.GELU(),
            nn.Linear(hidden // 2, hidden),
            nn.GELU(),
        )
        self.shape = nn.Sequential(nn.Linear(SHAPE_CHANNELS, hidden), nn.GELU())
        self.position = nn.Linear(6 * octaves, hidden)
        self.merge = nn.Linear(3 * hidden, hidden)
        self.neighbours = nn.ModuleList(_Neighbours(hidden) for _ in range(2))
        self.size = MetricSize(hidden) if sized else None
        self.blocks = nn.ModuleList(_Residual(hidden) for _ in range(2))
        self.out = nn.Linear(hidden, width)
        self.register_buffer("frequencies", 2 * torch.pi * 0.5 ** torch.arange(octaves), False)

    def forward(
        self,
        samples: Tensor,
        shape: Tensor,
        centers: Tensor,
        valid: Tensor | None = None,
        told: Tensor | None = None,
    ) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B"]]:
        """Embed (B, T, 32, 7) samples, (B, T, 27) shapes and (B, T, 3) centres.

        valid: False on padding, which no token looks at; all are valid without it.
        told: metres per token pitch, as ``MetricSize`` takes them.
        Returns the embeddings and the estimated log of metres per token pitch, NaN unless sized.
        """
        content = self.content(samples, shape)
        return self.finish(content, shape[..., SHAPE_CHANNELS:], centers, valid, told)

    def content(self, samples: Tensor, shape: Tensor) -> Float[Tensor, "B T H"]:
        """Say what a token looks like."""
        shape = shape[..., :SHAPE_CHANNELS]
        flat = samples.flatten(0, 1), shape.flatten(0, 1)
        # Parts that fit into a cache: on a CPU large blocks cost more than what is done with them.
        parts = (
            zip(*(x.split(PART) for x in flat), strict=True)
            if samples.device.type == "cpu"
            else [flat]
        )
        pooled = torch.cat([self._pooled(*part) for part in parts]).unflatten(0, shape.shape[:2])
        return self.merge(torch.cat([pooled, self.shape(shape)], dim=-1))

    def _pooled(self, samples: Tensor, shape: Tensor) -> Float[Tensor, "T H2"]:
        # The first layer reads each sample beside its token's shape, which is the same for all.
        first: Any = self.points[0]
        weight, context = first.weight.split([SAMPLE_CHANNELS, SHAPE_CHANNELS], dim=1)
        context = F.linear(shape, context, first.bias)[:, None]
        points = self.points[1:](F.linear(samples, weight) + context)
        # The mean of a bfloat16 tensor goes through float32, its sum does not.
        return torch.cat([_largest(points), points.sum(dim=1) / points.shape[1]], dim=-1)

    def place(self, centers: Tensor) -> Float[Tensor, "B T H"]:
        """Say where a token lies."""
        angle = (centers[..., None] * self.frequencies).flatten(2)
        return self.position(torch.cat([angle.sin(), angle.cos()], dim=-1))

    def finish(
        self,
        content: Float[Tensor, "B T H"],
        lengths: Float[Tensor, "B T 5"],
        centers: Tensor,
        valid: Tensor | None = None,
        told: Tensor | None = None,
    ) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B"]]:
        """Turn what tokens look like, how long they are and where they lie into embeddings."""
        x = content + self.place(centers)
        nearest = _nearest(centers, valid)
        estimate = x.new_full((len(x),), torch.nan)
        for number, (look, block) in enumerate(zip(self.neighbours, self.blocks, strict=True)):
            if self.size is not None and number == 1:
                x, estimate = self.size(x, lengths, told, valid)
            x = block(look(x, nearest))
        return self.out(x), estimate
