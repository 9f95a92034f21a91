"""A random OPT of width 16 behind the language seam, and an encoder that hashes texts.

They stand in for models where only plumbing is under test; training and generation that must make
sense run on the drawn models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from vizer_core.language import CausalLM

SPECIAL = ("<s>", "<pad>", "</s>")
WORDS = (*SPECIAL, "a", "dog", "cat", "bird", "tree", "red", "blue", "big", "sits", "runs", "the")
BOS, PAD, EOS = 0, 1, 2
WIDTH, CLIP_WIDTH, POSITIONS = 16, 24, 64


def tiny_language_model(seed: int = 0, dtype: torch.dtype = torch.float32) -> CausalLM:
    """Return a word-level OPT with random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    config = OPTConfig(
        vocab_size=len(WORDS), hidden_size=WIDTH, ffn_dim=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=POSITIONS, dropout=0.0,
        word_embed_proj_dim=WIDTH, init_std=0.5,
        bos_token_id=BOS, pad_token_id=PAD, eos_token_id=EOS,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = OPTForCausalLM(config).to(dtype)
    return CausalLM.from_model(model, tokenizer, "tiny-opt")


class HashEncoder:
    """Texts to fixed random unit vectors; `calls` lists the texts that were encoded."""

    name, fingerprint, embed_dim = "hash-clip", "ab" * 8, CLIP_WIDTH
    image_size, logit_scale, device = (8, 8), 100.0, torch.device("cpu")

    def __init__(self) -> None:
        self.calls: list[str] = []

    def encode_text(self, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
        self.calls.extend(texts)
        seeds = [int(hashlib.sha256(t.encode()).hexdigest()[:8], 16) for t in texts]
        rows = [torch.randn(CLIP_WIDTH, generator=torch.Generator().manual_seed(s)) for s in seeds]
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1)

    def preprocess(self, image):
        raise NotImplementedError("texts only")

    encode_image = image_states = preprocess
