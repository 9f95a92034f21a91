"""Generate one token at a time over a batch, with the attention keys and values in the open.

MAGIC looks at the k likeliest tokens and at the states they would lead to; ZeroCap changes the
cached keys and values by gradient before it chooses. Both need the cache between two tokens.

A state is never changed: `step` and `pick` return a new one and the old one stays good, so a
search may branch, and ZeroCap may run the same step again on keys and values it has changed:

    before = start(lm, no_prefix(lm, 1), ["a photo"])
    after = step(lm, before, ids)
    changed = step(lm, replace(before, cache=shifted), ids)

Gradients flow through the cache; wrap the calls in `torch.no_grad()` where none are wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vizer_core.language.causal_lm import CausalLM
from vizer_core.language.fast_linear import fast_linears
from vizer_core.language.loading import WHY
from vizer_core.language.prefix import positions_of
from vizer_core.runtime import require
from vizer_core.token_loop import cache_argument

KeysValues: TypeAlias = tuple[Tensor, Tensor]  # each [b, heads, t, head width], one pair a layer


@dataclass(frozen=True, eq=False)
class StepState:
    """What a model has read so far.

    `logits` are those of the next token; `hidden` are the last layer's states at every position
    read, the newest last; `mask` is False at padding, which stands on the left.
    """

    cache: tuple[KeysValues, ...]
    mask: Bool[Tensor, "b t"]
    logits: Float[Tensor, "b v"]
    hidden: Float[Tensor, "b t h"]


def start(
    lm: CausalLM, prefix: Float[Tensor, "b q h"], prompts: Sequence[str] | None = None
) -> StepState:
    """Read [prefix][BOS][prompt]; gradients reach `prefix`."""
    opening = lm.opening(prefix, prompts)
    return _read(lm, lm.inputs(opening.embeddings, opening.mask), opening.mask, None)


def step(lm: CausalLM, state: StepState, ids: Int[Tensor, " b"]) -> StepState:
    """Read one more token a row."""
    if len(ids) != len(state.mask):
        raise ValueError(f"{len(ids)} ids for {len(state.mask)} rows: wanted one id per row")
    mask = torch.cat([state.mask, torch.ones_like(state.mask[:, :1])], dim=1)
    if mask.shape[1] > lm.max_positions:
        raise ValueError(
            f"{lm.name} has {lm.max_positions} positions and all are taken: stop earlier"
        )
    inputs = lm.inputs(lm.embed(ids[:, None]), torch.ones_like(mask[:, :1]))
    inputs |= {"attention_mask": mask.long(), "position_ids": positions_of(mask)[:, -1:]}
    return _read(lm, inputs, mask, state)


def pick(state: StepState, rows: Int[Tensor, " k"]) -> StepState:
    """Return the state of these rows, in this order: to reorder, to drop, to repeat.

    `pick(state, torch.arange(b).repeat_interleave(k))` makes k copies of every row.
    """
    rows = rows.to(state.mask.device)
    return StepState(
        cache=tuple((keys[rows], values[rows]) for keys, values in state.cache),
        mask=state.mask[rows],
        logits=state.logits[rows],
        hidden=state.hidden[rows],
    )


def _read(
    lm: CausalLM, inputs: dict, mask: Bool[Tensor, "b t"], before: StepState | None
) -> StepState:
    """Run the model on new positions after `before`. Its cache is copied, not appended to."""
    transformers = require("transformers", why=WHY)
    cache = transformers.DynamicCache(before.cache if before else None)
    with fast_linears(lm.model):
        out = lm.model(
            **inputs,
            **cache_argument(lm.model, cache),
            use_cache=True,
            output_hidden_states=True,
        )
    hidden = out.hidden_states[-1].float()
    return StepState(
        cache=tuple((layer.keys, layer.values) for layer in cache.layers),
        mask=mask,
        logits=out.logits[:, -1].float(),
        hidden=torch.cat([before.hidden, hidden], dim=1) if before else hidden,
    )
