"""Region noise: the training-time twin of an image's sub-regions.

At test time MacCap reads N_cr region tokens of an image. In training there is no image, so the
text feature is repeated N_cr times and each copy gets noise of its own (MacCap section 4.2,
equations 2 to 4):

    T_cr[j] = unit(unit(T_c) + n_j),   n_j independent,   j = 1 .. N_cr.

Order matters and is fixed here: normalise, repeat, add noise, normalise again.
symbol -> name: T_c -> text_features; N_cr -> count; T_cr -> the result.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vizer_core.shapes import unit_norm
from vizer_core.textonly.noise import Noise

MACCAP_TOKENS = 10  # "N_cr = 10" in MacCap section 5.1, as many as regions at test time


def region_noise(
    text_features: Float[Tensor, "b d"],
    count: int,
    *,
    noise: Noise,
    generator: torch.Generator,
) -> Float[Tensor, "b r d"]:
    """Repeat each text feature `count` times with independent noise, all of unit length.

    MacCap section 4.2, equations 2 to 4. The input's length does not matter.

    >>> from vizer_core.textonly.noise import NoNoise
    >>> tokens = region_noise(torch.tensor([[3.0, 4.0]]), 2, noise=NoNoise(),
    ...                       generator=torch.Generator())
    >>> tokens.tolist() == [[[0.6000000238418579, 0.800000011920929]] * 2]
    True
    """
    if count < 1:
        raise ValueError(f"asked for {count} region tokens per text: wanted at least 1")
    clean = unit_norm(text_features)
    drawn = noise.sample((clean.shape[0], count, clean.shape[1]), generator).to(clean.device)
    return unit_norm(rearrange(clean, "b d -> b 1 d") + drawn)
