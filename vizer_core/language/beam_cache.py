"""Keys and values for beam search: the opening is read once a row, not once a beam.

`generate` of transformers repeats every row `width` times and reads the repeated prefix, then
copies the whole cache twice a step: once to append a position, once to follow the beams that live
on. But the beams of one row share all that stands before their first own token. So

1. the opening without its last position runs through the model once a row;
2. its keys and values are repeated into one buffer a layer, with room for every token to come;
3. a step writes its position in place, and only the positions written since follow the beams.

`generate` goes on from such a cache as from any other, so the search itself is still its own. This
file builds on transformers' classes and is imported where beams are first asked for.
symbol -> name: beams -> width, positions that all beams of a row share -> shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from vizer_core.token_loop import cache_argument

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class BeamLayer(DynamicLayer):
    """One layer's keys and values of `width` beams a row, in buffers that never grow."""

    def __init__(
        self,
        keys: Float[Tensor, "b heads shared c"],
        values: Float[Tensor, "b heads shared c"],
        *,
        width: int,
        max_tokens: int,
    ) -> None:
        super().__init__()
        self.shared = keys.shape[2]
        self.stored_keys = _buffer(keys, width, max_tokens)
        self.stored_values = _buffer(values, width, max_tokens)
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._show(self.shared)

    def update(
        self,
        key_states: Float[Tensor, "rows heads t c"],
        value_states: Float[Tensor, "rows heads t c"],
        *args: object,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor]:
        """Write the next positions in place and return all so far, as views of the buffers."""
        begin, end = self.length, self.length + key_states.shape[2]
        room = self.stored_keys.shape[2]
        if end > room:
            raise ValueError(
                f"position {end} of a beam cache with room for {room}: make it with a larger "
                "max_tokens"
            )
        self.stored_keys[:, :, begin:end] = key_states
        self.stored_values[:, :, begin:end] = value_states
        self._show(end)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Int[Tensor, " rows"]) -> None:
        """Follow the beams that live on; they never leave their row, so what it shares stays."""
        for stored in (self.stored_keys, self.stored_values):
            own = stored[:, :, self.shared : self.length]
            own.copy_(own.index_select(0, beam_idx.to(stored.device)))

    def _show(self, length: int) -> None:
        self.length = length
        self.keys = self.stored_keys[:, :, :length]
        self.values = self.stored_values[:, :, :length]


def _buffer(
    states: Float[Tensor, "b heads shared c"], width: int, max_tokens: int
) -> Float[Tensor, "rows heads room c"]:
    batch, heads, shared, channels = states.shape
    buffer = states.new_empty(batch, width, heads, shared + max_tokens, channels)
    buffer[:, :, :, :shared] = states[:, None]
    return buffer.flatten(0, 1)


def beam_cache(
    model: PreTrainedModel, inputs: dict[str, Tensor], *, width: int, max_tokens: int
) -> Cache | None:
    """Read all but the last position of `inputs` and return the cache for `generate` to go on from.

    `inputs` are those of a forward pass. None where this cannot help: an opening of one position,
    or a model whose layers keep something else than all their keys and values, such as a window.
    """
    opening = {name: tensor[:, :-1] for name, tensor in inputs.items()}
    cache = DynamicCache(config=model.config)
    whole = all(type(layer) is DynamicLayer for layer in cache.layers)
    if inputs["inputs_embeds"].shape[1] < 2 or not whole:
        return None
    with torch.no_grad():
        base = model.base_model
        base(**opening, **cache_argument(base, cache), use_cache=True)
    return Cache(
        layers=[
            BeamLayer(layer.keys, layer.values, width=width, max_tokens=max_tokens)
            for layer in cache.layers
        ]
    )
