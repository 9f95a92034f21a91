"""Writing captions token by token over a key-value cache: greedy and sampled.

The prompt runs once an image, also when several captions are drawn for it: its keys and values are
then repeated. Randomness is one uniform number a token, drawn on the CPU for all rows and all
positions before the first word and read through the inverse of the distribution function: the same
generator gives the same captions on every device and for every way of splitting the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vizer_core.decoding import Beam, Decoding, Greedy, Sample

Logits = Float[Tensor, "b v"]
TextPass: TypeAlias = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Prefix:
    """What the language model reads before the caption, padded on the left.

    `positions` are [b, s] for one-dimensional rotary positions and [3, b, s] for Qwen's.
    """

    embeddings: Float[Tensor, "b s h"]
    mask: Bool[Tensor, "b s"]
    positions: Int[Tensor, "*axes b s"]

    def repeated(self, samples: int) -> Prefix:
        """Return the prefix of k captions an image, order A, A, B, B; itself where k is 1."""
        if samples == 1:
            return self
        return Prefix(
            self.embeddings.repeat_interleave(samples, dim=0),
            self.mask.repeat_interleave(samples, dim=0),
            self.positions.repeat_interleave(samples, dim=-2),
        )

    def next_positions(self, count: int) -> Int[Tensor, "b t"]:
        """Return the positions of the `count` tokens that follow."""
        axes = [axis for axis in range(self.positions.ndim) if axis != self.positions.ndim - 2]
        first = self.positions.amax(dim=axes) + 1
        return first[:, None] + torch.arange(count, device=first.device)


@dataclass(frozen=True)
class TokenLimits:
    """Ids with a role: what ends a caption, what is never written, what never comes first."""

    eos: tuple[int, ...]
    pad: int
    suppressed: tuple[int, ...] = ()
    banned_first: tuple[int, ...] = ()


def top_p_logits(logits: Logits, top_p: float) -> Logits:
    """Keep the fewest tokens that together hold `top_p` of the mass; the rest become -inf.

    Source: Holtzman et al. 2020, section 3.1. The likeliest token always stays.

    >>> top_p_logits(torch.tensor([[0.5, 0.3, 0.2]]).log(), 0.6).isfinite().tolist()
    [[True, True, False]]
    """
    if top_p >= 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    mass = ordered.softmax(dim=-1)
    before = mass.cumsum(dim=-1) - mass
    dropped = torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return logits.masked_fill(dropped, float("-inf"))


def draw(logits: Logits, uniform: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
    """Turn one number in [0, 1) a row into a token: the first whose cumulative mass exceeds it.

    >>> draw(torch.tensor([[0.2, 0.5, 0.3]]).log().expand(3, 3), torch.tensor([0.1, 0.3, 0.9]))
    tensor([0, 1, 2])
    """
    mass = logits.double().softmax(dim=-1).cumsum(dim=-1)
    wanted = uniform.to(mass).unsqueeze(-1) * mass[:, -1:]
    return torch.searchsorted(mass, wanted, right=True).squeeze(-1).clamp_max(logits.shape[-1] - 1)


def uniform_numbers(
    rows: int, rule: Greedy | Sample, generator: torch.Generator | None
) -> Float[Tensor, "b t"]:
    """Draw the numbers that sampling will use; greedy writing uses none of them."""
    if isinstance(rule, Greedy):
        return torch.zeros(rows, rule.max_tokens, dtype=torch.float64)
    if generator is None:
        raise ValueError(
            "sampling needs randomness: got generator=None. Pass generator=seeded(0) of "
            "vizer_core.runtime."
        )
    return torch.rand(rows, rule.max_tokens, generator=generator, dtype=torch.float64)


def skip_draws(rows: int, rule: Decoding, generator: torch.Generator | None) -> None:
    """Move the generator past the numbers of `rows` captions that somebody else writes."""
    if rows and not isinstance(rule, Beam):
        uniform_numbers(rows, rule, generator)


@torch.no_grad()
def write(
    text_pass: TextPass,
    head: Callable[[Tensor], Tensor],
    *,
    prefix: Prefix,
    cache: Any,
    rule: Greedy | Sample,
    limits: TokenLimits,
    uniform: Float[Tensor, "rows t"],
) -> Int[Tensor, "rows written"]:
    """Write captions after `prefix`; several rows of `uniform` an image share its prefill.

    `text_pass(tokens_or_embeddings, mask, positions, cache)` returns states, `head` maps states to
    logits. Rows keep `limits.pad` after their first EOS; once half of a batch has ended, the rest
    goes on as a smaller batch.
    """
    samples = uniform.shape[0] // prefix.mask.shape[0]
    logits = head(text_pass(prefix.embeddings, prefix.mask, prefix.positions, cache)[:, -1])
    positions = prefix.next_positions(rule.max_tokens).repeat_interleave(samples, dim=0)
    mask = prefix.mask.repeat_interleave(samples, dim=0)
    logits = logits.repeat_interleave(samples, dim=0)
    if samples > 1:
        cache.batch_repeat_interleave(samples)
    numbers = uniform.to(logits.device)
    eos = torch.tensor(limits.eos, device=logits.device)
    written = torch.full(uniform.shape, limits.pad, dtype=torch.long, device=logits.device)
    rows = torch.arange(len(written), device=logits.device)  # those still in the batch
    done = torch.zeros_like(rows, dtype=torch.bool)
    for place in range(rule.max_tokens):
        limited = _limit(logits.float(), limits, first=place == 0)
        chosen = _choose(limited, rule, numbers[rows, place]).masked_fill(done, limits.pad)
        written[rows, place] = chosen
        done = done | torch.isin(chosen, eos)
        going = int((~done).sum())
        if going == 0 or place == rule.max_tokens - 1:
            return written[:, : place + 1]
        if 2 * going <= len(rows):
            kept = (~done).nonzero().squeeze(1)
            cache.batch_select_indices(kept)
            rows, done, chosen, mask = rows[kept], done[kept], chosen[kept], mask[kept]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        now = positions[rows, place : place + 1]
        logits = head(text_pass(chosen[:, None], mask, now, cache)[:, -1])
    return written


def _limit(logits: Tensor, limits: TokenLimits, *, first: bool) -> Tensor:
    """Rule out tokens that may never be written, and those that may not come first."""
    barred: Sequence[int] = limits.suppressed + (limits.banned_first if first else ())
    if barred:
        logits[:, list(barred)] = float("-inf")
    return logits


def _choose(logits: Tensor, rule: Greedy | Sample, numbers: Tensor) -> Tensor:
    if isinstance(rule, Greedy):
        return logits.argmax(dim=-1)
    return draw(top_p_logits(logits / rule.temperature, rule.top_p), numbers)
