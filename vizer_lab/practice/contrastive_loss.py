"""Chapter 1: the loss that CLIP is trained with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vizer_core.gap.shift import contrastive_loss
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.practice.task import Case, Task


def answer(images: Tensor, texts: Tensor, logit_scale: float) -> Tensor:
    """Return the mean of both directions, by the package."""
    loss = contrastive_loss(images, texts, logit_scale=logit_scale, batch_size=len(images))
    return torch.tensor(loss.symmetric)


def cases() -> list[Case]:
    """Pairs that lie near each other, more or fewer, at several scales."""
    found = []
    for number, scale in ((2, 1.0), (5, 10.0), (8, 30.0)):
        noise = seeded(number)
        images = unit_norm(torch.randn(number, 6, generator=noise))
        texts = unit_norm(images + 0.8 * torch.randn(number, 6, generator=noise))
        found.append(Case(f"{number} pairs at scale {scale:.0f}", (images, texts, scale)))
    return found


def _logits(images: Tensor, texts: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    return scale * images @ texts.T, torch.arange(len(images))


def one_direction(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """You have the images that look for their caption. The captions must look for their image too:
    add the loss of the transposed matrix, and take the mean of the two."""
    return cross_entropy(*_logits(images, texts, scale))


def other_direction(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """You have the captions that look for their image. The images must look for their caption too:
    add the loss of the transposed matrix, and take the mean of the two."""
    logits, own = _logits(images, texts, scale)
    return cross_entropy(logits.T, own)


def sum_of_directions(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """You added the two directions. CLIP's loss is their mean: halve it."""
    return 2 * answer(images, texts, scale)


def without_scale(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """The logit scale is missing: multiply the cosines by it before the softmax."""
    return answer(images, texts, 1.0)


def divided_by_scale(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """You divided by the logit scale. It is one over the temperature: multiply by it."""
    return answer(images, texts, 1.0 / scale)


def softmax_twice(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """You gave `cross_entropy` probabilities. It takes the softmax itself: give it the logits."""
    logits, own = _logits(images, texts, scale)
    return (cross_entropy(logits.softmax(1), own) + cross_entropy(logits.T.softmax(1), own)) / 2


def own_pairs_only(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """You used the diagonal only, the cosine of each pair. The loss compares it with the other
    captions of the batch: divide by the sum over the whole row, that is, take a log-softmax."""
    return -scale * (images * texts).sum(1).mean()


def all_cells(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """You averaged the log-softmax over all cells. Only the own pairs count, the diagonal; the
    others stand in its denominators."""
    logits, _ = _logits(images, texts, scale)
    return -(logits.log_softmax(1).mean() + logits.log_softmax(0).mean()) / 2


def probabilities(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """You took the probability of the own pair. The loss is minus its *logarithm*."""
    logits, _ = _logits(images, texts, scale)
    return -(logits.softmax(1).diag() + logits.softmax(0).diag()).mean() / 2


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        one_direction,
        other_direction,
        sum_of_directions,
        without_scale,
        divided_by_scale,
        softmax_twice,
        own_pairs_only,
        all_cells,
        probabilities,
    ),
    at_home="`vizer_core.gap.shift.contrastive_loss`",
    learns=True,
)
