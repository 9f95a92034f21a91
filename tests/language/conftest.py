"""Tiny random language models of three families, each with a tokenizer made here, offline."""

from __future__ import annotations

import pytest
import tokenizers
import torch
import transformers
from tokenizers.processors import TemplateProcessing

from vizer_core.language import CausalLM
from vizer_lab.zoo.language_models import load_drawn_lm

TEXTS = ["a small dog on a lawn", "two dogs and a cat", "the cat sleeps near the old red house"]
FAMILIES = ("opt", "gpt2", "llama")


def byte_tokenizer(specials: list[str]) -> tokenizers.Tokenizer:
    """A byte-level BPE as GPT-2's and OPT's, with some merges learned from a few texts."""
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=specials,
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(TEXTS * 3, trainer)
    return bpe


def fast(bpe: tokenizers.Tokenizer, **marks: str) -> transformers.PreTrainedTokenizerFast:
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, **marks)


def opt_parts():
    """OPT: `</s>` (2) is BOS and EOS, `<pad>` is 1, and its tokenizer adds a BOS by itself."""
    bpe = byte_tokenizer(["<s>", "<pad>", "</s>", "<unk>"])
    bpe.post_processor = TemplateProcessing(single="</s> $A", special_tokens=[("</s>", 2)])
    config = transformers.OPTConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        ffn_dim=64,
        num_attention_heads=2,
        max_position_embeddings=48,
        word_embed_proj_dim=32,
        dropout=0.1,
    )
    tokenizer = fast(bpe, bos_token="</s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    return transformers.OPTForCausalLM(config), tokenizer


def gpt2_parts():
    """GPT-2: one mark, `<|endoftext|>`, which ends texts; no BOS and no padding of its own."""
    bpe = byte_tokenizer(["<|endoftext|>"])
    config = transformers.GPT2Config(
        vocab_size=bpe.get_vocab_size(),
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=48,
        bos_token_id=0,
        eos_token_id=0,
    )
    return transformers.GPT2LMHeadModel(config), fast(bpe, eos_token="<|endoftext|>")


def llama_parts():
    """SmolLM's family: rotary positions, grouped keys, `<|im_start|>`-like marks."""
    bpe = byte_tokenizer(["<begin>", "<end>"])
    config = transformers.LlamaConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=48,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return transformers.LlamaForCausalLM(config), fast(bpe, bos_token="<begin>", eos_token="<end>")


PARTS = {"opt": opt_parts, "gpt2": gpt2_parts, "llama": llama_parts}


def make_lm(family: str) -> CausalLM:
    """A tiny model with weights large enough that words depend on what stands before them."""
    torch.manual_seed(0)
    model, tokenizer = PARTS[family]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    return CausalLM.from_model(model, tokenizer, f"tiny-{family}")


@pytest.fixture(params=[*FAMILIES, "micro"])
def lm(request: pytest.FixtureRequest) -> CausalLM:
    """Every implementation that the contract is checked on, one after another."""
    return load_drawn_lm() if request.param == "micro" else make_lm(request.param)


@pytest.fixture
def llama() -> CausalLM:
    return make_lm("llama")


@pytest.fixture
def opt() -> CausalLM:
    return make_lm("opt")


@pytest.fixture
def gpt2() -> CausalLM:
    return make_lm("gpt2")
