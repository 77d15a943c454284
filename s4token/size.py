"""How large tokens are in metres: told, or estimated from what the scan shows.

All else that a tokenizer reads is a ratio, so units do not matter; but a stool and a bar table
differ in little else than their size. A person sees from chairs and doors how large a room is:
so every token votes for how many metres a token pitch is, and all then read their own size. Where
the scan's unit is known, that takes the place of the vote. Both ways the same scan in other units
gives the same numbers.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from s4token.describe import LENGTHS

HEIGHTS = torch.arange(8) * 0.4
"""Heights over the floor, in metres, by which a token's bottom and top are told apart."""


class MetricSize(nn.Module):
    """Estimate metres per token pitch, and tell every token its size in metres."""

    levels: Tensor

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.vote = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 2))
        channels = LENGTHS + 2 * len(HEIGHTS) + 1
        self.tell = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, hidden))
        for last in (self.vote[-1], self.tell[-1]):
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.register_buffer("levels", HEIGHTS.clone(), False)

    def estimate(
        self, x: Float[Tensor, "B T H"], valid: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B"]:
        """Return the log of metres per token pitch: the tokens' votes, weighed by themselves."""
        vote, weight = self.vote(self.norm(x)).float().unbind(dim=-1)
        if valid is not None:
            weight = weight.masked_fill(~valid, -torch.inf)
        return (vote * weight.softmax(dim=1)).sum(dim=1)

    def forward(
        self,
        x: Float[Tensor, "B T H"],
        lengths: Float[Tensor, "B T 5"],
        told: Float[Tensor, "B 2"] | None = None,
        valid: Bool[Tensor, "B T"] | None = None,
    ) -> tuple[Float[Tensor, "B T H"], Float[Tensor, "B"]]:
        """Add to every token what its size says; return that and the estimate.

        told: log of metres per token pitch and how sure that is (1 or 0); NaN where nobody knows.
        """
        estimate = self.estimate(x, valid)
        pitch, sure = estimate.detach(), torch.zeros_like(estimate)
        if told is not None:
            known = told[:, 0].isfinite()
            pitch = torch.where(known, told[:, 0], pitch)
            sure = torch.where(known, told[:, 1], sure)
        return x + self.tell(self._features(lengths, pitch, sure).to(x.dtype)), estimate

    def _features(self, lengths: Tensor, pitch: Tensor, sure: Tensor) -> Tensor:
        metres = lengths * pitch.clamp(-7, 7).exp()[:, None, None]
        extents = (metres[..., :3].clamp(min=0) + 0.005).log()
        heights = metres[..., 3:].clamp(-1, 6)
        bumps = torch.exp(-0.5 * ((heights[..., None] - self.levels) / 0.3) ** 2)
        flag = sure[:, None, None].expand(*lengths.shape[:2], 1)
        return torch.cat([extents, heights, bumps.flatten(-2), flag], dim=-1)


def size_distance(estimate: Float[Tensor, "B"], pitch: Float[Tensor, "B"]) -> Tensor:
    """Return how far estimates are from the truth, in factors of e; unknown truths do not count."""
    known = pitch.isfinite()
    apart = F.smooth_l1_loss(
        torch.where(known, estimate, 0.0),
        torch.where(known, pitch, 0.0),
        beta=0.1,
        reduction="none",
    )
    return apart.sum() / known.sum().clamp(min=1)


def told_in_training(
    pitch: Float[Tensor, "B"], generator: torch.Generator, *, error: float = 0.3
) -> Float[Tensor, "B 2"]:
    """Tell half of the scenes their pitch, and the others one off by a normal error of its log.

    generator: on the device of ``pitch``.

    So that a tokenizer is at home on both, and no more sure of an estimate than it may be.
    """
    how: Any = {"generator": generator, "device": generator.device}
    sure = (torch.rand(len(pitch), **how) < 0.5).float()
    noise = error * torch.randn(len(pitch), **how)
    return torch.stack([pitch + torch.where(sure > 0, 0.0, noise), sure], dim=1)
