"""From a tower's patches to one vector F_I an image.

Source: ViZer, F_I = V_theta(I). The paper says neither where F_I is taken nor how it is pooled;
SigLIP as SmolVLM uses it has no class token and no attention head, so a mean it is. Three readings
stand side by side: over the whole-image tile (default), over all tiles, and after the connector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.vlm.protocol import VisionBatch

Pooling: TypeAlias = Callable[[Float[Tensor, "tiles p dv"]], Float[Tensor, " dv"]]


def mean_patches(patches: Float[Tensor, "tiles p dv"]) -> Float[Tensor, " dv"]:
    """Average all patches of all tiles, in float32.

    >>> mean_patches(torch.tensor([[[1.0], [3.0]], [[8.0], [8.0]]]))
    tensor([5.])
    """
    return patches.float().mean(dim=(0, 1))


def global_tile_mean(patches: Float[Tensor, "tiles p dv"]) -> Float[Tensor, " dv"]:
    """Average the patches of the last tile, which shows the whole image, in float32.

    Without image splitting there is one tile, and this equals `mean_patches`.

    >>> global_tile_mean(torch.tensor([[[1.0], [3.0]], [[8.0], [8.0]]]))
    tensor([8.])
    """
    return patches[-1].float().mean(dim=0)


def post_connector_mean(vision: VisionBatch) -> Float[Tensor, "b h"]:
    """Average what the language model reads of each image, in float32: F_I in the LM's space."""
    return torch.stack([each.float().mean(dim=0) for each in vision.image_embeddings])
