"""Targets without what every picture of its sort shares: what is left is what sets it apart.

F_I of a picture is mostly its background. A mapper that answers with the background alone scores
well, and a policy rewarded by it learns to name places. Both spaces below take that part out, and
neither needs a label: what most pictures share is seen from the pictures.

================  ==============================================================================
residual          F_I - mean, less its part in the first q principal directions
group_residual    F_I less the centre of its group, groups found by k-means (Lloyd 1982): in the
                  micro world they are the backgrounds
================  ==============================================================================

`subregion_targets` starts elsewhere: from the spread of an image's own sub-regions, in which a
background that is everywhere cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.runtime import seeded
from vizer_core.vlm.protocol import VisionBatch

SHARED = 9  # directions or groups less one: ten backgrounds span nine directions
ROUNDS = 25  # of Lloyd's algorithm


@dataclass(frozen=True, eq=False)
class Residual:
    """Subtracts the mean and the part in `directions`, orthonormal rows."""

    mean: Float[Tensor, " d"]
    directions: Float[Tensor, "q d"]

    def apply(self, features: Float[Tensor, "*axes d"]) -> Float[Tensor, "*axes d"]:
        """Return what the directions do not explain, in float32."""
        _require_width(features, self.mean)
        rest = features.float() - self.mean.to(features.device)
        rows = self.directions.to(features.device)
        return rest - (rest @ rows.T) @ rows

    def tensors(self) -> dict[str, Tensor]:
        """Return what a file must keep."""
        return {"mean": self.mean, "directions": self.directions}


@dataclass(frozen=True, eq=False)
class GroupResidual:
    """Subtracts the nearest of `centres`."""

    centres: Float[Tensor, "q d"]

    def apply(self, features: Float[Tensor, "*axes d"]) -> Float[Tensor, "*axes d"]:
        """Return what sets features apart from their group, in float32."""
        _require_width(features, self.centres[0])
        centres, wide = self.centres.to(features.device), features.float()
        return wide - centres[_nearest(wide, centres)]

    def tensors(self) -> dict[str, Tensor]:
        """Return what a file must keep."""
        return {"centres": self.centres}


def residual(features: Float[Tensor, "n d"], *, directions: int = SHARED) -> Residual:
    """Fit the mean and the first principal directions of training features.

    >>> space = residual(torch.tensor([[2.0, 1.0], [-2.0, 1.0], [4.0, 1.0]]), directions=1)
    >>> space.apply(torch.tensor([[9.0, 3.0]])).abs().round()
    tensor([[0., 2.]])
    """
    n, d = features.shape
    if not 1 <= directions < min(n, d):
        raise ValueError(
            f"directions is {directions} for {n} features of width {d}: wanted at least 1, and "
            f"fewer than {min(n, d)}"
        )
    wide = features.double()
    mean = wide.mean(dim=0)
    _, vectors = torch.linalg.eigh(torch.cov(wide.T))
    return Residual(mean.float(), vectors[:, -directions:].T.float().contiguous())


def group_residual(
    features: Float[Tensor, "n d"],
    *,
    groups: int = SHARED + 1,
    generator: torch.Generator | None = None,
) -> GroupResidual:
    """Fit the centres of groups by k-means, the first ones far from each other.

    The same features give the same centres: `generator` is seed 0 unless told otherwise.
    """
    if not 2 <= groups <= len(features):
        raise ValueError(
            f"groups is {groups} for {len(features)} features: wanted at least 2, and at most one "
            "a feature"
        )
    wide = features.float()
    centres = _spread_out(wide, groups, generator or seeded(0))
    for _ in range(ROUNDS):
        nearest = _nearest(wide, centres)
        sums = torch.zeros_like(centres).index_add_(0, nearest, wide)
        counts = torch.bincount(nearest, minlength=groups).to(wide)[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
    return GroupResidual(centres)


def _spread_out(features: Tensor, groups: int, generator: torch.Generator) -> Tensor:
    """Choose the first centres as k-means++ does (Arthur and Vassilvitskii 2007, section 2.2)."""
    chosen = [int(torch.randint(len(features), (1,), generator=generator))]
    gap = torch.full((len(features),), float("inf"), device=features.device)
    while len(chosen) < groups:
        gap = torch.minimum(gap, (features - features[chosen[-1]]).square().sum(dim=1))
        weights = gap.cpu().double() + 1e-12
        chosen.append(int(torch.multinomial(weights, 1, generator=generator)))
    return features[chosen].clone()


def _nearest(features: Float[Tensor, "*axes d"], centres: Tensor) -> Int[Tensor, "*axes"]:
    scores = 2 * features @ centres.T - centres.square().sum(dim=1)
    return scores.argmax(dim=-1)


def subregions(vision: VisionBatch, *, side: int = 2) -> Float[Tensor, "b r h"]:
    """Average the image tokens of each of side x side blocks, row by row from the top left.

    Wants one square grid of tokens an image: pictures that are not split into tiles.
    """
    sizes = sorted({len(tokens) for tokens in vision.image_embeddings})
    edge = round(sizes[0] ** 0.5)
    if len(sizes) != 1 or edge**2 != sizes[0] or edge % side:
        raise ValueError(
            f"images have {sizes} tokens: wanted one square number for all, its side a multiple "
            f"of {side}. Do not split pictures into tiles, and give them one size"
        )
    tokens = torch.stack(list(vision.image_embeddings)).float()
    blocks = rearrange(tokens, "b (y i x j) h -> b (y x) (i j) h", y=side, x=side, i=edge // side)
    return blocks.mean(dim=2)


def subregion_targets(vision: VisionBatch, *, side: int = 4) -> Float[Tensor, "b h2"]:
    """Return, along each direction, how far the sub-regions reach above and below their mean.

    [max_r (f_r - mean), min_r (f_r - mean)]: what is everywhere in a picture cancels, and where in
    the picture a thing stands does not matter, as captions seldom say it.
    """
    regions = subregions(vision, side=side)
    around = regions - regions.mean(dim=1, keepdim=True)
    return torch.cat([around.amax(dim=1), around.amin(dim=1)], dim=1)


def _require_width(features: Tensor, mean: Tensor) -> None:
    if features.shape[-1] != mean.shape[0]:
        raise ValueError(
            f"features are {features.shape[-1]} wide, the target space was fitted on "
            f"{mean.shape[0]}: they come from another vision tower or pooling"
        )
