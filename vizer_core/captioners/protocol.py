"""The one interface of every captioner: pictures' states in, one caption a picture out."""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.clip import ImageStates
from vizer_core.shapes import require_unit_norm

Images: TypeAlias = ImageStates | Float[Tensor, "n d"]


@runtime_checkable
class Captioner(Protocol):
    """Writes one caption an image. `name` is the system's name in results."""

    name: str

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Caption n images from their states, or from `image_features` where those are enough."""


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
