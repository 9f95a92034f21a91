"""Miniature random checkpoints on disk, as `save_pretrained` and open_clip's hub folders have them.

Each is of a published model's own class, with the tokenizer and the processor beside the weights:
what the commands meet on a user's disk, some hundred kilobytes instead of gigabytes.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tiny_vlm import (
    tiny_qwen_model,
    tiny_qwen_processor,
    tiny_smol_model,
    tiny_smol_processor,
)

CAPTIONS = (
    "a red dog on a blue boat",
    "the cat sits near the ball",
    "a photo of a boat and a dog",
    "a blue ball",
    "two cats on the red boat",
    "an itap of the dog near a cat",
)
CLIP_CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 8},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 32,
        "heads": 4,
        "layers": 2,
    },
}
GREY = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"}


def byte_tokenizer() -> object:
    """Train a byte-level tokenizer on six captions, with OPT's marks."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(CAPTIONS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="</s>", eos_token="</s>", pad_token="<pad>"
    )


def save_opt(folder: Path, positions: int = 128) -> Path:
    """Write a random OPT of width 32 with its tokenizer."""
    from transformers import OPTConfig, OPTForCausalLM

    tokenizer = byte_tokenizer()
    config = OPTConfig(
        vocab_size=len(tokenizer), hidden_size=32, word_embed_proj_dim=32, ffn_dim=48,
        num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=positions, dropout=0.0,
        init_std=0.3, bos_token_id=2, eos_token_id=2, pad_token_id=1,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        OPTForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_clip(folder: Path, seed: int = 0) -> Path:
    """Write a random CLIP of width 32 as open_clip's models lie on the hub; CLIP's own words."""
    from safetensors.torch import save_file

    from vizer_core.clip.loading import build_model

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(CLIP_CONFIG)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    settings = {"model_cfg": CLIP_CONFIG, "preprocess_cfg": GREY}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    return folder


def save_smolvlm(folder: Path) -> Path:
    """Write a random SmolVLM-Base: an Idefics3 of width 32 with its processor."""
    tiny_smol_model("Idefics3").save_pretrained(folder)
    tiny_smol_processor().save_pretrained(folder)
    return folder


def save_qwen(folder: Path) -> Path:
    """Write a random Qwen2-VL of width 32 with its processor."""
    tiny_qwen_model("Qwen2VL").save_pretrained(folder)
    tiny_qwen_processor().save_pretrained(folder)
    return folder
