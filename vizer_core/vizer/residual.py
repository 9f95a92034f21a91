"""Targets without what every image of its sort shares: what is left is what sets it apart.

F_I of an image is mostly its background. A mapper that answers with the background alone scores
well, and a policy rewarded by it learns to name places. `residual` takes that part out, F_I - mean,
less its part in the first q principal directions, and needs no label: what most images share is
seen from the images.

`subregion_targets` starts elsewhere: from the spread of an image's own sub-regions, in which a
background that is everywhere cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vizer_core.vlm.protocol import VisionBatch

SHARED = 9  # directions: ten backgrounds span nine


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


def subregions(vision: VisionBatch, *, side: int = 2) -> Float[Tensor, "b r h"]:
    """Average the image tokens of each of side x side blocks, row by row from the top left.

    Wants one square grid of tokens per image: images that are not split into tiles.
    """
    sizes = sorted({len(tokens) for tokens in vision.image_embeddings})
    edge = round(sizes[0] ** 0.5)
    if len(sizes) != 1 or edge**2 != sizes[0] or edge % side:
        raise ValueError(
            f"images have {sizes} tokens: wanted one square number for all, its side a multiple "
            f"of {side}. Do not split images into tiles, and give them one size"
        )
    tokens = torch.stack(list(vision.image_embeddings)).float()
    blocks = rearrange(tokens, "b (y i x j) h -> b (y x) (i j) h", y=side, x=side, i=edge // side)
    return blocks.mean(dim=2)


def subregion_targets(vision: VisionBatch, *, side: int = 4) -> Float[Tensor, "b h2"]:
    """Return, along each direction, how far the sub-regions reach above and below their mean.

    [max_r (f_r - mean), min_r (f_r - mean)]: what is everywhere in an image cancels, and where in
    the image a thing stands does not matter, as captions seldom say it.
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
