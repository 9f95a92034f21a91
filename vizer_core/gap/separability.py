"""Can one flat cut tell images from texts?

Liang et al. 2022 (section 2) show the two clouds apart in a figure; here the figure becomes an
accuracy. All values are balanced accuracies: .5 is a coin, 1 is a clean cut.

Where we differ: the cut along the gap direction is usually fitted and scored on the same pairs.
With fewer pairs than dimensions that scores far above .5 on features without any gap, so the
held-out score stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.gap.pairs import require_pairs

RIDGE = 0.1


@dataclass(frozen=True)
class Separability:
    """Balanced accuracies of four cuts between image and text features."""

    midpoint: float
    midpoint_held_out: float
    best_dimension: float
    best_dimension_index: int
    lda_held_out: float


def measure_separability(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "m e"]
) -> Separability:
    """Score a cut along the gap, along the best single dimension, and along ridge LDA.

    `midpoint` cuts halfway between the two means along their difference, scored on the pairs it
    was fitted on. `midpoint_held_out` and `lda_held_out` fit on one half of the pairs (even rows),
    score on the other, and average both directions. `best_dimension` cuts each dimension halfway
    between its two means and keeps the best (fitted and scored on the same pairs).

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> measure_separability(x, -x).midpoint
    1.0
    """
    require_pairs(image_features, text_features)
    image, text = image_features.double(), text_features.double()
    direction = text.mean(dim=0) - image.mean(dim=0)
    by_dimension = _cut_each_dimension(image, text)
    best = int(by_dimension.argmax())
    halves = [(slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))]
    held_out, lda = [], []
    for fit, score in halves:
        gap = text[fit].mean(dim=0) - image[fit].mean(dim=0)
        centre = (text[fit].mean(dim=0) + image[fit].mean(dim=0)) / 2
        held_out.append(_cut(image[score], text[score], gap, centre))
        weights = _ridge_lda(image[fit], text[fit], gap)
        lda.append(_cut(image[score], text[score], weights, centre))
    centre = (text.mean(dim=0) + image.mean(dim=0)) / 2
    return Separability(
        midpoint=_cut(image, text, direction, centre),
        midpoint_held_out=sum(held_out) / 2,
        best_dimension=float(by_dimension[best]),
        best_dimension_index=best,
        lda_held_out=sum(lda) / 2,
    )


def midpoint_correct(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "n d"]
) -> Float[Tensor, " n"]:
    """Give each pair the share (0, .5 or 1) of its two vectors on their own side of the cut.

    The cut is `measure_separability`'s midpoint; the mean of this is its accuracy. A vector
    exactly on the cut counts half.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> midpoint_correct(x, -x)
    tensor([1., 1.], dtype=torch.float64)
    """
    image, text = image_features.double(), text_features.double()
    direction = text.mean(dim=0) - image.mean(dim=0)
    centre = (text.mean(dim=0) + image.mean(dim=0)) / 2
    right = _side((text - centre) @ direction) + _side((centre - image) @ direction)
    return right / 2


def _cut(image: Tensor, text: Tensor, direction: Tensor, centre: Tensor) -> float:
    """Balanced accuracy of the cut through `centre` across `direction`."""
    on_text_side = _side((text - centre) @ direction).mean()
    on_image_side = _side((centre - image) @ direction).mean()
    return float(on_text_side + on_image_side) / 2


def _cut_each_dimension(image: Tensor, text: Tensor) -> Tensor:
    gap = text.mean(dim=0) - image.mean(dim=0)
    centre = (text.mean(dim=0) + image.mean(dim=0)) / 2
    right = _side((text - centre) * gap).mean(dim=0) + _side((centre - image) * gap).mean(dim=0)
    return right / 2


def _side(margin: Tensor) -> Tensor:
    """1 on the right side, 0 on the wrong one, .5 on the cut itself."""
    return (margin.sign() + 1) / 2


def _ridge_lda(image: Tensor, text: Tensor, gap: Tensor) -> Tensor:
    """Solve (within-class covariance + ridge) w = gap; the ridge is .1 of the mean variance."""
    within = torch.cat([image - image.mean(dim=0), text - text.mean(dim=0)])
    covariance = within.T @ within / len(within)
    scale = covariance.diagonal().mean().clamp_min(torch.finfo(torch.float64).eps)
    identity = torch.eye(len(gap), dtype=gap.dtype, device=gap.device)
    return torch.linalg.solve(covariance + RIDGE * scale * identity, gap)
