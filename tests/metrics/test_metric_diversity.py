"""Variety of captions: by hand, and what collapse looks like."""

from __future__ import annotations

import pytest
import torch

from vizer_core.metrics.diversity import caption_lengths, distinct_n, diversity


def test_by_hand():
    tokens = ["a cat on a mat", "a dog", ""]
    assert caption_lengths(tokens).tolist() == [5, 2, 0]
    assert distinct_n(tokens, n=1) == 5 / 7  # a cat on mat dog
    assert distinct_n(tokens, n=2) == 5 / 5
    assert distinct_n([""], n=1) == 0.0


def test_a_collapsed_system_is_seen():
    collapsed = diversity(["a photo"] * 99 + ["a cat"])
    healthy = diversity([f"a photo of thing{i}" for i in range(100)])
    assert collapsed.commonest_share == 0.99
    assert healthy.commonest_share == 0.01
    assert collapsed.distinct2 < 0.1 < healthy.distinct2
    assert (collapsed.vocabulary, healthy.captions) == (3, 100)


def test_order_does_not_matter_and_repetition_lowers():
    tokens = ["a cat", "two dogs run", "a cat sits"]
    assert diversity(tokens) == diversity(tokens[::-1])
    assert distinct_n(tokens * 2, n=2) < distinct_n(tokens, n=2)


def test_features_tell_how_many_different_things_are_said():
    tokens = ["a cat", "a dog", "a fox"]
    assert diversity(tokens).vendi is None
    assert diversity(tokens, torch.eye(3)).vendi == pytest.approx(3)
    assert diversity(tokens, torch.ones(3, 2)).vendi == pytest.approx(1)


def test_errors_by_message():
    with pytest.raises(ValueError, match="n=0: wanted 1 or more"):
        distinct_n(["a"], n=0)
    with pytest.raises(ValueError, match="no captions"):
        diversity([])
