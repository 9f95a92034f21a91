"""Tiny random vision-language models: the real classes at width 32, processors built offline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

SENTENCE = "a an the dog cat red blue ball boat on near and itap of photo question what is"
WORDS = SENTENCE.split()
MARKS = ["<pad>", "<unk>", "<s>", "</s>", "<image>", "<fake_token_around_image>", "<global-img>"]
ROWS = [f"<row_{row + 1}_col_{column + 1}>" for row in range(6) for column in range(6)]
QWEN_MARKS = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
SPECIAL = [*MARKS, "<end_of_utterance>", *ROWS, *QWEN_MARKS]
VOCABULARY = [*SPECIAL, *WORDS]
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": 256,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "pad_token_id": 0,
}
TILE = 16  # pixels; patches of 4 make 4 x 4, and the shuffle by 2 leaves 4 image tokens


def tiny_tokenizer(words: Sequence[str] = VOCABULARY) -> Any:
    """Make a word-level tokenizer that knows every mark of both model families."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    indices = {word: index for index, word in enumerate(words)}
    core = Tokenizer(models.WordLevel(indices, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    )
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL[4:]})
    return tokenizer


def tiny_smol_processor(edge: int = 2 * TILE, words: Sequence[str] = VOCABULARY) -> Any:
    """Make an Idefics3 processor whose tiles are 16 pixels wide."""
    from transformers import Idefics3ImageProcessor, Idefics3Processor

    images = Idefics3ImageProcessor(
        size={"longest_edge": edge}, max_image_size={"longest_edge": TILE}
    )
    return Idefics3Processor(images, tiny_tokenizer(words), image_seq_len=4)


def tiny_smol_model(family: str = "Idefics3", seed: int = 0, **text: Any) -> torch.nn.Module:
    """Build a random Idefics3 or SmolVLM model of width 32."""
    import transformers

    config = getattr(transformers, f"{family}Config")(
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": TILE,
            "patch_size": 4,
        },
        text_config={"model_type": "llama", **TEXT, **text},
        scale_factor=2,
        image_token_id=MARKS.index("<image>"),
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    return _random(getattr(transformers, f"{family}ForConditionalGeneration"), config, seed)


def _random(cls: Any, config: Any, seed: int) -> torch.nn.Module:
    """Make the model and give it weights large enough that its words differ between images."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = cls(config).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim > 1:
                    weight.normal_(std=0.25)
    return model


def tiny_smol(family: str = "Idefics3", seed: int = 0, **options: Any):
    """Wrap a tiny model in its adapter."""
    from vizer_core.vlm.smolvlm import SmolVlm

    return SmolVlm(
        tiny_smol_model(family, seed), tiny_smol_processor(), f"tiny-{family}", **options
    )


def noise_images(count: int, seed: int = 0, size: tuple[int, int] = (20, 20)) -> list[Image.Image]:
    """Make small RGB images of random pixels, (height, width)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)
    return [Image.fromarray(frame) for frame in pixels]


def tiny_qwen_processor() -> Any:
    """Make a Qwen2-VL processor with patches of 4 pixels."""
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    images = Qwen2VLImageProcessor(
        patch_size=4, size={"shortest_edge": 16 * 16, "longest_edge": 32 * 32}
    )
    return Qwen2VLProcessor(images, tiny_tokenizer(), Qwen2VLVideoProcessor())


def tiny_qwen_model(family: str = "Qwen2VL", seed: int = 0) -> torch.nn.Module:
    """Build a random Qwen2-VL or Qwen2.5-VL model of width 32."""
    import transformers

    tower = {"num_heads": 2, "patch_size": 4, "depth": 2, "spatial_merge_size": 2}
    if family == "Qwen2VL":
        tower |= {"embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2}
    else:
        tower |= {"hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 24}
        tower |= {"window_size": 16, "fullatt_block_indexes": [1]}
    config = getattr(transformers, f"{family}Config")(
        vision_config=tower,
        text_config={
            **TEXT,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [1, 1, 2],
            },
        },
        image_token_id=VOCABULARY.index("<|image_pad|>"),
        video_token_id=VOCABULARY.index("<|video_pad|>"),
        vision_start_token_id=VOCABULARY.index("<|vision_start|>"),
        vision_end_token_id=VOCABULARY.index("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    name = f"{family}ForConditionalGeneration"
    return _random(getattr(transformers, name), config, seed)


def tiny_qwen(family: str = "Qwen2VL", seed: int = 0, **options: Any):
    """Wrap a tiny model in its adapter."""
    from vizer_core.vlm.qwen2vl import Qwen2Vl

    settings = {"max_pixels": 32 * 32, "default_prompt": "a photo of"} | options
    return Qwen2Vl(
        tiny_qwen_model(family, seed), tiny_qwen_processor(), f"tiny-{family}", **settings
    )
