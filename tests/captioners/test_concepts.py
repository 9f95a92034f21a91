"""Concepts: the nearest are found, and what is read of them is of unit length and near them."""

from __future__ import annotations

import pytest
import torch
from tiny_captioners import encoder, memory, prefix_generator, states

from vizer_core.captioners import Concepts
from vizer_core.captioners.concepts import CONCEPTS


def test_one_concept_is_the_nearest_text():
    features = states().image_features
    captioner = Concepts(prefix_generator(), memory(), k=1)
    nearest = memory().nearest(features)
    assert captioner.nearest(features) == [(memory().texts[i],) for i in nearest.tolist()]
    assert torch.allclose(captioner.read(features), memory().features[nearest], atol=1e-6)


def test_a_low_temperature_reads_the_nearest_and_a_high_one_the_mean():
    features = states().image_features
    cold = Concepts(prefix_generator(), memory(), k=5, temperature=1e-4).read(features)
    assert torch.allclose(cold, memory().features[memory().nearest(features)], atol=1e-3)
    warm = Concepts(prefix_generator(), memory(), k=25, temperature=1e4).read(features)
    assert torch.allclose(warm, warm[:1].expand_as(warm), atol=1e-3)
    assert torch.allclose(warm.norm(dim=-1), torch.ones(len(warm)), atol=1e-5)


def test_the_bank_holds_the_most_frequent_statements():
    texts = ["w1 and w2", "w2", "w3 with w2"]
    assert Concepts.bank(encoder(), texts, count=1).texts == ("w2",)
    assert set(Concepts.bank(encoder(), texts, count=CONCEPTS).texts) == {"w1", "w2", "w3"}


def test_errors_by_message():
    with pytest.raises(ValueError, match="k is 26 of 25 concepts"):
        Concepts(prefix_generator(), memory(), k=26)
