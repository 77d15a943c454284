"""Alignment with words: features come to the text vectors of the names that their points bear.

For scenes whose names are known, as composed ones are. Not part of the label-free recipe.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Alignment(nn.Module):
    """Score features against a fixed list of names.

    A cross-entropy to the shares of names in a token, over the names of its scene and a random
    part of all others, as if they were the words of a prompt, plus the distance to the mean word.
    Names that mean nearly the same as one of the token's (cosine above ``related``) do not
    compete. Frequent names carry a handicap of ``prior`` times their log frequency while training
    (balanced softmax, arXiv 2007.10740), so that without it rare names get their due.
    """

    words: Tensor
    handicap: Tensor
    kin: Tensor

    def __init__(
        self,
        words: Float[Tensor, "C E"],
        frequency: Float[Tensor, "C"],
        *,
        scale: float = 20.0,
        related: float = 0.6,
        prior: float = 0.5,
        absent: float = 0.5,
        cosine: float = 0.5,
    ) -> None:
        super().__init__()
        self.scale, self.absent, self.cosine = scale, absent, cosine
        self.register_buffer("words", words, False)
        smooth = frequency + frequency.mean() * 0.01
        self.register_buffer("handicap", prior * (smooth / smooth.max()).log(), False)
        itself = torch.eye(len(words), dtype=torch.bool, device=words.device)
        kin = (words @ words.T > related) & ~itself
        self.register_buffer("kin", kin.float(), False)

    def competitors(self, share: Float[Tensor, "B T C"], generator: torch.Generator) -> Tensor:
        """Return (B, C): the names of a scene, and each other one with probability ``absent``.

        generator: on the device of ``share``.
        """
        size = share.shape[0], share.shape[2]
        drawn = torch.rand(size, generator=generator, device=share.device) < self.absent
        return (share.amax(dim=1) > 0) | drawn

    def forward(
        self,
        features: Float[Tensor, "B T E"],
        share: Float[Tensor, "B T C"],
        weight: Float[Tensor, "B T"],
        compete: Bool[Tensor, "B C"],
    ) -> Tensor:
        """Return the weighted mean.

        features: unit rows; share: of every name in a token, sums to 1 where ``weight`` is not 0;
        compete: the names that count in each scene.
        """
        own = share > 0
        out = (own.float() @ self.kin > 0) & ~own | ~compete[:, None] & ~own
        logits = self.scale * features @ self.words.T + self.handicap
        logits = logits.masked_fill(out, -1e9)
        entropy = -(share * logits.log_softmax(dim=-1)).sum(dim=-1)
        word = F.normalize(share @ self.words, dim=-1)
        loss = entropy + self.cosine * (1 - (features * word).sum(dim=-1))
        return (loss * weight).sum() / weight.sum().clamp(min=1e-6)

    def whole(
        self,
        pooled: Float[Tensor, "B E"],
        share: Float[Tensor, "B T C"],
        weight: Float[Tensor, "B T"],
        compete: Bool[Tensor, "B C"],
    ) -> Tensor:
        """Return the same for what stands for a whole scene: the mix of all its tokens' names."""
        mix = (share * weight[..., None]).sum(dim=1, keepdim=True)
        named = mix.sum(dim=2)
        mix = mix / named.clamp(min=1e-6)[..., None]
        return self(pooled[:, None], mix, (named > 0).float(), compete)
