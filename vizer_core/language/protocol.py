"""The seam between a causal language model and everything that feeds it a prefix.

A prefix is `q` vectors of the model's own width `h` that stand where token embeddings would. The
sequence is always prefix, then BOS, then words: [e_1 .. e_q][BOS][w_1 .. w_n][EOS].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vizer_core.decoding import Decoding


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Texts as ids: BOS, words, EOS, then padding on the right; `mask` is False at padding."""

    ids: Int[Tensor, "b t"]
    mask: Bool[Tensor, "b t"]


@dataclass(frozen=True, eq=False)
class Generated:
    """What a model generated after each prefix: ids without the prefix and BOS, and their text."""

    ids: Int[Tensor, "b t"]
    texts: tuple[str, ...]


@runtime_checkable
class PrefixLanguageModel(Protocol):
    """A causal language model that reads prefix embeddings. Frozen unless `unfreeze` is called."""

    name: str
    model: torch.nn.Module
    bos_id: int
    eos_id: int
    pad_id: int

    @property
    def width(self) -> int:
        """Width h of the token embeddings."""

    @property
    def max_positions(self) -> int:
        """Longest sequence, prefix included."""

    @property
    def device(self) -> torch.device:
        """Where the model is."""

    @property
    def fingerprint(self) -> str:
        """Hash of weights and architecture."""

    def unfreeze(self) -> None:
        """Let training reach the weights. Train or eval mode is then the caller's to set."""

    def tokenize(self, texts: Sequence[str], *, max_tokens: int | None = None) -> TokenBatch:
        """Encode texts; one longer than `max_tokens` (BOS and EOS counted) loses words, not EOS."""

    def word_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's tokens as they are: no mark around them, no full stop behind them."""

    def decode(self, ids: Int[Tensor, "b t"]) -> tuple[str, ...]:
        """Turn ids into texts, each cut at its first EOS."""

    def embed(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t h"]:
        """Look up token embeddings."""

    def logits(
        self, embeddings: Float[Tensor, "b t h"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t v"]:
        """Return next-token logits at every position, float32; gradients reach `embeddings`."""

    def hidden_states(
        self, embeddings: Float[Tensor, "b t h"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t h"]:
        """Return the last layer's states, after its norm: what the output layer reads."""

    def generate(
        self,
        prefix: Float[Tensor, "b q h"],
        *,
        decoding: Decoding,
        prompts: Sequence[str] | None = None,
        generator: torch.Generator | None = None,
    ) -> Generated:
        """Generate after prefix, BOS and, where given, the words of each prompt (not repeated)."""
