"""Images of the drawn world straight to the drawn VLM's pixel values, past the processor.

`Idefics3ImageProcessor` takes each image through PIL and a resize that changes nothing at the
drawn size. This is the same arithmetic on the whole array: pixels to -1..1.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vizer_core.vlm import SmolVlm, VisionBatch


def pixel_values_of(images: UInt8[np.ndarray, "b s s 3"]) -> Float[Tensor, "b 1 3 s s"]:
    """Turn images into `pixel_values`, one image per sample, as the processor does.

    >>> pixel_values_of(np.full((1, 2, 2, 3), 255, np.uint8)).unique()
    tensor([1.])
    """
    planes = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return ((planes.float() / 255 - 0.5) / 0.5)[:, None]


def smol_pixels(
    vlm: SmolVlm, images: UInt8[np.ndarray, "b s s 3"]
) -> tuple[Float[Tensor, "b 3 s s"], Int[Tensor, "b 3"]]:
    """Return what a drawn VLM's tower gets, one tile an image, and the grid that says so."""
    size = int(vlm.base.config.vision_config.image_size)
    if images.shape[1] != size:
        raise ValueError(
            f"images are {images.shape[1]} px wide, and {vlm.name} sees {size}: draw them so, "
            "or give encode_image PIL images, which it resizes"
        )
    pixels = pixel_values_of(images)[:, 0]
    return pixels, torch.tensor([[1, 0, 0]]).expand(len(pixels), -1)


def encode_images(
    vlm: SmolVlm, images: UInt8[np.ndarray, "b s s 3"], *, batch_size: int = 256
) -> VisionBatch:
    """Run a drawn VLM's frozen vision side on images as the drawn world draws them."""
    starts = range(0, len(images), batch_size)
    parts = [
        vlm.encode_pixels(*smol_pixels(vlm, images[first : first + batch_size])) for first in starts
    ]
    return VisionBatch.concatenate(parts)
