"""MacCap's tokens at test time: global feature and sub-regions, mixed, noised, normalised.

    v_j = I_c + r_j                     MacCap equation 13 and the release: `sum_mix`
    v_j = (I_c + r_j) / 2               the words of section 4.3:            `average_mix`
    token_j = unit(v_j + n_j)           `noised`

Without noise the two readings (D3) are one, because the length is divided out. With noise they
differ, because the noise meets vectors of other lengths: |v|^2 = 2 + 2c for the sum and a quarter
of it for the average, c = cos(I_c, r), and

    cos(v, v + n) = 1 / sqrt(1 + d std^2 / |v|^2).

So the same variance turns the sum less than it turned a text in training, .542 against .330 at
d = 512, variance .016 and c = .7, and the average more: .307.

symbol -> name: I_c -> image_features, r_j -> regions.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vizer_core.shapes import require_unit_norm, unit_norm
from vizer_core.textonly.noise import Noise


def sum_mix(
    image_features: Float[Tensor, "n d"], regions: Float[Tensor, "n r d"]
) -> Float[Tensor, "n r d"]:
    """Add the global feature to each region; not normalised (MacCap equation 13).

    >>> sum_mix(torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.0, 1.0]]]))
    tensor([[[1., 1.]]])
    """
    require_unit_norm(image_features, "image_features")
    require_unit_norm(regions, "regions")
    return rearrange(image_features, "n d -> n 1 d") + regions


def average_mix(
    image_features: Float[Tensor, "n d"], regions: Float[Tensor, "n r d"]
) -> Float[Tensor, "n r d"]:
    """Average the global feature with each region; not normalised (the words of section 4.3).

    >>> average_mix(torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.0, 1.0]]]))
    tensor([[[0.5000, 0.5000]]])
    """
    return sum_mix(image_features, regions) / 2


def global_tokens(image_features: Float[Tensor, "n d"], count: int = 1) -> Float[Tensor, "n r d"]:
    """Repeat the global feature `count` times: no regions (MacCap table 5, the CLS row).

    >>> global_tokens(torch.tensor([[1.0, 0.0]]), 2).shape
    torch.Size([1, 2, 2])
    """
    if count < 1:
        raise ValueError(f"asked for {count} tokens per image: wanted at least 1")
    require_unit_norm(image_features, "image_features")
    return image_features[:, None].expand(-1, count, -1).clone()


def noised(
    mixed: Float[Tensor, "n r d"], *, noise: Noise, generator: torch.Generator
) -> Float[Tensor, "n r d"]:
    """Add noise to mixed tokens as they are, then normalise (MacCap section 4.3).

    >>> from vizer_core.textonly.noise import NoNoise
    >>> noised(torch.tensor([[[1.0, 1.0]]]), noise=NoNoise(), generator=torch.Generator())
    tensor([[[0.7071, 0.7071]]])
    """
    return unit_norm(mixed + noise.sample(tuple(mixed.shape), generator).to(mixed.device))
