"""Chapter 9: how much each token of a caption surprises a model, in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vizer_core.runtime import seeded
from vizer_core.vlm.language_side import log_probs_of
from vizer_core.vlm.protocol import CaptionBatch
from vizer_lab.practice.task import Case, Task


def answer(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Return -log p of each token, 0 at padding, by the package."""
    captions = CaptionBatch(ids, mask, ("",) * len(ids))
    return -log_probs_of(logits[:, :-1][mask], captions)


def cases() -> list[Case]:
    """Captions of several lengths, of a vocabulary of seven words."""
    found = []
    for lengths in ((3, 3), (4, 2, 1), (5,)):
        longest, noise = max(lengths), seeded(len(lengths))
        logits = 2 * torch.randn(len(lengths), longest + 1, 7, generator=noise)
        ids = torch.randint(7, (len(lengths), longest), generator=noise)
        mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
        says = " and ".join(str(length) for length in lengths)
        found.append(Case(f"captions of {says} tokens", (logits, ids, mask)))
    return found


def _of(logits: Tensor, ids: Tensor) -> Tensor:
    return -logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]


def one_state_late(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """You are one place late: state j has read the tokens before token j and predicts it. Leave out
    the last state, not the first."""
    return _of(logits[:, 1:], ids) * mask


def log_probability(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """That is log p, which is never above 0. Surprisal is minus that."""
    return -answer(logits, ids, mask)


def probability(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """That is the probability of each token. Take its logarithm, and the sign away: -log p."""
    return (-answer(logits, ids, mask)).exp() * mask


def in_bits(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """That is in bits, by the logarithm of base 2. Nats are wanted: the natural logarithm."""
    return answer(logits, ids, mask) / math.log(2)


def no_softmax(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """These are the logits of the tokens. Only after a log-softmax over the vocabulary (the last
    axis) are they log-probabilities."""
    return -logits[:, :-1].gather(-1, ids[..., None])[..., 0] * mask


def softmax_over_places(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Your softmax runs over the places of the caption. At each place the *words* share a
    probability of 1: take it over the last axis."""
    chances = logits[:, :-1].log_softmax(1)
    return -chances.gather(-1, ids[..., None])[..., 0] * mask


def padding_kept(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Padding has a surprisal: set it to 0 where the mask is false."""
    return _of(logits[:, :-1], ids)


def summed(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """That is one number per caption, the sum. One per token is wanted, in the shape of `ids`."""
    return answer(logits, ids, mask).sum(1)


def mean_per_caption(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """That is one number per caption, the mean. One per token is wanted, in the shape of `ids`."""
    return summed(logits, ids, mask) / mask.sum(1)


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        one_state_late,
        log_probability,
        probability,
        in_bits,
        no_softmax,
        softmax_over_places,
        padding_kept,
        summed,
        mean_per_caption,
    ),
    at_home="`vizer_core.vlm.surprisal.surprisal_with_image`",
    learns=True,
)
