"""Chapter 11: the loss of ViZer's two phases."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, mse_loss, pad

from vizer_core.runtime import seeded
from vizer_core.vizer.losses import cosine_loss
from vizer_core.vizer.pooling import mean_read
from vizer_lab.practice.task import Case, Task

Map = Callable[[Tensor], Tensor]


def answer(states: Tensor, mask: Tensor, h: Map, targets: Tensor) -> Tensor:
    """Return one minus the cosine of what the mean state is mapped to, by the package."""
    with_prompt = pad(states, (0, 0, 1, 0))  # the package's states begin before the first word
    return cosine_loss(h(mean_read(with_prompt, mask)), targets)


def cases() -> list[Case]:
    """Captions of several lengths, with states behind their ends that must not count."""
    found = []
    for number, (captions, longest) in enumerate(((2, 3), (4, 6), (5, 4))):
        noise = seeded(number)
        states = torch.randn(captions, longest, 6, generator=noise)
        lengths = torch.arange(captions)[:, None] % longest + 1
        mask = torch.arange(longest) < lengths
        weight = torch.randn(6, 5, generator=noise)

        def h(x: Tensor, weight: Tensor = weight) -> Tensor:
            return torch.tanh(x @ weight)

        targets = torch.randn(captions, 5, generator=noise)
        says = f"{captions} captions of up to {longest} words"
        found.append(Case(says, (states, mask, h, targets)))
    return found


def mask_forgotten(states: Tensor, mask: Tensor, h: Map, targets: Tensor) -> Tensor:
    """You averaged over all positions. Behind a caption's last word there is padding: set it to 0
    by the mask, and divide by the number of words."""
    return cosine_loss(h(states.mean(dim=1)), targets)


def divided_by_all(states: Tensor, mask: Tensor, h: Map, targets: Tensor) -> Tensor:
    """You left the padding out of the sum but divided by all positions: divide by the number of
    words of each caption."""
    return cosine_loss(h((states * mask[..., None]).mean(dim=1)), targets)


def mapped_first(states: Tensor, mask: Tensor, h: Map, targets: Tensor) -> Tensor:
    """You mapped every state and averaged after. Here the mean state is mapped: `h` comes second,
    and it is not linear."""
    kept = mask[..., None].to(states)
    return cosine_loss((h(states) * kept).sum(dim=1) / kept.sum(dim=1), targets)


def last_word(states: Tensor, mask: Tensor, h: Map, targets: Tensor) -> Tensor:
    """You took the last word's state only. ViZer reads all words of a caption: take their mean."""
    last = mask.sum(dim=1) - 1
    return cosine_loss(h(states[torch.arange(len(states)), last]), targets)


def cosine_only(states: Tensor, mask: Tensor, h: Map, targets: Tensor) -> Tensor:
    """You returned the mean cosine. A loss is lower where things are better: one minus it."""
    return 1 - answer(states, mask, h, targets)


def squared_distance(states: Tensor, mask: Tensor, h: Map, targets: Tensor) -> Tensor:
    """You took the squared distance. Only the angle counts: one minus the cosine."""
    return mse_loss(h(mean_read(pad(states, (0, 0, 1, 0)), mask)), targets)


def one_a_caption(states: Tensor, mask: Tensor, h: Map, targets: Tensor) -> Tensor:
    """You have a loss for each caption. A step needs one number: take their mean."""
    mapped = h(mean_read(pad(states, (0, 0, 1, 0)), mask))
    return 1 - cosine_similarity(mapped, targets, dim=-1)


def word_by_word(states: Tensor, mask: Tensor, h: Map, targets: Tensor) -> Tensor:
    """You compared each word's state with the image, and averaged the cosines. Average the states
    first: a caption is compared once."""
    cosines = cosine_similarity(h(states), targets[:, None], dim=-1)
    return 1 - ((cosines * mask).sum(dim=1) / mask.sum(dim=1)).mean()


def summed(states: Tensor, mask: Tensor, h: Map, targets: Tensor) -> Tensor:
    """That is the sum over the captions. Take their mean."""
    return len(states) * answer(states, mask, h, targets)


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        mask_forgotten,
        divided_by_all,
        mapped_first,
        last_word,
        cosine_only,
        squared_distance,
        one_a_caption,
        word_by_word,
        summed,
    ),
    at_home="`vizer_core.vizer.losses.cosine_loss`",
    learns=True,
)
