"""Images as a vision side takes them, made without the model: work for another thread.

Opening a photograph and bringing it to the tower's size takes a CPU 10 to 20 ms, in which a GPU
waits. `prepare` does that part and touches no weight, `encode_prepared` the rest; one after the
other they are `encode_image`, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from vizer_core.vlm.protocol import VisionBatch

AT_ONCE = 32  # images in one pass of the vision side, as in `encode_image`


@dataclass(frozen=True, eq=False)
class Prepared:
    """Images of one call: as pixels and grids, or opened only where a family does all in one."""

    images: Sequence[Image.Image]
    pixels: tuple[Any, ...] | None


def prepare(vlm: Any, images: Sequence[Image.Image]) -> Prepared:
    """Preprocess images where the model's family does that apart (`vlm.prepares`)."""
    if not getattr(vlm, "prepares", False):
        return Prepared(images, None)
    starts = range(0, len(images), AT_ONCE)
    return Prepared(images, tuple(vlm.preprocess(images[i : i + AT_ONCE]) for i in starts))


@torch.no_grad()
def encode_prepared(vlm: Any, prepared: Prepared) -> VisionBatch:
    """Run the frozen vision side on what `prepare` made: what `encode_image` returns."""
    if prepared.pixels is None:
        return vlm.encode_image(prepared.images)
    return VisionBatch.concatenate([vlm.encode_pixels(*part) for part in prepared.pixels])
