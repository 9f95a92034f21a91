"""Chapter 13: p-values of a table of many rows, adjusted by Holm's rule."""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.metrics.stats import holm
from vizer_lab.practice.task import Case, Task


def answer(p_values: Tensor) -> Tensor:
    """Return the adjusted p-values in the order given, by the package."""
    named = {str(row): p for row, p in enumerate(p_values.tolist())}
    return torch.tensor(list(holm(named).values()))


def cases() -> list[Case]:
    """Tables in which order, ties at the top and the limit of 1 matter."""
    rows = {
        "three rows": [0.03, 0.01, 0.04],
        "five rows, one that is real": [0.2, 0.002, 0.03, 0.011, 0.6],
        "four rows of no effect": [0.9, 0.5, 0.7, 0.4],
    }
    return [Case(says, (torch.tensor(p),)) for says, p in rows.items()]


def bonferroni(p_values: Tensor) -> Tensor:
    """You multiplied each p-value by the number of rows: that is Bonferroni's rule, which is
    stricter. Holm multiplies the smallest by k, the next by k - 1, and so on."""
    return (p_values * len(p_values)).clamp(max=1)


def _sorted(p_values: Tensor, *, rising: bool, capped: bool) -> Tensor:
    order = p_values.argsort()
    each = p_values[order] * torch.arange(len(p_values), 0, -1)
    each = each.cummax(dim=0).values if rising else each
    found = torch.empty_like(each)
    found[order] = each
    return found.clamp(max=1) if capped else found


def may_fall(p_values: Tensor) -> Tensor:
    """An adjusted p-value must not be below that of a smaller one: let each be at least the one
    before it, in the order of the p-values."""
    return _sorted(p_values, rising=False, capped=True)


def above_one(p_values: Tensor) -> Tensor:
    """Some adjusted p-values are above 1. A probability is at most 1."""
    return _sorted(p_values, rising=True, capped=False)


def in_sorted_order(p_values: Tensor) -> Tensor:
    """The numbers are right and stand in sorted order. Give each row its own back."""
    return answer(p_values).sort().values


def as_given(p_values: Tensor) -> Tensor:
    """You multiplied by k, k - 1, ... in the order in which the rows are given. Sort the p-values
    first: the smallest is multiplied by k."""
    each = p_values * torch.arange(len(p_values), 0, -1)
    return each.cummax(dim=0).values.clamp(max=1)


def largest_first(p_values: Tensor) -> Tensor:
    """You sorted from the largest. The *smallest* p-value is multiplied by k, the next by k - 1."""
    order = p_values.argsort(descending=True)
    each = p_values[order] * torch.arange(len(p_values), 0, -1)
    found = torch.empty_like(each)
    found[order] = each.cummax(dim=0).values.clamp(max=1)
    return found


def one_factor_short(p_values: Tensor) -> Tensor:
    """Your factors are one too small: they run from k down to 1, not from k - 1 down to 0."""
    order = p_values.argsort()
    each = p_values[order] * torch.arange(len(p_values) - 1, -1, -1)
    found = torch.empty_like(each)
    found[order] = each.cummax(dim=0).values.clamp(max=1)
    return found


def order_used_twice(p_values: Tensor) -> Tensor:
    """The numbers are right, but in wrong rows: `order` says where each came from. Write them back,
    `adjusted[order] = ...`, instead of reading by `order` again."""
    return answer(p_values).sort().values[p_values.argsort()]


def false_discovery_rate(p_values: Tensor) -> Tensor:
    """That is Benjamini and Hochberg's rule, for the share of false findings. Holm's keeps the
    chance of *any* false finding small: the factors k, k - 1, ..., 1, and a running maximum."""
    order, k = p_values.argsort(), len(p_values)
    each = p_values[order] * k / torch.arange(1, k + 1)
    found = torch.empty_like(each)
    found[order] = each.flip(0).cummin(dim=0).values.flip(0).clamp(max=1)
    return found


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        bonferroni,
        may_fall,
        above_one,
        in_sorted_order,
        as_given,
        largest_first,
        one_factor_short,
        order_used_twice,
        false_discovery_rate,
    ),
    at_home="`vizer_core.metrics.stats.holm`",
)
