"""A Qwen2-VL at the drawn size: the second family on which a finding about VLMs has to hold.

An ordinary `Qwen2VLForConditionalGeneration`: patches in merge order, rotary positions in the
tower, an MLP as merger, positions in three dimensions. An image of 112 px in patches of 14 px is a
grid of 8 x 8, merged by 2 into 16 image tokens, as in `vlm_model`. The words are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from vizer_core.runtime import require
from vizer_core.vlm import Qwen2Vl, VisionBatch
from vizer_core.vlm.qwen2vl import IMAGE_MARK, IMAGE_TOKEN
from vizer_lab.zoo.tokenizer import END, PAD, START
from vizer_lab.zoo.vlm_images import pixel_values_of
from vizer_lab.zoo.vlm_model import MAX_POSITIONS, DrawnVlmConfig
from vizer_lab.zoo.vlm_processor import drawn_vlm_tokenizer, vlm_vocabulary

if TYPE_CHECKING:
    from transformers import Qwen2VLForConditionalGeneration, Qwen2VLProcessor

QWEN_MARKS = (IMAGE_TOKEN, "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
FRAMES = 2  # Qwen2-VL reads every image twice, as a film of two frames


def qwen_ids(world: str = "second") -> dict[str, int]:
    """Return ids by word: the drawn VLM's vocabulary, then Qwen's marks.

    >>> qwen_ids()["<|image_pad|>"] == len(vlm_vocabulary())
    True
    """
    return {word: i for i, word in enumerate((*vlm_vocabulary(world), *QWEN_MARKS))}


def qwen_config(config: DrawnVlmConfig) -> Any:
    """Return the transformers configuration of these sizes; heads are of 32, as in Idefics3."""
    transformers = require("transformers", why="the drawn Qwen2-VL")
    ids = qwen_ids(config.world)
    text = {
        "hidden_size": config.width,
        "intermediate_size": config.ffn,
        "num_hidden_layers": config.layers,
        "num_attention_heads": max(1, config.width // 32),
        "num_key_value_heads": max(1, config.width // 32),
        "vocab_size": len(ids),
        "max_position_embeddings": MAX_POSITIONS,
        "bos_token_id": ids[START],
        "eos_token_id": ids[END],
        "pad_token_id": ids[PAD],
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e4,
            "mrope_section": [4, 6, 6],  # of the 16 frequencies of a head
        },
    }
    tower = {
        "embed_dim": config.vision_width,
        "hidden_size": config.width,
        "depth": config.vision_layers,
        "num_heads": max(1, config.vision_width // 32),
        "mlp_ratio": config.vision_ffn // config.vision_width,
        "patch_size": config.patch_size,
        "spatial_merge_size": config.shuffle,
        "temporal_patch_size": FRAMES,
        "hidden_act": "gelu",  # open_clip's, whose weights the tower starts from
    }
    return transformers.Qwen2VLConfig(
        text_config=text,
        vision_config=tower,
        image_token_id=ids[IMAGE_TOKEN],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )


def build_drawn_qwen(config: DrawnVlmConfig, *, seed: int = 0) -> Qwen2VLForConditionalGeneration:
    """Build the model in eval mode with fresh weights; the global random stream is left alone."""
    transformers = require("transformers", why="the drawn Qwen2-VL")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.Qwen2VLForConditionalGeneration(qwen_config(config))
    model.generation_config.eos_token_id = qwen_ids(config.world)[END]
    return model.eval()


def drawn_qwen_processor(config: DrawnVlmConfig) -> Qwen2VLProcessor:
    """Build a `Qwen2VLProcessor` whose images keep their size and come as -1..1."""
    transformers = require("transformers", why="the drawn Qwen2-VL")
    tokenizer = drawn_vlm_tokenizer(config.world)
    tokenizer.add_tokens(list(QWEN_MARKS), special_tokens=True)
    pixels = config.image_size**2
    images = transformers.Qwen2VLImageProcessor(
        patch_size=config.patch_size,
        merge_size=config.shuffle,
        temporal_patch_size=FRAMES,
        size={"shortest_edge": pixels, "longest_edge": pixels},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return transformers.Qwen2VLProcessor(images, tokenizer, transformers.Qwen2VLVideoProcessor())


def drawn_qwen_vlm(
    model: Qwen2VLForConditionalGeneration, config: DrawnVlmConfig, name: str
) -> Qwen2Vl:
    """Wrap the model in the adapter that Qwen2-VL has; it is frozen by it."""
    return Qwen2Vl(
        model,
        drawn_qwen_processor(config),
        name,
        max_pixels=config.image_size**2,
        default_prompt=IMAGE_MARK,
    )


def qwen_from_state(
    name: str,
    config: DrawnVlmConfig,
    state: Mapping[str, Tensor],
    device: str | torch.device = "cpu",
) -> Qwen2Vl:
    """Make the adapter of stored weights."""
    model = build_drawn_qwen(config)
    model.load_state_dict({key: value.float() for key, value in state.items()})
    return drawn_qwen_vlm(model.to(device), config, name)


def qwen_patches(
    pixels: Float[Tensor, "b 3 s s"], *, patch: int, merge: int
) -> Float[Tensor, "patches values"]:
    """Cut images into flat patches, block by block of merge x merge, each frame the same.

    >>> qwen_patches(torch.zeros(2, 3, 8, 8), patch=2, merge=2).shape
    torch.Size([32, 24])
    """
    cut = rearrange(
        pixels,
        "b c (y i r) (x j q) -> (b y x i j) c r q",
        i=merge, j=merge, r=patch, q=patch,
    )  # fmt: skip
    return rearrange(repeat(cut, "n c r q -> n c t r q", t=FRAMES), "n c t r q -> n (c t r q)")


def qwen_grid(n: int, config: DrawnVlmConfig) -> Int[Tensor, "b 3"]:
    """Return the patch grid (t, height, width) of n images."""
    return torch.tensor([[1, config.grid, config.grid]]).expand(n, -1)


def qwen_pixels(
    vlm: Qwen2Vl, images: UInt8[np.ndarray, "b s s 3"]
) -> tuple[Float[Tensor, "patches values"], Int[Tensor, "b 3"]]:
    """Return what a drawn Qwen2-VL's tower gets: flat patches in merge order, and their grid."""
    patch = vlm.patch_size
    if not len(images) or images.shape[1] % (patch * vlm.merge):
        raise ValueError(
            f"images are {images.shape}: wanted at least one, its side a multiple of "
            f"{patch * vlm.merge} px"
        )
    pixels, side = pixel_values_of(images)[:, 0], images.shape[1] // patch
    grid = torch.tensor([[1, side, side]]).expand(len(pixels), -1)
    return qwen_patches(pixels, patch=patch, merge=vlm.merge), grid


def encode_qwen_images(
    vlm: Qwen2Vl, images: UInt8[np.ndarray, "b s s 3"], *, batch_size: int = 256
) -> VisionBatch:
    """Run a drawn Qwen2-VL's frozen vision side on images as the drawn world draws them."""
    starts = range(0, max(len(images), 1), batch_size)
    parts = [
        vlm.encode_pixels(*qwen_pixels(vlm, images[first : first + batch_size])) for first in starts
    ]
    return VisionBatch.concatenate(parts)
