"""Retrieval in bags: the own image is first in the bag, and hard bags are harder."""

from __future__ import annotations

import pytest
import torch

from vizer_core.metrics.self_retrieval import bag_hits, self_retrieval_hits
from vizer_core.runtime import seeded
from vizer_core.vizer.neighbours import bags_of


def test_a_known_bag():
    images = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    texts = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.0, 1.0]])
    assert bag_hits(images, texts, torch.tensor([[0, 1], [1, 0], [2, 0]])).tolist() == [
        False,
        True,
        True,
    ]
    assert not bag_hits(images, images, torch.tensor([[0, 0]] * 3)).any()  # ties count against


def test_near_bags_are_harder_than_random_ones_and_the_whole_set_hardest():
    images = torch.randn(60, 6, generator=seeded(0))
    texts = images + 0.8 * torch.randn(60, 6, generator=seeded(1))
    near = bags_of(images, size=5)
    far = torch.cat([torch.arange(60)[:, None], torch.randint(60, (60, 4), generator=seeded(2))], 1)
    hits = [float(bag_hits(images, texts, bags).float().mean()) for bags in (near, far)]
    assert hits[0] < hits[1]
    everything = bags_of(images, size=60)
    assert bag_hits(images, texts, everything).equal(self_retrieval_hits(images, texts))


def test_a_bag_of_one_is_refused():
    with pytest.raises(ValueError, match="at least one other"):
        bag_hits(torch.eye(2), torch.eye(2), torch.tensor([[0], [1]]))
