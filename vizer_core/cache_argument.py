"""What a transformers model calls its key-value cache: `past_key_values` until 5.23, `cache` since.

The one place that knows. The old name is deprecated from 5.24 on and is to go in 5.40.
"""

from __future__ import annotations

import inspect
from functools import cache as remembered
from typing import Any

from torch import nn


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
