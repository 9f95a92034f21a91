"""The caption's cross-entropy under a frozen language model: the paper's mean and the release's.

The sequence is [e_1 .. e_q][BOS][w_1 .. w_n][EOS][PAD ..], and the logits at a position are about
the token after it.

==============  ========================================================================
caption_loss    mean of -log p over w_1 .. w_n and EOS (MacCap equation 9)
release_loss    mean over every text position: BOS and PAD are targets too (D11)
==============  ========================================================================

In the release a caption is padded to 25 tokens, so for 10 words more than a third of the mean is
about padding, which soon costs nothing: its loss is lower without a better caption, and the rest
of the gradient is as much smaller. Both means run over the tokens of a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from vizer_core.language.protocol import TokenBatch

CaptionLoss: TypeAlias = Callable[[Float[Tensor, "b s v"], TokenBatch], Tensor]


def caption_loss(logits: Float[Tensor, "b s v"], tokens: TokenBatch) -> Float[Tensor, ""]:
    """Return the mean of -log p over caption words and EOS (MacCap equation 9).

    `logits` are at all s = q + t positions of prefix and tokens. Padding plays no part.

    >>> import torch
    >>> tokens = TokenBatch(ids=torch.tensor([[2, 5, 3, 1]]),
    ...                     mask=torch.tensor([[True, True, True, False]]))
    >>> round(float(caption_loss(torch.zeros(1, 6, 8), tokens)), 4)  # log 8: nothing is known
    2.0794
    """
    prefix = _prefix_length(logits, tokens)
    predicted, wanted = logits[:, prefix:-1], tokens.mask[:, 1:]
    return functional.cross_entropy(predicted[wanted].float(), tokens.ids[:, 1:][wanted])


def release_loss(logits: Float[Tensor, "b s v"], tokens: TokenBatch) -> Float[Tensor, ""]:
    """Return the mean of -log p over BOS, words, EOS and padding, as MacCap's release does (D11).

    Pad to a fixed length first (`TextOnlyConfig.pad_to_longest=False`): the mean depends on it, and
    on the positions that the language model gives to padding. `CausalLM` gives it the model's own.
    """
    prefix = _prefix_length(logits, tokens)
    predicted = logits[:, prefix - 1 : -1]
    return functional.cross_entropy(predicted.flatten(0, 1).float(), tokens.ids.flatten())


def target_counts(loss: CaptionLoss, lengths: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    """Return how many targets each caption brings into a loss's mean, to weigh parts of a batch.

    `lengths` count BOS and EOS. Losses other than `caption_loss` weigh captions alike, which is
    right for `release_loss`: its captions are padded to one length.

    >>> import torch
    >>> target_counts(caption_loss, torch.tensor([5, 3])).tolist()
    [4, 2]
    """
    return lengths - 1 if loss is caption_loss else lengths.new_ones(len(lengths))


def _prefix_length(logits: Tensor, tokens: TokenBatch) -> int:
    prefix = logits.shape[1] - tokens.ids.shape[1]
    if prefix < 1 or logits.shape[0] != tokens.ids.shape[0]:
        raise ValueError(
            f"logits {tuple(logits.shape)} do not fit tokens {tuple(tokens.ids.shape)}: wanted the "
            "same batch, and at least one prefix position before the tokens"
        )
    return prefix
