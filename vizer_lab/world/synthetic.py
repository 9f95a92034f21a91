"""Features whose gap is known exactly: truths for tests and for the book's first figures.

Construction. u is the wanted gap direction, g the wanted gap norm. Two neighbouring pairs share two
unit vectors a, b orthogonal to u with a fixed angle between them; with s = sqrt(1 - g^2/4),

    image = s a - (g/2) u,  text = s b + (g/2) u,   and in the second pair a and b trade places.

All vectors have length 1, the mean of text minus image is exactly g u, every pair cosine is
s^2 cos(angle) - g^2/4, and the noise (text minus image minus g u) has root mean square `noise_std`
per coordinate. Nothing here is estimated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vizer_core.shapes import unit_norm


@dataclass(frozen=True, eq=False)
class PlantedPairs:
    """Image and text features with the exact values that a gap analysis must return."""

    image_features: Float[Tensor, "n d"]
    text_features: Float[Tensor, "n d"]
    gap_vector: Float[Tensor, " d"]
    gap_norm: float
    pair_cosine: float
    noise_std: float
    pooled_mean: float
    pooled_std: float
    constant_share: float


@dataclass(frozen=True, eq=False)
class PlantedRegions:
    """Patches of which some lie exactly on the caption, and what that implies."""

    patch_features: Float[Tensor, "n p d"]
    on_caption: Bool[Tensor, "n p"]
    closer_fraction: float
    patch_win_rate: float


def plant_gap(
    n: int,
    d: int,
    *,
    generator: torch.Generator,
    gap_norm: float = 0.8,
    outliers: Mapping[int, float] | None = None,
    noise_std: float = 0.05,
) -> PlantedPairs:
    """Make n pairs (even) of width d with an exact gap vector, outliers and noise.

    `outliers` maps a dimension to its share of the squared gap norm; the rest of the gap is
    spread over the other dimensions with equal size and random sign. The largest possible noise
    is sqrt((4 - gap_norm^2) / d).

    >>> planted = plant_gap(4, 16, generator=torch.Generator().manual_seed(0), gap_norm=0.6)
    >>> gap = (planted.text_features - planted.image_features).mean(dim=0)
    >>> round(float(gap.norm()), 4)
    0.6
    """
    _check(n, d, gap_norm)
    direction = _gap_direction(d, dict(outliers or {}), generator)
    scale = 1 - gap_norm**2 / 4
    cosine = 1 - d * noise_std**2 / (2 * scale)
    if not -1 <= cosine <= 1:
        limit = (4 * scale / d) ** 0.5
        raise ValueError(
            f"noise_std is {noise_std}, wanted 0 to {limit:.4f} for d={d} and gap_norm={gap_norm}: "
            "vectors of length 1 have no room for more"
        )
    first = _orthogonal_unit(torch.randn(n // 2, d, generator=generator).double(), [direction])
    turn = _orthogonal_unit(
        torch.randn(n // 2, d, generator=generator).double(), [direction, first]
    )
    second = cosine * first + (1 - cosine**2) ** 0.5 * turn
    offset = gap_norm / 2 * direction
    image = scale**0.5 * torch.stack([first, second], dim=1).reshape(n, d) - offset
    text = scale**0.5 * torch.stack([second, first], dim=1).reshape(n, d) + offset
    mean = float(gap_norm * direction.mean())
    energy = gap_norm**2 + d * noise_std**2
    return PlantedPairs(
        image_features=image.float(),
        text_features=text.float(),
        gap_vector=gap_norm * direction,
        gap_norm=gap_norm,
        pair_cosine=scale * cosine - gap_norm**2 / 4,
        noise_std=noise_std,
        pooled_mean=mean,
        pooled_std=(energy / d - mean**2) ** 0.5,
        constant_share=gap_norm**2 / energy if energy > 0 else 0.0,
    )


def plant_regions(
    pairs: PlantedPairs,
    *,
    generator: torch.Generator,
    patches: int = 49,
    on_caption: int = 3,
    share: float = 0.33,
) -> PlantedRegions:
    """Give a share of the pairs `on_caption` patches that equal their caption's vector.

    Every other patch has a cosine to its caption .1 below the pair's own, so a patch beats the
    global feature exactly where one was planted. `closer_fraction` is the exact share of pairs.

    >>> rng = torch.Generator().manual_seed(0)
    >>> regions = plant_regions(plant_gap(10, 32, generator=rng), generator=rng, share=0.3)
    >>> regions.closer_fraction
    0.3
    """
    if not 1 <= on_caption <= patches:
        raise ValueError(f"on_caption is {on_caption}, wanted 1 to {patches} (the patches)")
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}, wanted a number from 0 to 1")
    text = pairs.text_features.double()
    n, d = text.shape
    lower = max(pairs.pair_cosine - 0.1, -1.0)
    side = _orthogonal_unit(
        torch.randn(n, patches, d, generator=generator).double(), [text[:, None, :]]
    )
    features = lower * text[:, None, :] + (1 - lower**2) ** 0.5 * side
    order = torch.rand(n, patches, generator=generator).argsort(dim=1)
    chosen = torch.randperm(n, generator=generator)[: round(share * n)]
    mask = torch.zeros(n, patches, dtype=torch.bool)
    mask[chosen] = order[chosen] < on_caption
    features = torch.where(mask[..., None], text[:, None, :], features)
    return PlantedRegions(
        patch_features=unit_norm(features),
        on_caption=mask,
        closer_fraction=len(chosen) / n,
        patch_win_rate=len(chosen) * on_caption / (n * patches),
    )


def _check(n: int, d: int, gap_norm: float) -> None:
    if n < 2 or n % 2:
        raise ValueError(f"n is {n}, wanted an even number of pairs, at least 2")
    if d < 3:
        raise ValueError(f"d is {d}, wanted at least 3: a gap direction and two more")
    if not 0 <= gap_norm < 2:
        raise ValueError(f"gap_norm is {gap_norm}, wanted 0 to below 2: both ends have length 1")


def _gap_direction(d: int, outliers: dict[int, float], generator: torch.Generator) -> Tensor:
    """Unit vector with the given energy shares in the given dimensions."""
    total = sum(outliers.values())
    if total > 1 or any(share < 0 for share in outliers.values()) or len(outliers) >= d:
        raise ValueError(
            f"outliers have {total:g} of the squared gap norm, wanted shares in 0..1 that add up "
            f"to at most 1, over fewer than d={d} dimensions"
        )
    if any(not 0 <= dimension < d for dimension in outliers):
        raise ValueError(f"outliers name dimensions {sorted(outliers)}, wanted 0 to {d - 1}")
    signs = torch.randint(0, 2, (d,), generator=generator).double() * 2 - 1
    squares = torch.full((d,), (1 - total) / (d - len(outliers)), dtype=torch.float64)
    for dimension, share in outliers.items():
        squares[dimension] = share
    return signs * squares.sqrt()


def _orthogonal_unit(vectors: Tensor, to: list[Tensor]) -> Tensor:
    """Make vectors orthogonal to mutually orthogonal unit vectors, and of length 1."""
    for other in to:
        vectors = vectors - (vectors * other).sum(dim=-1, keepdim=True) * other
    return vectors / vectors.norm(dim=-1, keepdim=True)
