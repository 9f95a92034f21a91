"""How likely a language model finds given texts after a prefix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.language.prefix import prefixed
from vizer_core.language.protocol import PrefixLanguageModel, TokenBatch


def token_log_probs(
    lm: PrefixLanguageModel, prefix: Float[Tensor, "b q h"], tokens: TokenBatch
) -> Float[Tensor, "b t_minus_1"]:
    """Return log p of every token after BOS given all before it, in nats; 0 at padding.

    Row k is [log p(w_1), .., log p(w_n), log p(EOS), 0, ..]. Gradients reach `prefix`.
    """
    batch = prefixed(lm, prefix, tokens)
    logits = lm.logits(batch.embeddings, batch.mask)[:, prefix.shape[1] : -1]
    targets = tokens.ids[:, 1:].to(logits.device)
    found = logits.log_softmax(dim=-1).gather(-1, targets[..., None]).squeeze(-1)
    return found.masked_fill(~tokens.mask[:, 1:].to(found.device), 0.0)


def sequence_log_probs(
    lm: PrefixLanguageModel, prefix: Float[Tensor, "b q h"], texts: Sequence[str]
) -> Float[Tensor, " b"]:
    """Return log p of each whole text after its prefix, EOS included, in nats."""
    return token_log_probs(lm, prefix, lm.tokenize(texts)).sum(dim=1)


@torch.no_grad()
def nats_per_token(
    lm: PrefixLanguageModel, texts: Sequence[str], *, batch_size: int = 128
) -> float:
    """Return the mean of -log p a token over texts written from BOS alone, EOS counted."""
    total, count = 0.0, 0
    for start in range(0, len(texts), batch_size):
        tokens = lm.tokenize(texts[start : start + batch_size])
        bare = torch.zeros(len(tokens.ids), 0, lm.width, device=lm.device)
        total -= float(token_log_probs(lm, bare, tokens).double().sum())
        count += int(tokens.mask[:, 1:].sum())
    return total / count
