"""The control for "the gap has zero mean": the same pooled entries, without a gap vector.

MacCap section 3.2 pools every entry of every pair into one histogram. Pooling forgets which
dimension an entry came from. So does this control: within each pair, both vectors' entries are put
into the same random order. Lengths and pair cosines stay, the pooled histogram stays to the last
count, and a dimension's mean over the pairs is now a mean over random dimensions.

symbol -> name: permutation of pair i -> `order[i]`.

Where we differ: the paper has no control. What remains of the gap vector after it is the pooled
mean in every dimension and the noise of n pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.gap.pairs import require_pairs


@dataclass(frozen=True, eq=False)
class ScrambledPairs:
    """Pairs whose entries, within each pair, stand in an order of their own."""

    image_features: Float[Tensor, "n d"]
    text_features: Float[Tensor, "n d"]


def scramble_dimensions(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m e"],
    *,
    generator: torch.Generator,
) -> ScrambledPairs:
    """Reorder the dimensions of each pair at random, image and text alike (a control, ours).

    >>> image, text = torch.tensor([[1.0, 0.0]] * 4), torch.tensor([[0.6, 0.8]] * 4)
    >>> pairs = scramble_dimensions(image, text, generator=torch.Generator().manual_seed(0))
    >>> (pairs.text_features - pairs.image_features).sort(dim=1).values[0]  # still -.4 and .8
    tensor([-0.4000,  0.8000])
    """
    require_pairs(image_features, text_features)
    order = torch.rand(image_features.shape, generator=generator).argsort(dim=1)
    order = order.to(image_features.device)
    return ScrambledPairs(image_features.gather(1, order), text_features.gather(1, order))
