"""Chapter 3: the variance of the noise that stands at the angle of a true pair."""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.gap import matched_noise_std
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.practice.task import Case, Task


def answer(images: Tensor, texts: Tensor) -> float:
    """Return the matched variance, by the package."""
    return matched_noise_std(_cosine(images, texts), images.shape[1]) ** 2


def cases() -> list[Case]:
    """Pairs at a small and at a large angle, in two widths."""
    found = []
    for n, d, spread in ((5, 8, 0.3), (7, 16, 0.2), (4, 8, 0.6)):
        noise = seeded(n)
        images = unit_norm(torch.randn(n, d, generator=noise))
        texts = unit_norm(images + spread * torch.randn(n, d, generator=noise))
        found.append(Case(f"{n} pairs of {d} dimensions", (images, texts)))
    return found


def _cosine(images: Tensor, texts: Tensor) -> float:
    return float((images * texts).sum(dim=1).mean())


def the_deviation(images: Tensor, texts: Tensor) -> float:
    """That is the standard deviation. The variance is wanted: leave out the square root."""
    return answer(images, texts) ** 0.5


def of_all_dimensions(images: Tensor, texts: Tensor) -> float:
    """That is the variance of all dimensions together. The noise is added in each of the d
    dimensions: divide by d."""
    return answer(images, texts) * images.shape[1]


def divided_by_pairs(images: Tensor, texts: Tensor) -> float:
    """You divided by the number of pairs. Divide by the number of dimensions, `images.shape[1]`."""
    return answer(images, texts) * images.shape[1] / len(images)


def of_the_gap(images: Tensor, texts: Tensor) -> float:
    """That is the variance of the gap itself, (2 - 2c) / d. Such noise is too weak: it leaves the
    sphere, and scaling back takes a part of it off. Solve the cosine of a noised caption for the
    variance."""
    return (2 - 2 * _cosine(images, texts)) / images.shape[1]


def of_all_combinations(images: Tensor, texts: Tensor) -> float:
    """Your mean cosine runs over all combinations of images and texts. Take the pairs only, the
    diagonal: multiply the rows and sum over `dim=1`."""
    return matched_noise_std(max(float((images @ texts.T).mean()), 1e-3), images.shape[1]) ** 2


def inverse_not_squared(images: Tensor, texts: Tensor) -> float:
    """The cosine is not squared: the square root goes away when both sides are squared, and 1/c
    becomes 1/c^2."""
    return (1 / _cosine(images, texts) - 1) / images.shape[1]


def without_one(images: Tensor, texts: Tensor) -> float:
    """The 1 is missing: from c^2 (1 + d s) = 1 follows s = (1/c^2 - 1) / d."""
    return 1 / _cosine(images, texts) ** 2 / images.shape[1]


def pair_by_pair(images: Tensor, texts: Tensor) -> float:
    """You have a variance for each pair, and averaged these. Take the mean of the cosines first."""
    cosines = (images * texts).sum(dim=1)
    return float((1 / cosines**2 - 1).mean()) / images.shape[1]


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        the_deviation,
        of_all_dimensions,
        divided_by_pairs,
        of_the_gap,
        of_all_combinations,
        inverse_not_squared,
        without_one,
        pair_by_pair,
    ),
    at_home="`vizer_core.gap.matched_noise_std` gives its root",
)
