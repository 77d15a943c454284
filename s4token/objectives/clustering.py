"""Clustering: masked tokens belong to the prototypes that the teacher gives them unmasked."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


@torch.no_grad()
def sinkhorn(scores: Float[Tensor, "N K"], rounds: int = 3) -> Float[Tensor, "N K"]:
    """Turn scores into assignments: every row sums to 1, every column to N / K or nearly so.

    In float32 and in logarithms: sums of exponentials of large scores would not survive bf16.
    Source: Cuturi, arXiv 1306.0895, as used in SwAV, arXiv 2006.09882.
    """
    log = scores.float()
    even = torch.tensor(len(log) / log.shape[1]).log()
    for _ in range(rounds):
        log = log - log.logsumexp(dim=0, keepdim=True) + even
        log = log - log.logsumexp(dim=1, keepdim=True)
    return log.exp()


class Clustering(nn.Module):
    """Score student features against the teacher's balanced assignment to learned prototypes.

    sharpness: the teacher's scores are divided by it before balancing, the student's by twice it.
    """

    def __init__(self, width: int, prototypes: int = 128, sharpness: float = 0.05) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(F.normalize(torch.randn(prototypes, width), dim=-1))
        self.sharpness = sharpness

    def forward(
        self, student: Float[Tensor, "N E"], teacher: Float[Tensor, "N E"]
    ) -> dict[str, Tensor]:
        """Return ``loss`` and the collapse watch.

        student, teacher: unit rows of the same tokens. ``entropy``: of the teacher's mean nearest
        prototype over its largest value, 1 = all are used alike, 0 = one takes everything.
        """
        prototypes = F.normalize(self.prototypes, dim=-1)
        scores = teacher.float() @ prototypes.detach().T / self.sharpness
        target = sinkhorn(scores)
        guess = (student.float() @ prototypes.T / (2 * self.sharpness)).log_softmax(dim=-1)
        used = scores.softmax(dim=-1).mean(dim=0)
        entropy = -(used * used.clamp(min=1e-12).log()).sum()
        size = torch.tensor(float(len(prototypes)))
        return {
            "loss": -(target * guess).sum(dim=-1).mean(),
            "entropy": entropy / size.log(),
        }
