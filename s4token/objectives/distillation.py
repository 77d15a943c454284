"""Cross-modal distillation: token features follow what a frozen CLIP saw of them in views."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Distillation(nn.Module):
    """Score student tokens against multi-view teacher features.

    The distance is one minus the cosine. The relation term compares, per scene, how each student
    token resembles all teacher tokens with how its own teacher token does (a cross-entropy of
    softened similarities, relational distillation, arXiv 1904.05068), so that tokens do not only
    come near their teacher but are told apart as it tells them apart.
    """

    def __init__(self, relation: float = 0.25, temperature: float = 0.07) -> None:
        super().__init__()
        self.relation, self.temperature = relation, temperature

    def forward(
        self,
        student: Float[Tensor, "B T E"],
        teacher: Float[Tensor, "B T E"],
        weight: Float[Tensor, "B T"],
    ) -> dict[str, Tensor]:
        """Return ``distance``, ``relation`` and their weighted sum ``loss``.

        student, teacher: unit rows; weight: 0 for tokens that no view saw and for padding.
        """
        total = weight.sum().clamp(min=1e-6)
        distance = ((1 - (student * teacher).sum(dim=-1)) * weight).sum() / total
        with torch.no_grad():
            # Not -inf, which would make a scene without a seen token NaN.
            unseen = torch.where(weight > 0, 0.0, -1e9)[:, None, :]
            target = (teacher @ teacher.mT / self.temperature + unseen).softmax(dim=-1)
        predicted = (student @ teacher.mT / self.temperature + unseen).log_softmax(dim=-1)
        cross = -(target * predicted.masked_fill(target == 0, 0.0)).sum(dim=-1)
        relation = (cross * weight).sum() / total
        return {
            "loss": distance + self.relation * relation,
            "distance": distance,
            "relation": relation,
        }


def global_distance(student: Float[Tensor, "B E"], teacher: Float[Tensor, "B E"]) -> Tensor:
    """Return the mean of one minus the cosine of whole-scene features."""
    return (1 - F.cosine_similarity(student, teacher, dim=-1)).mean()
