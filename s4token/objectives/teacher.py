"""The teacher of the self-supervised objectives: a slow average of the student."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class AverageTeacher(nn.Module):
    """Hold an exponential moving average of a module's weights (mean teacher, arXiv 1703.01780).

    No gradient reaches it. It is a module so that its weights are saved with the student's.
    """

    def __init__(self, student: nn.Module, momentum: float = 0.99) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum: expected a number in [0, 1), got {momentum}")
        self.momentum = momentum
        self.model = copy.deepcopy(student).requires_grad_(False)

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """Move a little towards the student; call once per step."""
        for own, new in zip(self.model.parameters(), student.parameters(), strict=True):
            own.lerp_(new, 1 - self.momentum)

    @torch.no_grad()
    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return what the averaged student makes of the inputs."""
        return self.model(*inputs)
