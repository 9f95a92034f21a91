"""The seam between CLIP and everything above it: what an image-text encoder can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from vizer_core.clip.features import ImageStates

Images: TypeAlias = Sequence[Image.Image] | Tensor
# texts -> [b, t] token ids, padded; t may exceed the context, encode_text truncates and counts
Tokenizer = Callable[[list[str]], Int[Tensor, "b t"]]


@runtime_checkable
class ImageTextEncoder(Protocol):
    """A frozen pair of towers with a joint space of width `embed_dim`.

    Towers without patches or without a class token raise `ValueError` in `image_states`.
    """

    name: str

    @property
    def embed_dim(self) -> int:
        """Width d of the joint space."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that preprocessed images have."""

    @property
    def logit_scale(self) -> float:
        """Factor on cosines in the contrastive loss, already exponentiated."""

    @property
    def device(self) -> torch.device:
        """Where the model is and where features come out."""

    @property
    def fingerprint(self) -> str:
        """Hash of weights and architecture: two encoders that differ have different ones."""

    def preprocess(self, image: Image.Image) -> Float[Tensor, "3 height width"]:
        """Turn one RGB image into the tensor the tower wants."""

    def encode_image(self, images: Images, *, batch_size: int = 128) -> Float[Tensor, "n d"]:
        """Return unit-norm float32 image features."""

    def encode_text(self, texts: Sequence[str], *, batch_size: int = 256) -> Float[Tensor, "n d"]:
        """Return unit-norm float32 text features, a row per text; equal texts are encoded once."""

    def image_states(self, images: Images, *, batch_size: int = 128) -> ImageStates:
        """Return global, patch, attention and counterfactual states from one pass."""
