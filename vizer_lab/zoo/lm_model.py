"""The drawn language model: a transformers `OPTForCausalLM` over the drawn world's words.

OPT (Zhang et al. 2022) is the frozen decoder of MacCap's tables; this is the same class at width
128 with three layers, so that everything said about it holds for `facebook/opt-1.3b` too, its
learned positions and their offset of two among it. Without dropout, so that a run repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vizer_core.runtime import require
from vizer_lab.zoo.tokenizer import (
    END,
    PAD,
    START,
    UNKNOWN,
    WORD_PATTERN,
    vocabulary,
)

if TYPE_CHECKING:
    from transformers import OPTForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True)
class DrawnLMConfig:
    """Sizes of a drawn language model; `world` says which drawn world it has words for."""

    width: int = 128
    layers: int = 3
    heads: int = 4
    positions: int = 128
    world: str = "second"

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")


def build_drawn_lm(config: DrawnLMConfig, *, seed: int = 0) -> OPTForCausalLM:
    """Make a drawn language model with fresh weights drawn from `seed`."""
    transformers = require("transformers", why="a language model")
    words = vocabulary(config.world)
    settings = transformers.OPTConfig(
        vocab_size=len(words),
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        ffn_dim=4 * config.width,
        num_attention_heads=config.heads,
        max_position_embeddings=config.positions,
        dropout=0.0,
        pad_token_id=words.index(PAD),
        bos_token_id=words.index(START),
        eos_token_id=words.index(END),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # transformers draws initial weights from the global stream
        return transformers.OPTForCausalLM(settings)


def drawn_lm_tokenizer(world: str = "second") -> PreTrainedTokenizerFast:
    """Return `DrawnTokenizer`'s words and splitting as a tokenizer of transformers.

    >>> drawn_lm_tokenizer().tokenize("A t-shirt!")
    ['a', 't-shirt', '!']
    """
    tokenizers = require("tokenizers", why="the drawn LM's tokenizer")
    transformers = require("transformers", why="the drawn LM's tokenizer")
    ids = {word: i for i, word in enumerate(vocabulary(world))}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token=UNKNOWN))
    words.normalizer = tokenizers.normalizers.Lowercase()
    words.pre_tokenizer = tokenizers.pre_tokenizers.Split(
        tokenizers.Regex(WORD_PATTERN), behavior="removed", invert=True
    )
    words.decoder = tokenizers.decoders.WordPiece(prefix="##", cleanup=True)  # plain marks
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        split_special_tokens=True,  # "<end>" in a text is three marks and a word, not the end
        clean_up_tokenization_spaces=False,
    )
