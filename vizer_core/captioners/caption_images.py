"""From pictures to captions: CLIP reads each picture once, then any captioner writes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from vizer_core.captioners.protocol import Captioner
from vizer_core.clip.protocol import Images, ImageTextEncoder
from vizer_core.runtime import seeded


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


@dataclass(frozen=True, eq=False)
class CaptionerWithEncoder:
    """A captioner that holds the CLIP it reads images through: call it with images."""

    captioner: Captioner
    encoder: ImageTextEncoder

    @property
    def name(self) -> str:
        """The system's name in results."""
        return self.captioner.name

    def __call__(
        self, images: Images, *, batch_size: int = 64, generator: torch.Generator | None = None
    ) -> list[str]:
        """Write one caption an image; what is drawn comes from `generator`, or from seed 0."""
        draws = seeded(0) if generator is None else generator
        return caption_images(
            self.captioner, self.encoder, images, batch_size=batch_size, generator=draws
        )
