"""Own captions that agree: rare words count, guesses stay alone, and the best share is kept."""

from __future__ import annotations

from math import log

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.vizer.agreement import (
    ConsensusReward,
    agreement,
    keep_best,
    overlap,
    word_weights,
)
from vizer_core.vizer.targets import shuffled
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch

SAMPLES = [
    ["photo of a cat", "a cat in the snow", "photo of a dog"],
    ["photo of a boat", "photo of a lamp", "photo of a boat"],
]
WEIGHTS = word_weights([text for row in SAMPLES for text in row])


def source(n: int) -> VisionBatch:
    return VisionBatch(
        torch.zeros(n, 3), tuple(torch.zeros(1, 2) for _ in range(n)), torch.ones(n, 3).long()
    )


def batch(*texts: str) -> CaptionBatch:
    return CaptionBatch(torch.ones(len(texts), 1).long(), torch.ones(len(texts), 1).bool(), texts)


def test_words_that_all_captions_have_weigh_nothing():
    assert WEIGHTS["a"] == 0.0
    assert WEIGHTS["cat"] == pytest.approx(log(3)) and WEIGHTS["snow"] == pytest.approx(log(6))
    assert word_weights(["cat cat cat", "dog"])["cat"] == pytest.approx(log(2))  # captions count
    with pytest.raises(ValueError, match="empty list"):
        word_weights([])


def test_overlap_is_the_f1_of_weighted_words():
    weights = {"cat": 2.0, "dog": 1.0, "hat": 1.0}
    assert overlap("a cat , a dog", "a cat and a hat", weights) == pytest.approx(2 * 2 / (3 + 3))
    assert overlap("a cat", "the dog", weights) == 0.0 == overlap("a", "the", weights)
    assert overlap("b a", "a b", {"a": 1.0, "b": 1.0}) == 1.0


def test_what_is_seen_agrees_and_a_guess_stays_alone():
    scores = agreement(SAMPLES, weights=WEIGHTS)
    assert scores[0, 0] > scores[0, 2] and scores[1, 0] == scores[1, 2] > scores[1, 1]
    by_hand = (overlap(*SAMPLES[0][:2], WEIGHTS) + overlap(*SAMPLES[0][::2], WEIGHTS)) / 2
    assert float(scores[0, 0]) == pytest.approx(by_hand)
    order = agreement([row[::-1] for row in SAMPLES], weights=WEIGHTS)
    assert torch.allclose(order, scores.flip(1))
    with pytest.raises(ValueError, match=r"images have \[1\] captions"):
        agreement([["a"]], weights=WEIGHTS)


def test_the_best_share_keeps_its_images():
    kept = keep_best(SAMPLES, agreement(SAMPLES, weights=WEIGHTS), share=0.5)
    assert len(kept) == 3 and kept.rows == (0, 1, 1)
    assert kept.texts == ("photo of a cat", "photo of a boat", "photo of a boat")
    assert keep_best(SAMPLES, torch.zeros(2, 3), share=1.0).texts == tuple(SAMPLES[0] + SAMPLES[1])
    for share in (0.0, 1.5):
        with pytest.raises(ValueError, match="wanted 0 < share <= 1"):
            keep_best(SAMPLES, torch.zeros(2, 3), share=share)
    with pytest.raises(ValueError, match=r"scores are \(2, 2\)"):
        keep_best(SAMPLES, torch.zeros(2, 2), share=0.5)


def test_consensus_looks_up_the_image_that_the_source_names():
    reward = ConsensusReward(SAMPLES, WEIGHTS)
    words = batch("photo of a cat", "photo of a boat")
    right = reward(source(2).select([0]), words)
    assert float(right[0]) == pytest.approx(
        (1 + overlap(SAMPLES[0][1], "photo of a cat", WEIGHTS) + overlap(
            SAMPLES[0][2], "photo of a cat", WEIGHTS)) / 3
    )  # fmt: skip
    assert right[0] > right[1]
    mixed = shuffled(source(2), generator=seeded(0)).select([0])
    assert reward(mixed, words)[1] > reward(mixed, words)[0]
