"""Pairs and batches: every item once, processes without overlap (pitfall 27)."""

from __future__ import annotations

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_core.textonly.pairs import TrainingPairs, epoch_batches

LENGTHS = torch.randint(3, 16, (1003,), generator=seeded(0))


def features(n: int) -> torch.Tensor:
    return unit_norm(torch.randn(n, 8, generator=seeded(0)))


def test_an_epoch_is_every_item_once():
    batches = epoch_batches(LENGTHS, 16, generator=seeded(1))
    assert torch.cat(batches).sort().values.equal(torch.arange(1003))
    assert sorted(len(b) for b in batches) == [1003 % 16, *[16] * 62]


def test_batches_hold_captions_of_about_one_length():
    def padding(batches):
        return sum(int(LENGTHS[b].max()) * len(b) for b in batches) / int(LENGTHS.sum())

    unsorted = torch.randperm(1003, generator=seeded(1)).split(16)
    assert padding(unsorted) > 1.5
    assert padding(epoch_batches(LENGTHS, 16, generator=seeded(1))) < 1.1


def test_the_order_follows_the_seed_alone():
    one, same, other = (epoch_batches(LENGTHS, 16, generator=seeded(s)) for s in (1, 1, 2))
    assert all(a.equal(b) for a, b in zip(one, same))
    assert not all(a.equal(b) for a, b in zip(one, other) if len(a) == len(b))


def test_the_digest_follows_captions_and_features():
    pairs = TrainingPairs(features(2), ("a dog", "a cat"))
    assert pairs.digest == TrainingPairs(features(2), ["a dog", "a cat"]).digest
    assert pairs.digest != TrainingPairs(features(2), ("a cat", "a dog")).digest
    assert pairs.digest != TrainingPairs(features(2).flip(0), ("a dog", "a cat")).digest


def test_pairs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"got 1 captions for features \(2, 8\)"):
        TrainingPairs(features(2), ("a dog",))
    with pytest.raises(ValueError, match="1 captions are empty, the first in row 1"):
        TrainingPairs(features(2), ("a dog", " "))
    with pytest.raises(ValueError, match="features must be unit-norm"):
        TrainingPairs(features(2) * 3, ("a dog", "a cat"))
    with pytest.raises(ValueError, match="captions is one string"):
        TrainingPairs(features(5), "a dog")


def test_impossible_batches_and_ranks_are_refused():
    with pytest.raises(ValueError, match="got 1003 items in batches of 0"):
        epoch_batches(LENGTHS, 0, generator=seeded(0))
