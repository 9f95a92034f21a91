"""Images of the drawn worlds as arrays, straight to what a VLM's vision side gets, and their views.

`vlm_pixels` is one entry for both families, past the processor: the same pixels in about a tenth of
the time. What is done with them then is `vizer_core.vlm.views`.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from vizer_core.vlm import Qwen2Vl, SmolVlm, VisionBatch
from vizer_core.vlm.views import VIEWS, Views, encode_pixel_views, mean_of_views, offsets_of
from vizer_lab.zoo.qwen_model import qwen_pixels
from vizer_lab.zoo.vlm_images import smol_pixels


def vlm_pixels(
    vlm: SmolVlm | Qwen2Vl, images: UInt8[np.ndarray, "b s s 3"]
) -> tuple[Tensor, Int[Tensor, "b 3"]]:
    """Return the pixels that a drawn model's tower gets, and their grid."""
    return (qwen_pixels if isinstance(vlm, Qwen2Vl) else smol_pixels)(vlm, images)


@torch.no_grad()
def encode_array_views(
    vlm: SmolVlm | Qwen2Vl,
    images: UInt8[np.ndarray, "b s s 3"],
    *,
    views: Views = VIEWS,
    control: bool = False,
    batch_size: int = 256,
) -> tuple[VisionBatch, ...]:
    """Do what `encode_views` does, on images as a drawn world gives them: a batch a view."""
    offsets = offsets_of(vlm, views, control=control)
    parts = [
        tuple(encode_pixel_views(vlm, *vlm_pixels(vlm, some), offsets))
        for some in _batches(images, batch_size)
    ]
    return tuple(VisionBatch.concatenate(view) for view in zip(*parts, strict=True))


@torch.no_grad()
def average_array_views(
    vlm: SmolVlm | Qwen2Vl,
    images: UInt8[np.ndarray, "b s s 3"],
    *,
    views: Views = VIEWS,
    batch_size: int = 256,
) -> VisionBatch:
    """Do what `average_views` does, on images as a drawn world gives them."""
    offsets = offsets_of(vlm, views)
    parts = [
        mean_of_views(encode_pixel_views(vlm, *vlm_pixels(vlm, some), offsets))
        for some in _batches(images, batch_size)
    ]
    return VisionBatch.concatenate(parts)


def _batches(images: np.ndarray, size: int) -> list[np.ndarray]:
    if not len(images):
        raise ValueError("no images to encode: got an empty array")
    return [images[first : first + size] for first in range(0, len(images), size)]
