"""The drawn VLM's architecture: an ordinary `Idefics3ForConditionalGeneration`, a thousandth of it.

The parts are SmolVLM-Base's own: a SigLIP-like tower without CLS, a pixel shuffle and one linear
layer as connector, a Llama as language model. An image of 112 px in patches of 14 px is a grid
of 8 x 8; shuffled by 2 it is 16 image tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vizer_core.runtime import require
from vizer_lab.world.settings import IMAGE_SIZE
from vizer_lab.zoo.tokenizer import END, PAD, START
from vizer_lab.zoo.vlm_processor import IMAGE, vlm_vocabulary

if TYPE_CHECKING:
    from transformers import Idefics3ForConditionalGeneration

MAX_POSITIONS = 96


@dataclass(frozen=True)
class DrawnVlmConfig:
    """Sizes of the tower and of the language model; both have heads of 32.

    `world` says which of the two drawn worlds the model has words for.
    """

    vision_width: int = 128
    vision_layers: int = 4
    vision_ffn: int = 512
    width: int = 128
    layers: int = 4
    ffn: int = 352
    image_size: int = IMAGE_SIZE
    patch_size: int = 14
    shuffle: int = 2
    world: str = "second"

    def __post_init__(self) -> None:
        if self.image_size % (self.patch_size * self.shuffle):
            raise ValueError(
                f"an image of {self.image_size} px has no whole {self.shuffle} x {self.shuffle} "
                f"blocks of {self.patch_size} px patches: change image_size, patch_size or shuffle"
            )

    @property
    def grid(self) -> int:
        """Patches along one side of the image."""
        return self.image_size // self.patch_size

    @property
    def image_tokens(self) -> int:
        """Tokens of one image in the language model."""
        return (self.grid // self.shuffle) ** 2


def vision_sizes(config: DrawnVlmConfig) -> dict[str, Any]:
    """Return the tower's sizes as `Idefics3Config` takes them.

    >>> vision_sizes(DrawnVlmConfig())["patch_size"]
    14
    """
    return {
        "hidden_size": config.vision_width,
        "intermediate_size": config.vision_ffn,
        "num_hidden_layers": config.vision_layers,
        "num_attention_heads": max(1, config.vision_width // 32),
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "hidden_act": "gelu",  # open_clip's, whose weights the tower starts from
    }


def idefics3_config(config: DrawnVlmConfig) -> Any:
    """Return the transformers configuration of these sizes."""
    transformers = require("transformers", why="the drawn VLM")
    ids = {word: i for i, word in enumerate(vlm_vocabulary(config.world))}
    text = transformers.LlamaConfig(
        vocab_size=len(ids),
        hidden_size=config.width,
        intermediate_size=config.ffn,
        num_hidden_layers=config.layers,
        num_attention_heads=max(1, config.width // 32),
        max_position_embeddings=MAX_POSITIONS,
        bos_token_id=ids[START],
        eos_token_id=ids[END],
        pad_token_id=ids[PAD],
        tie_word_embeddings=False,
    )
    return transformers.Idefics3Config(
        text_config=text,
        vision_config=vision_sizes(config),
        scale_factor=config.shuffle,
        image_token_id=ids[IMAGE],
        bos_token_id=ids[START],
        eos_token_id=ids[END],
        pad_token_id=ids[PAD],
        tie_word_embeddings=False,
    )


def build_drawn_vlm(config: DrawnVlmConfig, *, seed: int = 0) -> Idefics3ForConditionalGeneration:
    """Build the model in eval mode with fresh weights; the global random stream is left alone."""
    transformers = require("transformers", why="the drawn VLM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.Idefics3ForConditionalGeneration(idefics3_config(config))
    return model.eval()
