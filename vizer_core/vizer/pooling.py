"""From the states of a caption's tokens to one vector: three named readings of ViZer's F^_T.

The paper writes f_psi(...)_{t+1:}, the positions after the prompt, and does not say how they
become one vector, nor whether a position counts for the token it has read or the one it emits.
States have one position more than the caption has tokens: state j predicts token j, state j + 1
has read it; `mask` is True at tokens.

=================  ==============================================================================
mean_read          mean of the states that have read a token: our default
mean_emitting      mean of the states that predict a token: most direct on the next word
last_read          the state that has read the last token, EOS where the caption ended
=================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor


def mean_read(states: Float[Tensor, "b t1 h"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b h"]:
    """Average the states that have read a caption token.

    >>> states = torch.tensor([[[9.0], [1.0], [3.0], [7.0]]])
    >>> mean_read(states, torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """
    _require_fit(states, mask)
    return _masked_mean(states[:, 1:], mask)


def mean_emitting(
    states: Float[Tensor, "b t1 h"], mask: Bool[Tensor, "b t"]
) -> Float[Tensor, "b h"]:
    """Average the states that predict a caption token, the last prompt position among them.

    >>> states = torch.tensor([[[9.0], [1.0], [3.0], [7.0]]])
    >>> mean_emitting(states, torch.tensor([[True, True, False]]))
    tensor([[5.]])
    """
    _require_fit(states, mask)
    return _masked_mean(states[:, :-1], mask)


def last_read(states: Float[Tensor, "b t1 h"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b h"]:
    """Take the state that has read the caption's last token.

    >>> states = torch.tensor([[[9.0], [1.0], [3.0], [7.0]]])
    >>> last_read(states, torch.tensor([[True, True, False]]))
    tensor([[3.]])
    """
    _require_fit(states, mask)
    positions = torch.arange(1, states.shape[1], device=mask.device)
    last = (positions * mask).amax(dim=1)
    return states[torch.arange(len(states), device=states.device), last]


POOLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean_read": mean_read,
    "mean_emitting": mean_emitting,
    "last_read": last_read,
}


def _masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    kept = rearrange(mask, "b t -> b t 1")
    # padding may contain anything, NaN included: it is replaced, not multiplied by 0
    return states.masked_fill(~kept, 0.0).sum(dim=1) / kept.sum(dim=1)


def _require_fit(states: Tensor, mask: Tensor) -> None:
    if states.shape[0] != mask.shape[0] or states.shape[1] != mask.shape[1] + 1:
        raise ValueError(
            f"got states {tuple(states.shape)} for a mask {tuple(mask.shape)}: wanted one state "
            "more than tokens, the last prompt position first"
        )
    if not bool(mask.any(dim=1).all()):
        raise ValueError(
            f"{int((~mask.any(dim=1)).sum())} of {len(mask)} captions have no token: even an empty "
            "caption has its EOS"
        )
