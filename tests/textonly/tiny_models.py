"""A random OPT of width 16 behind the language seam, and an encoder that hashes texts.

They stand in for models where only plumbing is under test; training and generation that must make
sense run on the micro models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from vizer_core.language.protocol import Generated, TokenBatch

WORDS = tuple("<s> <pad> </s> a dog cat bird tree red blue big small sits runs on by the".split())  # noqa: SIM905
    "<s>",
    "<pad>",
    "</s>",
    *[
        "a",
        "dog",
        "cat",
        "bird",
        "tree",
        "red",
        "blue",
        "big",
        "small",
        "sits",
        "runs",
        "on",
        "by",
        "the",
    ],
)
BOS, PAD, EOS = 0, 1, 2
WIDTH, CLIP_WIDTH = 16, 24


class TinyLanguageModel:
    """Word-level OPT with random weights."""

    name, bos_id, eos_id, pad_id = "tiny-opt", BOS, EOS, PAD
    max_positions = 64
    device = torch.device("cpu")

    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        from transformers import OPTConfig, OPTForCausalLM

        torch.manual_seed(seed)
        config = OPTConfig(
            vocab_size=len(WORDS), hidden_size=WIDTH, ffn_dim=32, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=self.max_positions,
            word_embed_proj_dim=WIDTH, init_std=0.5, bos_token_id=BOS, pad_token_id=PAD, eos_token_id=EOS,
        )  # fmt: skip
        self.model = OPTForCausalLM(config).to(dtype).eval().requires_grad_(False)
        self.width = WIDTH

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for value in self.model.state_dict().values():
            digest.update(value.float().numpy().tobytes())
        return digest.hexdigest()

    def tokenize(self, texts: Sequence[str], *, max_tokens: int | None = None) -> TokenBatch:
        rows = [[WORDS.index(w) for w in text.split()][: (max_tokens or 64) - 2] for text in texts]
        rows = [[BOS, *row, EOS] for row in rows]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
        return TokenBatch(ids, torch.arange(longest) < torch.tensor([[len(row)] for row in rows]))

    def decode(self, ids: Tensor) -> tuple[str, ...]:
        texts = []
        for row in ids.tolist():
            row = row[: row.index(EOS)] if EOS in row else row
            texts.append(" ".join(WORDS[i] for i in row if i not in (BOS, PAD)))
        return tuple(texts)

    def embed(self, ids: Tensor) -> Tensor:
        return self.model.get_input_embeddings()(ids)

    def logits(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        return self.model(inputs_embeds=embeddings, attention_mask=mask.long()).logits

    @torch.no_grad()
    def generate(self, prefix: Tensor, *, decoding, prompts=None, generator=None) -> Generated:
        start = self.embed(torch.full((len(prefix), 1), BOS))
        embeddings = torch.cat([prefix, start], dim=1)
        ids = self.model.generate(
            inputs_embeds=embeddings,
            attention_mask=torch.ones(embeddings.shape[:2], dtype=torch.long),
            pad_token_id=PAD,
            **decoding.generate_options(),
        )
        return Generated(ids, self.decode(ids))


class HashEncoder:
    """Texts to fixed random unit vectors; `calls` counts the texts that were encoded."""

    name, fingerprint, embed_dim = "hash-clip", "ab" * 32, CLIP_WIDTH

    def __init__(self) -> None:
        self.calls: list[str] = []

    def encode_text(self, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
        self.calls.extend(texts)
        seeds = [int(hashlib.sha256(t.encode()).hexdigest()[:8], 16) for t in texts]
        rows = [torch.randn(CLIP_WIDTH, generator=torch.Generator().manual_seed(s)) for s in seeds]
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1)
