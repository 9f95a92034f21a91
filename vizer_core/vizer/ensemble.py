"""Several rewards as one: what one reader can be fooled by, all of them seldom are.

A policy finds what its reward overrates. Mappers of other seeds or data overrate other things, so
their mean is harder to fool, and their minimum harder still (Coste et al. 2310.02743, section 3,
compare the two for reward models).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.vizer.policy_gradient import (
    Gathering,
    Reward,
    name_of,
    reward_of_step,
    score_captions,
)
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch

Rule = Callable[[Tensor], Tensor]


def mean_of_readers(scores: Float[Tensor, "e m"]) -> Float[Tensor, " m"]:
    """Average over readers.

    >>> mean_of_readers(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    tensor([2., 0.])
    """
    return scores.mean(dim=0)


def least_of_readers(scores: Float[Tensor, "e m"]) -> Float[Tensor, " m"]:
    """Believe the reader that likes a caption least.

    >>> least_of_readers(torch.tensor([[1.0, 0.0], [3.0, -1.0]]))
    tensor([ 1., -1.])
    """
    return scores.amin(dim=0)


@dataclass(frozen=True, eq=False)
class EnsembleReward:
    """Asks every reader and joins their answers by a rule."""

    readers: tuple[Reward, ...]
    rule: Rule = mean_of_readers

    def __post_init__(self) -> None:
        if len(self.readers) < 2:
            raise ValueError(f"got {len(self.readers)} readers: an ensemble wants at least 2")

    @property
    def name(self) -> str:
        """The rule and the readers' names."""
        return f"{self.rule.__name__}({', '.join(map(name_of, self.readers))})"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by all readers."""
        return self.rule(
            torch.stack([score_captions(reader, vision, captions) for reader in self.readers])
        )

    def for_step(self, vision: VisionBatch, batch: Gathering) -> Reward:
        """Let each reader see the images of every process's batch."""
        readers = tuple(reward_of_step(reader, vision, batch) for reader in self.readers)
        return replace(self, readers=readers)
