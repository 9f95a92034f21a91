"""Overflow while a model writes: remembered on the device, asked for once a batch of captions.

float16 ends at 65,504. A state beyond it turns into inf, the next norm makes NaN of that, and the
likeliest of logits that are all NaN is token 0: an empty caption, without a word.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


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
            f"{self.name} gave logits that are no numbers while it wrote in {kind}, and its text "
            f"would be empty or arbitrary: {advice}"
        )
