"""Chapter 12: the advantage of a caption over the others of its image."""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.runtime import seeded
from vizer_core.vizer.policy_gradient import group_mean, grpo, rloo, rloo_scaled
from vizer_lab.practice.task import Case, Task


def answer(rewards: Tensor) -> Tensor:
    """Return the advantages, by the package."""
    return rloo(rewards)


def cases() -> list[Case]:
    """Rewards of a few images, whose levels differ more than their captions do."""
    return [
        Case(
            f"{images} images of {captions} captions",
            (
                torch.randn(images, captions, generator=seeded(images))
                + 5 * torch.randn(images, 1, generator=seeded(captions)),
            ),
        )
        for images, captions in ((1, 4), (3, 2), (4, 5))
    ]


def all_captions(rewards: Tensor) -> Tensor:
    """You subtracted the mean of all the image's captions, the caption itself among them. Leave it
    out: add up the others only, and divide by k - 1."""
    return group_mean(rewards)


def over_the_step(rewards: Tensor) -> Tensor:
    """You compared with the mean over all images. An image on which every caption scores high would
    push all its captions up: compare with the captions of the same image."""
    return rewards - rewards.mean()


def divided_by_all(rewards: Tensor) -> Tensor:
    """You added up the others and divided by k. There are k - 1 of them."""
    others = rewards.sum(dim=1, keepdim=True) - rewards
    return rewards - others / rewards.shape[1]


def no_baseline(rewards: Tensor) -> Tensor:
    """These are the rewards themselves. Subtract the mean of the image's other captions."""
    return rewards.clone()


def baseline_only(rewards: Tensor) -> Tensor:
    """You have the mean of the others. Subtract it from the caption's own reward."""
    return rewards - answer(rewards)


def by_spread(rewards: Tensor) -> Tensor:
    """You divided by the spread of each image's rewards, as GRPO does. Leave that out: it blows up
    the noise of images whose captions are equally good."""
    return grpo(rewards)


def by_spread_of_all(rewards: Tensor) -> Tensor:
    """You divided by a spread. The advantage here is the bare difference."""
    return rloo_scaled(rewards)


def others_of_all(rewards: Tensor) -> Tensor:
    """You compared with all other captions of all images. Take the other captions of the same
    image: sum over `dim=1`."""
    return rewards - (rewards.sum() - rewards) / (rewards.numel() - 1)


def against_the_best(rewards: Tensor) -> Tensor:
    """You compared with the image's best caption. The baseline is the *mean* of the others."""
    return rewards - rewards.amax(dim=1, keepdim=True)


def upside_down(rewards: Tensor) -> Tensor:
    """The sign is the other way round: a caption above the others has a positive advantage."""
    return -answer(rewards)


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        all_captions,
        over_the_step,
        divided_by_all,
        no_baseline,
        baseline_only,
        by_spread,
        by_spread_of_all,
        others_of_all,
        against_the_best,
        upside_down,
    ),
    at_home="`vizer_core.vizer.policy_gradient.rloo`",
)
