"""The drawn CLIP's architecture: an ordinary `open_clip.CLIP`, built from a small config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, UInt8
from open_clip import CLIP
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from vizer_lab.world.settings import IMAGE_SIZE
from vizer_lab.zoo.tokenizer import CONTEXT_LENGTH, vocabulary


@dataclass(frozen=True)
class DrawnClipConfig:
    """Sizes of both towers. `pool` is `tok` (CLS, as in CLIP) or `avg` (mean of the patches).

    `world` says which drawn world it has words for. The images are `image_size` px wide.
    """

    layers: int = 6
    width: int = 128
    text_layers: int = 2
    embed_dim: int = 128
    patch_size: int = 14
    image_size: int = IMAGE_SIZE
    pool: Literal["tok", "avg"] = "tok"
    patch_dropout: float = 0.0
    world: str = "second"


def open_clip_config(config: DrawnClipConfig) -> dict[str, Any]:
    """Return the model configuration that open_clip reads."""
    return {
        "embed_dim": config.embed_dim,
        "vision_cfg": {
            "layers": config.layers,
            "width": config.width,
            "head_width": 32,
            "patch_size": config.patch_size,
            "image_size": config.image_size,
            "pool_type": config.pool,
            "patch_dropout": config.patch_dropout,
        },
        "text_cfg": {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": len(vocabulary(config.world)),
            "width": config.width,
            "heads": config.width // 32,
            "layers": config.text_layers,
        },
    }


def build_drawn_clip(config: DrawnClipConfig) -> CLIP:
    """Build the model with fresh weights from torch's global random stream."""
    return CLIP(**open_clip_config(config))


def normalise_pixels(images: UInt8[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
    """Scale uint8 pixels to 0..1 and standardise them with CLIP's own channel means and spreads."""
    mean = torch.tensor(OPENAI_DATASET_MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(OPENAI_DATASET_STD, device=images.device).view(1, 3, 1, 1)
    return (images.float() / 255 - mean) / std
