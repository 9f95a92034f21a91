"""The published models' shapes, for random models of true size: no weights, no network.

Source: the models' configurations on the hub. A random model of the right shape takes the memory
and the time of the real one; what it generates means nothing. Rotary bases and norms' epsilons,
which cost neither, are transformers' defaults.
"""

from __future__ import annotations

from typing import Any

from vizer_core.runtime import require

SIGLIP_SO400M = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
}
SIGLIP_BASE_512 = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 512,
    "patch_size": 16,
}
SMOL_END, SMOL_PAD = 0, 2


def smolvlm_base_config() -> Any:
    """Return the shape of SmolVLM-Base: 2.2B parameters, 81 tokens per tile of 384 px."""
    text = {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 24,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 49155,
        "max_position_embeddings": 16384,
    }
    return _idefics3(text, SIGLIP_SO400M, scale_factor=3, image_token_id=49153)


def smolvlm_500m_config() -> Any:
    """Return the shape of SmolVLM-500M: 64 tokens per tile of 512 px."""
    text = {
        "hidden_size": 960,
        "intermediate_size": 2560,
        "num_hidden_layers": 32,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
        "vocab_size": 49280,
        "max_position_embeddings": 8192,
    }
    return _idefics3(text, SIGLIP_BASE_512, scale_factor=4, image_token_id=49190)


def smolvlm_256m_config() -> Any:
    """Return the shape of SmolVLM-256M: 64 tokens per tile of 512 px."""
    text = {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49280,
        "max_position_embeddings": 8192,
    }
    return _idefics3(text, SIGLIP_BASE_512, scale_factor=4, image_token_id=49190)


def qwen2_vl_2b_config() -> Any:
    """Return the shape of Qwen2-VL-2B: one token for every 28 x 28 pixels."""
    transformers = require("transformers", why="a published model's shape")
    text = {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "pad_token_id": 151643,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [16, 24, 24],
        },
    }
    tower = {"embed_dim": 1280, "hidden_size": 1536, "depth": 32, "num_heads": 16}
    return transformers.Qwen2VLConfig(
        text_config=text, vision_config=tower, tie_word_embeddings=True
    )


def qwen2_5_vl_3b_config() -> Any:
    """Return the shape of Qwen2.5-VL-3B: one token for every 28 x 28 pixels."""
    transformers = require("transformers", why="a published model's shape")
    text = {
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "pad_token_id": 151643,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [16, 24, 24],
        },
    }
    tower = {"hidden_size": 1280, "intermediate_size": 3420, "depth": 32, "num_heads": 16}
    tower |= {"out_hidden_size": 2048, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31]}
    return transformers.Qwen2_5_VLConfig(
        text_config=text, vision_config=tower, tie_word_embeddings=True
    )


def _idefics3(text: dict[str, Any], tower: dict[str, Any], **connector: int) -> Any:
    transformers = require("transformers", why="a published model's shape")
    ids = {"bos_token_id": 1, "eos_token_id": SMOL_END, "pad_token_id": SMOL_PAD}
    return transformers.Idefics3Config(
        text_config={"model_type": "llama", "head_dim": 64, **text, **ids},
        vision_config=tower,
        pad_token_id=SMOL_PAD,
        tie_word_embeddings=False,
        **connector,
    )
