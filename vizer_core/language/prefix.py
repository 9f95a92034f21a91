"""Where a prefix stands: [e_1 .. e_q][BOS][w_1 .. w_n][EOS], as embeddings with a mask.

MacCap (section 4.1) feeds its language model the prefix network's outputs as if they were token
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
    """Return the prefix of length 0, for generating from BOS or from a prompt alone."""
    return torch.zeros(batch, 0, lm.width, device=lm.device)


def prefixed(
    lm: PrefixLanguageModel, prefix: Float[Tensor, "b q h"], tokens: TokenBatch
) -> PrefixedBatch:
    """Put prefixes in front of token embeddings; the mask grows by q positions on the left."""
    if len(prefix) != len(tokens.ids):
        raise ValueError(
            f"{len(prefix)} prefixes and {len(tokens.ids)} texts: wanted one prefix per text. "
            "Repeat the prefix with prefix.repeat_interleave(k, dim=0)."
        )
    words = lm.embed(tokens.ids)
    embeddings = torch.cat([prefix.to(words), words], dim=1)
    seen = torch.ones(prefix.shape[:2], dtype=torch.bool, device=words.device)
    return PrefixedBatch(embeddings, torch.cat([seen, tokens.mask.to(words.device)], dim=1))


def positions_of(mask: Bool[Tensor, "b t"], *, padding: int | None = None) -> Int[Tensor, "b t"]:
    """Number the tokens of each row from 0, whichever side its padding is on.

    `padding` is the number of every padding position. Without it padding before a text is at 0 and
    padding behind it counts on, as in a model that is told no positions. No token's logits depend
    on it, only those at padding, which MacCap's release trains on (D11).

    >>> positions_of(torch.tensor([[False, True, True], [True, True, False]]))
    tensor([[0, 0, 1],
            [0, 1, 2]])
    >>> positions_of(torch.tensor([[False, True, True], [True, True, False]]), padding=-1)
    tensor([[-1,  0,  1],
            [ 0,  1, -1]])
    """
    counted = mask.long().cumsum(dim=1) - 1
    if padding is not None:
        return counted.masked_fill(~mask, padding)
    behind = counted == counted[:, -1:]  # from the last token on
    return (counted + (behind & ~mask).long().cumsum(dim=1)).clamp(min=0)
