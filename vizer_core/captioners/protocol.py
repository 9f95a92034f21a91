"""The one interface of every captioner: images' states in, one caption per image out.

`caption_images` goes from images to captions: CLIP reads each image once, then any captioner
writes. `CaptionerWithEncoder` has the CLIP, so that it is called with images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from vizer_core.clip import ImageStates
from vizer_core.clip.protocol import Images as PilImages
from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.runtime import seeded
from vizer_core.shapes import require_unit_norm

Images: TypeAlias = ImageStates | Float[Tensor, "n d"]


@runtime_checkable
class Captioner(Protocol):
    """Generates one caption per image.

    `name` is the system's name in results; `reads_patches` says whether image features alone are
    too little.
    """

    name: str
    reads_patches: bool

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Caption n images from their states, or from `image_features` where those are enough."""


@runtime_checkable
class ImageCaptioner(Protocol):
    """Generates one caption per image from the images themselves.

    A vision-language model is one, and so is a captioner that has its encoder.
    """

    @property
    def name(self) -> str:
        """The system's name in results."""

    def __call__(
        self, images: PilImages, *, batch_size: int = 64, generator: torch.Generator | None = None
    ) -> list[str]:
        """Caption n images, `batch_size` at a time; `generator` is for what is drawn."""


def image_features_of(images: Images) -> Float[Tensor, "n d"]:
    """Return the global features, whichever form the images come in."""
    if isinstance(images, ImageStates):
        return images.image_features
    require_unit_norm(images, "image_features")
    return images


def states_of(images: Images, captioner: str) -> ImageStates:
    """Return the states, or say that this captioner needs patches and attention."""
    if isinstance(images, ImageStates):
        return images
    raise ValueError(
        f"{captioner} reads sub-regions and got image features only, shape {tuple(images.shape)}. "
        "Pass encoder.image_states(images) instead."
    )


def require_width(features: Float[Tensor, "n d"], width: int, captioner: str) -> None:
    """Raise `ValueError` unless the features are as wide as what the captioner was made for."""
    if features.shape[1] != width:
        raise ValueError(
            f"{captioner} was made for features of width {width} and got width "
            f"{features.shape[1]}. Encode the images with the CLIP model that it was trained with."
        )


def require_features_only(inner: Captioner, wrapper: str) -> None:
    """Raise `ValueError` if the captioner reads patches, which a changed feature does not have."""
    if inner.reads_patches:
        raise ValueError(
            f"{wrapper} changes the image feature and {inner.name} reads patches as well: wanted a "
            "captioner of image features, such as Baseline, CapDec or MacCap with GlobalTokens"
        )


def caption_images(
    captioner: Captioner,
    encoder: ImageTextEncoder,
    images: PilImages,
    *,
    batch_size: int = 64,
    generator: torch.Generator,
    progress: bool = False,
) -> list[str]:
    """Caption images, `batch_size` at a time; patches are only read where they are needed.

    `images` are RGB images or preprocessed pixels, as `ImageTextEncoder` takes them. Noise does
    not depend on `batch_size`; where tokens are sampled, captions do.
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
    """A captioner that has the CLIP it reads images through: call it with images."""

    captioner: Captioner
    encoder: ImageTextEncoder

    @property
    def name(self) -> str:
        """The system's name in results."""
        return self.captioner.name

    def __call__(
        self, images: PilImages, *, batch_size: int = 64, generator: torch.Generator | None = None
    ) -> list[str]:
        """Generate one caption per image; what is drawn comes from `generator`, or from seed 0."""
        draws = seeded(0) if generator is None else generator
        return caption_images(
            self.captioner, self.encoder, images, batch_size=batch_size, generator=draws
        )
