"""What ViZer's phase 2 compares with the image: two readings of one formula, side by side.

L_zero = 1 - cos(F_I, M(f_psi(.))) (section 3). The captions are the model's own, generated before
without gradient; what differs is how the language model meets them again.

==================  ============================================================================
ImageContext        the paper: f_psi, with LoRA, reads the caption after its image. Gradient moves
                    the states, not the choice of words: representation, not policy
StraightThrough     the frozen base reads the caption without the image; gradient passes through
                    the tokens as if sampling were the identity (Bengio et al. 2013, section 4)
==================  ============================================================================

For `StraightThrough` the words are the only way from model to loss: what the image tells later
states cannot be scored. It is the one that needs logits. ViZer's repository is not public, so that
which of these it trains is not known; its formula and its figure show the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.vizer.losses import cosine_loss
from vizer_core.vizer.mapper import FittedMapper
from vizer_core.vizer.rollout import Rollout


@runtime_checkable
class Objective(Protocol):
    """A loss of one step, lower is better; `fitted` is the mapper that it compares by, if any."""

    fitted: FittedMapper

    def __call__(self, rollout: Rollout) -> Float[Tensor, ""]:
        """Return the loss of a rollout, with gradient to LoRA and nowhere else."""


@dataclass(frozen=True, eq=False)
class ImageContext:
    """The paper's reading: states of the caption with its image in context."""

    fitted: FittedMapper

    def __call__(self, rollout: Rollout) -> Float[Tensor, ""]:
        """Return 1 - cos of the states that followed the image."""
        return _loss(self.fitted, rollout.states, rollout)


@dataclass(frozen=True, eq=False)
class StraightThrough:
    """The caption read without its image by the frozen base; gradient through the tokens."""

    fitted: FittedMapper
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}: wanted more than 0")

    def __call__(self, rollout: Rollout) -> Float[Tensor, ""]:
        """Return 1 - cos of the frozen reader's states, differentiable in the policy."""
        embeddings = straight_through(rollout, temperature=self.temperature)
        with rollout.vlm.adapter_off():
            states = rollout.vlm.text_states_of_embeddings(embeddings, rollout.captions.mask)
        return _loss(self.fitted, states, rollout)


def straight_through(rollout: Rollout, *, temperature: float = 1.0) -> Float[Tensor, "b t h"]:
    """Return the caption's token embeddings, with the gradient of the expected embedding.

    e_j = E[w_j] + (p_j E - stop(p_j E)), p_j the model's distribution where it generated token j.
    The value is exactly the caption's; the gradient is that of p_j E.
    """
    vlm, captions = rollout.vlm, rollout.captions
    hard = vlm.embed(captions.ids).detach()
    vocabulary = rollout.logits.shape[-1]
    table = vlm.embed(torch.arange(vocabulary, device=hard.device)[None])[0].detach()
    soft = (rollout.logits.float() / temperature).softmax(dim=-1).to(table) @ table
    gradient = torch.zeros_like(hard)
    gradient[captions.mask] = soft - soft.detach()
    return hard + gradient


def _loss(fitted: FittedMapper, states: Tensor, rollout: Rollout) -> Float[Tensor, ""]:
    mapped = fitted.mapper.read(states, rollout.captions.mask)
    targets = fitted.targets(rollout.vision.targets)
    return cosine_loss(mapped, targets.repeat_interleave(rollout.samples, dim=0))
