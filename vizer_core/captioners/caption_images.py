"""From pictures to captions: CLIP reads each picture once, then any captioner writes."""

from __future__ import annotations

import torch
from tqdm.auto import tqdm

from vizer_core.captioners.protocol import Captioner
from vizer_core.clip.protocol import Images, ImageTextEncoder


def caption_images(
    captioner: Captioner,
    encoder: ImageTextEncoder,
    images: Images,
    *,
    batch_size: int = 64,
    generator: torch.Generator,
    progress: bool = False,
) -> list[str]:
    """Caption pictures, `batch_size` at a time; patches are only read where they are needed.

    `images` are RGB images or preprocessed pixels, as `ImageTextEncoder` takes them. A method that
    draws noise draws it batch by batch, so its captions depend on `batch_size`.
    """
    if len(images) == 0 or batch_size < 1:
        raise ValueError(
            f"got {len(images)} images in batches of {batch_size}: wanted at least 1 of each"
        )
    captions: list[str] = []
    starts = range(0, len(images), batch_size)
    for first in tqdm(starts, disable=not progress, desc=captioner.name):
        batch = images[first : first + batch_size]
        read = encoder.image_states if captioner.reads_patches else encoder.encode_image
        captions += captioner.caption(read(batch), generator=generator)
    return captions
