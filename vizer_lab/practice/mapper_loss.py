"""Chapter 10: ViZer's mapper of two layers, and its loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, gelu

from vizer_core.runtime import seeded
from vizer_core.vizer import cosine_loss
from vizer_core.vizer.mapper import Mapper, MapperConfig
from vizer_lab.practice.task import Case, Task

Weights = list[Tensor]  # of the first layer, its bias, of the second, its bias


def answer(states: Tensor, mask: Tensor, weights: Weights, image_features: Tensor) -> Tensor:
    """Return the loss of a mapper with these weights, by the package."""
    first, _, second, _ = weights
    shape = MapperConfig(first.shape[1], second.shape[0], width=first.shape[0])
    mapper = Mapper(shape, generator=seeded(0))
    with torch.no_grad():
        for parameter, value in zip(mapper.parameters(), weights, strict=True):
            parameter.copy_(value)
    empty = torch.zeros_like(states[:, :1])  # the package's states begin with the prompt's
    return cosine_loss(mapper.read(torch.cat([empty, states], dim=1), mask), image_features)


def cases() -> list[Case]:
    """States of captions with and without padding."""
    found = []
    for lengths in ((3, 3, 3), (4, 2, 1, 3), (1, 5)):
        noise, n, longest = seeded(len(lengths)), len(lengths), max(lengths)
        states = torch.randn(n, longest, 6, generator=noise)
        mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
        sizes = ((8, 6), (8,), (4, 8), (4,))
        weights = [torch.randn(size, generator=noise) for size in sizes]
        images = 3 * torch.randn(n, 4, generator=noise)
        says = " and ".join(str(length) for length in lengths)
        found.append(Case(f"captions of {says} tokens", (states, mask, weights, images)))
    return found


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def _layers(pooled: Tensor, weights: Weights) -> Tensor:
    first, b1, second, b2 = weights
    return gelu(pooled @ first.T + b1) @ second.T + b2


def padding_counts(states: Tensor, mask: Tensor, weights: Weights, images: Tensor) -> Tensor:
    """Your mean runs over padding too. Sum the states where the mask is true, and divide by how
    many there are in each caption."""
    return cosine_loss(_layers(states.mean(1), weights), images)


def divided_by_longest(states: Tensor, mask: Tensor, weights: Weights, images: Tensor) -> Tensor:
    """The padding is left out of the sum, but you divided by the longest caption's length. Divide
    by each caption's own, `mask.sum(dim=1)`."""
    return cosine_loss(_layers((states * mask[..., None]).mean(1), weights), images)


def last_state(states: Tensor, mask: Tensor, weights: Weights, images: Tensor) -> Tensor:
    """You read the last state only. The mapper reads the mean over a caption's tokens."""
    last = states[torch.arange(len(states)), mask.sum(1) - 1]
    return cosine_loss(_layers(last, weights), images)


def mapped_before_mean(states: Tensor, mask: Tensor, weights: Weights, images: Tensor) -> Tensor:
    """You mapped each state and averaged after. Average the states first: then a caption is one
    vector, which can be kept."""
    return cosine_loss(_mean(_layers(states, weights), mask), images)


def no_activation(states: Tensor, mask: Tensor, weights: Weights, images: Tensor) -> Tensor:
    """The activation is missing: without a GELU between them two linear layers are one."""
    first, b1, second, b2 = weights
    return cosine_loss((_mean(states, mask) @ first.T + b1) @ second.T + b2, images)


def the_cosine(states: Tensor, mask: Tensor, weights: Weights, images: Tensor) -> Tensor:
    """That is the mean cosine, which is best when large. A loss is best when small: 1 minus it."""
    return 1 - answer(states, mask, weights, images)


def sum_over_captions(states: Tensor, mask: Tensor, weights: Weights, images: Tensor) -> Tensor:
    """That is the sum over the captions. Take the mean, so that the size of a batch does not
    matter."""
    return len(states) * answer(states, mask, weights, images)


def one_per_caption(states: Tensor, mask: Tensor, weights: Weights, images: Tensor) -> Tensor:
    """That is one loss per caption. Take the mean over them: a loss is one number."""
    return 1 - cosine_similarity(_layers(_mean(states, mask), weights), images, dim=-1)


def dot_product(states: Tensor, mask: Tensor, weights: Weights, images: Tensor) -> Tensor:
    """You took the dot product. Divide by both lengths, or the mapper wins by answering with long
    vectors."""
    return (1 - (_layers(_mean(states, mask), weights) * images).sum(-1)).mean()


def with_relu(states: Tensor, mask: Tensor, weights: Weights, images: Tensor) -> Tensor:
    """You have a ReLU between the layers. The mapper has a GELU."""
    first, b1, second, b2 = weights
    return cosine_loss((_mean(states, mask) @ first.T + b1).relu() @ second.T + b2, images)


def without_biases(states: Tensor, mask: Tensor, weights: Weights, images: Tensor) -> Tensor:
    """The biases are missing: each layer adds its own, b_1 and b_2."""
    first, b1, second, b2 = weights
    return cosine_loss(_layers(_mean(states, mask), [first, 0 * b1, second, 0 * b2]), images)


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        padding_counts,
        divided_by_longest,
        last_state,
        mapped_before_mean,
        no_activation,
        the_cosine,
        sum_over_captions,
        one_per_caption,
        dot_product,
        with_relu,
        without_biases,
    ),
    at_home="`vizer_core.vizer.cosine_loss` of what a `Mapper` reads",
    learns=True,
)
