"""What a loop over tokens asks of a transformers model: its cache by name, logits without NaN.

`cache_argument` is the one place that knows what a model calls its key-value cache:
`past_key_values` until 5.23, `cache` since. The old name is deprecated from 5.24 on and is to go in
5.40.

`OverflowWatch` remembers an overflow on the device, and is asked once a batch of captions. float16
ends at 65,504. A state beyond it turns into inf, the next norm makes NaN of that, and the likeliest
of logits that are all NaN is token 0: an empty caption, without a word.
"""

from __future__ import annotations

import inspect
from functools import cache as remembered
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


def cache_argument(model: nn.Module, cache: Any) -> dict[str, Any]:
    """Name `cache` as `model.forward` does: keyword arguments for a call, or for `generate`.

    Raises `ValueError` for a model that takes a cache by neither name.

    >>> class Newer(nn.Module):
    ...     def forward(self, cache=None): ...
    >>> cache_argument(Newer(), "keys and values")
    {'cache': 'keys and values'}
    """
    return {_name(type(model)): cache}


@remembered  # asked once a token
def _name(kind: type[nn.Module]) -> str:
    names = inspect.signature(kind.forward).parameters
    for name in ("cache", "past_key_values"):
        if name in names:
            return name
    raise ValueError(
        f"{kind.__name__}.forward takes no key-value cache: expected an argument `cache` or"
        " `past_key_values`, as the causal models of transformers have"
    )


class OverflowWatch:
    """Looks at the logits of each step; the host waits for nothing before `require_none`.

    Called with ids and logits it is a logits processor of transformers' `generate`: what is no
    number becomes 0 there, since drawing from it would stop a GPU for good.

    >>> watch = OverflowWatch("a model", torch.float32)
    >>> watch.look(torch.tensor([[0.5, -torch.inf]])).shape  # -inf is a token that is ruled out
    torch.Size([1, 2])
    >>> watch.require_none()
    """

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        self.name, self.dtype = name, dtype
        self._seen: Tensor | None = None

    def look(self, logits: Float[Tensor, "*axes v"]) -> Float[Tensor, "*axes v"]:
        """Remember whether any logit is NaN or inf, and return the logits as they came."""
        found = (~(logits < torch.inf)).any()
        self._seen = found if self._seen is None else self._seen | found
        return logits

    def __call__(self, ids: Tensor, logits: Float[Tensor, "b v"]) -> Float[Tensor, "b v"]:
        """Look, and put 0 in the place of what is no number."""
        return self.look(logits).masked_fill(~(logits < torch.inf), 0.0)

    def require_none(self) -> None:
        """Raise `ValueError` if there was one, with what to do about it."""
        if self._seen is None or not bool(self._seen):
            return
        kind = str(self.dtype).removeprefix("torch.")
        advice = (
            "its values end at 65,504 and a state went beyond. Load it with dtype='float32', or "
            "bfloat16 (from_pretrained of a class takes torch.float32)."
            if self.dtype == torch.float16
            else "are its weights whole, and the features that it reads finite?"
        )
        raise ValueError(
            f"{self.name} gave logits that are no numbers while it generated in {kind}, and its "
            f"text would be empty or arbitrary: {advice}"
        )
