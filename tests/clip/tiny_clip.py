"""Tiny random open_clip models: the real classes at width 32, so that every test is fast."""

from __future__ import annotations

import copy

import numpy as np
import torch
from PIL import Image

VISION = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 8}
TEXT = {"context_length": 12, "vocab_size": 40, "width": 32, "heads": 4, "layers": 2}
CONFIG = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}
WORDS = [f"w{i}" for i in range(1, 38)]
END = 39


def config_with(vision: dict | None = None, text: dict | None = None, **top: object) -> dict:
    """Return the tiny configuration with some settings changed."""
    config = copy.deepcopy(CONFIG)
    config["vision_cfg"].update(vision or {})
    config["text_cfg"].update(text or {})
    return config | top


def tiny_tokenizer(texts: list[str], context: int = 13) -> torch.Tensor:
    """Word-level ids, start 38, end 39, pad 0; one position wider than the model's context."""
    rows = torch.zeros(len(texts), context, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        ids = [38, *(WORDS.index(word) + 1 for word in text.split()), END]
        if len(ids) > context:
            ids = [*ids[: context - 1], END]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def tiny_model(config: dict | None = None, seed: int = 0) -> torch.nn.Module:
    """Build a tiny model whose last attention is far from uniform."""
    from vizer_core.clip.loading import build_model

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(config or CONFIG).eval()
        with torch.no_grad():
            for block in model.visual.transformer.resblocks:
                block.attn.in_proj_weight.normal_(std=0.4)
                block.attn.in_proj_bias.normal_(std=0.2)
    return model


def tiny_encoder(config: dict | None = None, seed: int = 0):
    """Wrap a tiny model in the encoder."""
    from vizer_core.clip.encoder import OpenClipEncoder
    from vizer_core.clip.loading import preprocess_for

    model = tiny_model(config, seed)
    return OpenClipEncoder.from_model(
        model, preprocess=preprocess_for(model, {}), tokenizer=tiny_tokenizer, name=f"tiny-{seed}"
    )


def noise_images(count: int, seed: int = 0) -> list[Image.Image]:
    """Make small RGB images of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 40, 48, 3), dtype=np.uint8)
    return [Image.fromarray(frame) for frame in pixels]
