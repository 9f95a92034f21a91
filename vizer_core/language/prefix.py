"""Where a prefix stands: [e_1 .. e_q][BOS][w_1 .. w_n][EOS], as embeddings with a mask.

MacCap (section 4.1) feeds its language model the adaptor's outputs as if they were token
embeddings, in front of the caption. ZeroCap and MAGIC have none: q may be 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vizer_core.language.protocol import PrefixLanguageModel, TokenBatch


@dataclass(frozen=True, eq=False)
class PrefixedBatch:
    """Prefixes and the texts after them as embeddings; `mask` is False at padding."""

    embeddings: Float[Tensor, "b t h"]
    mask: Bool[Tensor, "b t"]


def no_prefix(lm: PrefixLanguageModel, batch: int) -> Float[Tensor, "b 0 h"]:
    """Return the prefix of length 0, for writing from BOS or from a prompt alone."""
    return torch.zeros(batch, 0, lm.width, device=lm.device)


def prefixed(
    lm: PrefixLanguageModel, prefix: Float[Tensor, "b q h"], tokens: TokenBatch
) -> PrefixedBatch:
    """Put prefixes in front of token embeddings; the mask grows by q positions on the left."""
    if len(prefix) != len(tokens.ids):
        raise ValueError(
            f"{len(prefix)} prefixes and {len(tokens.ids)} texts: wanted one prefix a text. "
            "Repeat the prefix with prefix.repeat_interleave(k, dim=0)."
        )
    words = lm.embed(tokens.ids)
    embeddings = torch.cat([prefix.to(words), words], dim=1)
    seen = torch.ones(prefix.shape[:2], dtype=torch.bool, device=words.device)
    return PrefixedBatch(embeddings, torch.cat([seen, tokens.mask.to(words.device)], dim=1))


def positions_of(mask: Bool[Tensor, "b t"]) -> Int[Tensor, "b t"]:
    """Number the tokens of each row from 0, whichever side its padding is on.

    >>> positions_of(torch.tensor([[False, True, True], [True, True, False]]))
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return (mask.long().cumsum(dim=1) - 1).clamp(min=0)
