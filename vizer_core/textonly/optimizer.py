"""What steps: AdamW, as in MacCap's release, or whatever is made in its place.

A `MakeOptimizer` takes the module that is trained, a rate and a weight decay. The rate of a step is
set in every parameter group; a group's `pace`, where it has one, is a factor of it.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class MakeOptimizer(Protocol):
    """Make an optimizer of the parameters that a module trains."""

    def __call__(
        self, model: nn.Module, *, rate: float, weight_decay: float
    ) -> torch.optim.Optimizer:
        """Return the optimizer."""


def adamw(model: nn.Module, *, rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return AdamW, the release's choice, over all parameters that are trained.

    >>> made = adamw(nn.Linear(2, 2), rate=0.1, weight_decay=0.0)
    >>> made.param_groups[0]["lr"], len(made.param_groups[0]["params"])
    (0.1, 2)
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, lr=rate, weight_decay=weight_decay)
