"""Masked point modelling: say what a hidden part of the scene means from what is around it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from s4token.describe import SHAPE_CHANNELS
from s4token.tokenizer import Tokenizer

BLOCKS = 12
"""Masked regions per scene; what is left to the ratio is masked around the last one."""


def block_mask(
    centers: Float[Tensor, "B T 3"],
    valid: Bool[Tensor, "B T"],
    ratio: float | Float[Tensor, ""],
    generator: torch.Generator,
) -> Bool[Tensor, "B T"]:
    """Choose blocks of neighbouring tokens until ``ratio`` of each scene's tokens are masked.

    generator: on the device of the centres, which nothing here waits for.
    """
    how: Any = {"generator": generator, "device": centers.device}
    wanted = (ratio * valid.sum(dim=1)).round()
    hidden = torch.zeros_like(valid)
    for left in range(BLOCKS, 0, -1):
        missing = wanted - hidden.sum(dim=1)
        seed = torch.rand(valid.shape, **how).masked_fill(~valid, -1.0).argmax(dim=1)
        place = centers.gather(1, seed[:, None, None].expand(-1, 1, 3))
        away = (centers - place).norm(dim=-1).masked_fill(hidden | ~valid, torch.inf)
        rank = away.argsort(dim=1).argsort(dim=1)
        hidden = hidden | (rank < (missing / left).ceil()[:, None])
    return hidden


def pitches(centers: Float[Tensor, "B T 3"], valid: Bool[Tensor, "B T"]) -> Float[Tensor, "B"]:
    """Return every scene's median distance from a token to its nearest other, 0 if it has one."""
    itself = torch.eye(centers.shape[1], dtype=torch.bool, device=centers.device)
    apart = torch.cdist(centers, centers).masked_fill(~valid[:, None, :] | itself, torch.inf)
    nearest = apart.amin(dim=2).masked_fill(~valid, torch.inf).sort(dim=1).values
    middle = (valid.sum(dim=1, keepdim=True) - 1) // 2
    median = nearest.gather(1, middle)[:, 0]
    return torch.where(median.isfinite(), median, 0.0)


class MaskedModelling(nn.Module):
    """Predict the teacher's features of masked tokens from the visible ones.

    A masked token keeps its place, off by ``jitter`` token pitches so that the place does not give
    its shape away, and nothing else (Point-MAE, arXiv 2203.06604; targets from a teacher as in
    data2vec, arXiv 2202.03555). ratio: range of the share of tokens that is masked.
    """

    def __init__(
        self,
        hidden: int,
        width: int,
        *,
        ratio: tuple[float, float] = (0.6, 0.65),
        jitter: float = 0.3,
    ) -> None:
        super().__init__()
        self.ratio, self.jitter = ratio, jitter
        self.blank = nn.Parameter(0.02 * torch.randn(hidden))
        self.predict = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def hide(
        self,
        tokenizer: Tokenizer,
        inputs: tuple[Tensor, Tensor, Tensor],
        valid: Bool[Tensor, "B T"],
        generator: torch.Generator,
        told: Tensor | None = None,
    ) -> tuple[Float[Tensor, "B T D"], Bool[Tensor, "B T"]]:
        """Return the embeddings of a scene with masked tokens, and which they are."""
        samples, shape, centers = inputs
        low, high = self.ratio
        how: Any = {"generator": generator, "device": centers.device}
        ratio = low + (high - low) * torch.rand((), **how)
        mask = block_mask(centers, valid, ratio, generator)
        noise = torch.randn(centers.shape, **how)
        moved = centers + self.jitter * pitches(centers, valid)[:, None, None] * noise
        centers = torch.where(mask[..., None], moved, centers)
        content = tokenizer.content(samples, shape)
        content = torch.where(mask[..., None], self.blank.to(content.dtype), content)
        lengths = shape[..., SHAPE_CHANNELS:].masked_fill(mask[..., None], 0)
        return tokenizer.finish(content, lengths, centers, valid, told)[0], mask

    def forward(
        self,
        student: Float[Tensor, "B T E"],
        teacher: Float[Tensor, "B T E"],
        mask: Bool[Tensor, "B T"],
    ) -> Tensor:
        """Return one minus the mean cosine over masked tokens."""
        cosine = F.cosine_similarity(self.predict(student[mask]), teacher[mask], dim=-1)
        return (1 - cosine).mean()
