"""Cross-modal distillation: token features follow what a frozen CLIP saw of them in views."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Distillation(nn.Module):
    """Score student tokens against multi-view teacher features.

    The distance is one minus the cosine. The features of one CLIP have most of their length in
    common, so that this hardly sees what tells tokens apart: the contrast is the same distance
    once ``mean`` is taken off. The relation term compares, per scene and without the mean, how
    each student token resembles all teacher tokens with how its own teacher token does (a
    cross-entropy of softened similarities, relational distillation, arXiv 1904.05068).

    mean: (E,), of unit teacher features; relation: weight of that term; temperature: of its
    similarities.
    """

    mean: Tensor

    def __init__(
        self, mean: Float[Tensor, "E"], relation: float = 0.25, temperature: float = 0.1
    ) -> None:
        super().__init__()
        self.relation, self.temperature = relation, temperature
        self.register_buffer("mean", mean)

    def forward(
        self,
        student: Float[Tensor, "B T E"],
        teacher: Float[Tensor, "B T E"],
        weight: Float[Tensor, "B T"],
    ) -> dict[str, Tensor]:
        """Return ``distance``, ``contrast``, ``relation`` and their weighted sum ``loss``.

        student, teacher: unit rows; weight: 0 for tokens that no view saw and for padding.
        """
        total = weight.sum().clamp(min=1e-6)
        mean_of = lambda values: (values * weight).sum() / total  # noqa: E731
        own, wanted = (F.normalize(f - self.mean, dim=-1) for f in (student, teacher))
        with torch.no_grad():
            # Not -inf, which would make a scene without a seen token NaN.
            unseen = torch.where(weight > 0, 0.0, -1e9)[:, None, :]
            target = (wanted @ wanted.mT / self.temperature + unseen).softmax(dim=-1)
        predicted = (own @ wanted.mT / self.temperature + unseen).log_softmax(dim=-1)
        out = {
            "distance": mean_of(1 - (student * teacher).sum(dim=-1)),
            "contrast": mean_of(1 - (own * wanted).sum(dim=-1)),
            "relation": mean_of(-(target * predicted.masked_fill(target == 0, 0.0)).sum(dim=-1)),
        }
        return out | {"loss": out["distance"] + out["contrast"] + self.relation * out["relation"]}


def global_distance(student: Float[Tensor, "B E"], teacher: Float[Tensor, "B E"]) -> Tensor:
    """Return the mean of one minus the cosine of whole-scene features."""
    return (1 - F.cosine_similarity(student, teacher, dim=-1)).mean()
