"""Pooling a caption's states: which positions count, and that padding never does."""

from __future__ import annotations

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.vizer.pooling import POOLS, last_read, mean_emitting, mean_read

MASK = torch.tensor([[True, True, True], [True, False, False]])
STATES = torch.tensor([[0.0, 1.0, 2.0, 6.0], [10.0, 11.0, 12.0, 13.0]])[..., None]


@pytest.mark.parametrize(
    ("pool", "wanted"),
    [(mean_read, [3.0, 11.0]), (mean_emitting, [1.0, 10.0]), (last_read, [6.0, 11.0])],
)
def test_pools_take_the_positions_they_name(pool, wanted):
    assert pool(STATES, MASK)[:, 0].tolist() == wanted


@pytest.mark.parametrize("name", sorted(POOLS))
def test_padding_never_counts_even_if_it_is_nan(name):
    states = torch.randn(2, 4, 5, generator=seeded(0))
    clean = POOLS[name](states, MASK)
    states[1, 2:] = float("nan")
    assert torch.equal(POOLS[name](states, MASK), clean)
    short = POOLS[name](states[1:, :2], MASK[1:, :1])
    assert torch.equal(short[0], clean[1])


def test_padding_gets_no_gradient():
    states = torch.randn(2, 4, 5, generator=seeded(0)).requires_grad_()
    mean_read(states, MASK).sum().backward()
    assert bool((states.grad[1, 2:] == 0).all()) and bool((states.grad[1, 1] == 1).all())


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="wanted one state more than tokens"):
        mean_read(STATES[:, :3], MASK)
    with pytest.raises(ValueError, match="1 of 2 captions have no token"):
        last_read(STATES, torch.tensor([[True, True, True], [False, False, False]]))
