"""Masked point modelling: say what a hidden part of the scene means from what is around it."""

from __future__ import annotations

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
    ratio: float,
    generator: torch.Generator,
) -> Bool[Tensor, "B T"]:
    """Choose blocks of neighbouring tokens until ``ratio`` of each scene's tokens are masked."""
    centers, valid = centers.cpu(), valid.cpu()
    mask = torch.zeros_like(valid)
    for row in range(len(centers)):
        real = valid[row].nonzero()[:, 0]
        place = centers[row, real]
        wanted, hidden = round(ratio * len(real)), torch.zeros(len(real), dtype=torch.bool)
        for left in range(BLOCKS, 0, -1):
            missing = wanted - int(hidden.sum())
            seed = int(torch.randint(len(real), (), generator=generator))
            away = (place - place[seed]).norm(dim=-1).masked_fill(hidden, torch.inf)
            hidden[away.argsort()[: -(-missing // left)]] = True
        mask[row, real] = hidden
    return mask


def pitches(centers: Float[Tensor, "B T 3"], valid: Bool[Tensor, "B T"]) -> Float[Tensor, "B"]:
    """Return every scene's median distance from a token to its nearest other, 0 if it has one."""
    out = []
    for place, real in zip(centers, valid, strict=True):
        apart = torch.cdist(place[real], place[real]).fill_diagonal_(torch.inf)
        nearest = apart.amin(dim=1) if len(apart) > 1 else apart.new_zeros(1)
        out.append(nearest.median())
    return torch.stack(out)


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
        ratio = low + (high - low) * float(torch.rand((), generator=generator))
        mask = block_mask(centers, valid, ratio, generator).to(valid.device)
        noise = torch.randn(centers.shape, generator=generator).to(centers.device)
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
