"""Rewards added in their own units, and the curriculum of negatives."""

from __future__ import annotations

import pytest
import torch

from vizer_core.vizer.ensemble import WeightedReward, in_own_units
from vizer_core.vizer.neighbours import hardening
from vizer_core.vizer.policy_gradient import Reward, reward_of_step
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch

VISION = VisionBatch(torch.zeros(1, 2), (torch.zeros(1, 2),), torch.ones(1, 3).long())
CAPTIONS = CaptionBatch(
    torch.ones(4, 1).long(), torch.ones(4, 1).bool(), ("a", "bb", "ccc", "dddd")
)


def long(vision, captions):
    return [1000.0 * len(text) for text in captions.texts]


def short(vision, captions):
    return [-0.001 * len(text) for text in captions.texts]


def flat(vision, captions):
    return [5.0] * len(captions)


def test_scales_do_not_matter_and_weights_do():
    even = WeightedReward((long, short), (0.5, 0.5))
    assert isinstance(even, Reward) and even.name == "0.5 long + 0.5 short"
    assert torch.allclose(even(VISION, CAPTIONS), torch.zeros(4), atol=1e-5)
    lean = WeightedReward((long, short), (1.0, 0.25))(VISION, CAPTIONS)
    assert torch.allclose(lean, 0.75 * in_own_units(torch.tensor([1.0, 2.0, 3.0, 4.0])), atol=1e-4)


def test_what_tells_nothing_apart_adds_nothing():
    found = WeightedReward((flat, long), (9.0, 1.0))(VISION, CAPTIONS)
    assert torch.allclose(found, in_own_units(torch.tensor([1.0, 2.0, 3.0, 4.0])), atol=1e-5)


class Pair:
    """A reward that is a cosine."""

    def __call__(self, vision, captions):
        return [0.0] * len(captions)

    def caption_vectors(self, captions):
        return torch.zeros(len(captions), 40)

    def image_vectors(self, vision):
        return torch.zeros(len(vision), 40)


class Step:
    """One process's part of a step."""

    mine = range(1)

    def gather(self, rows):
        return rows


class AsksForTheStep:
    name = "asks"

    def __call__(self, vision, captions):
        raise AssertionError("not asked for the step")

    def for_step(self, vision, batch):
        return long


def test_each_reward_sees_the_whole_step():
    reward = WeightedReward((AsksForTheStep(), flat), (1.0, 1.0))
    found = reward_of_step(reward, VISION, Step())(VISION, CAPTIONS)
    assert found.argmax() == 3


def test_the_curriculum_goes_from_many_negatives_to_few():
    stages = hardening(Pair(), torch.eye(40), (32, 8, 2))
    assert [stage.negatives for stage in stages] == [32, 8, 2]
    with pytest.raises(ValueError, match="wanted ever fewer"):
        hardening(Pair(), torch.eye(40), (2, 8))
    with pytest.raises(ValueError, match="a weight a reward"):
        WeightedReward((long, short), (1.0,))


@pytest.mark.parametrize(("count", "value"), [(7, 0.1), (64, 23.456), (3, 0.0)])
def test_scores_that_are_equal_but_for_rounding_become_0(count, value):
    assert not in_own_units(torch.full((count,), value)).any()
    small = in_own_units(torch.tensor([1e-9, 3e-9]))  # real differences count in any unit
    assert torch.allclose(small, torch.tensor([-1.0, 1.0]))
