"""Several rewards as one: a caption that fools one reward seldom fools all of them.

`WeightedReward` adds rewards that want different things, as MOCHa does with fidelity and adequacy.

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
ROUNDING = 1e-6  # of the largest score: a smaller spread is that of float32's rounding


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


@dataclass(frozen=True, eq=False)
class WeightedReward:
    """A weighted sum of rewards that pull against each other, each in units of its own spread.

    MOCHa (Ben-Kish et al. 2312.03631) adds fidelity, that nothing false is said, and
    adequacy, that what matters is said, at one weight. Their scores have different scales, and so
    the spread over a batch is divided out first; a reward that does not tell its captions apart
    adds nothing there. Where we differ: the papers' two read references (entailment, BERTScore);
    which rewards are added is the caller's choice.
    """

    rewards: tuple[Reward, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rewards) != len(self.weights) or len(self.rewards) < 2:
            raise ValueError(
                f"{len(self.rewards)} rewards and {len(self.weights)} weights: wanted at least 2, "
                "and a weight a reward"
            )

    @property
    def name(self) -> str:
        """The weights and the rewards' names."""
        parts = zip(self.weights, self.rewards, strict=True)
        return " + ".join(f"{weight:g} {name_of(reward)}" for weight, reward in parts)

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by the sum."""
        total = torch.zeros(len(captions))
        for weight, reward in zip(self.weights, self.rewards, strict=True):
            total += weight * in_own_units(score_captions(reward, vision, captions).cpu())
        return total

    def for_step(self, vision: VisionBatch, batch: Gathering) -> Reward:
        """Let each reward see the images of every process's batch."""
        rewards = tuple(reward_of_step(reward, vision, batch) for reward in self.rewards)
        return replace(self, rewards=rewards)


def in_own_units(scores: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Subtract the mean and divide by the spread; scores equal but for rounding become 0.

    >>> in_own_units(torch.tensor([1.0, 3.0])), in_own_units(torch.ones(3))
    (tensor([-1.,  1.]), tensor([0., 0., 0.]))
    """
    centred = scores.float() - scores.float().mean()
    spread = centred.square().mean().sqrt()
    rounding = ROUNDING * scores.float().abs().max()
    return centred / spread if bool(spread > rounding) else torch.zeros_like(centred)
