"""Readings side by side: one group alone is greedy, and guidance of 0 changes nothing."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.decoding import Greedy
from vizer_core.vlm.protocol import VisionBatch
from vizer_core.vlm.side_by_side import (
    decode_together,
    diverse,
    guided,
    mean_image,
    mean_log_p,
)


@pytest.fixture(scope="module")
def seen():
    vlm = tiny_smol()
    return vlm, vlm.encode_image(noise_images(3))


def test_one_group_and_equal_groups_are_greedy(seen):
    vlm, vision = seen
    greedy = list(vlm.generate(vision, decoding=Greedy(5)).texts)
    assert decode_together(vlm, [vision], mean_log_p, max_tokens=5) == [greedy]
    assert decode_together(vlm, [vision] * 2, mean_log_p, max_tokens=5) == [greedy, greedy]
    plain = partial(guided, strength=0.0)
    assert decode_together(vlm, [vision, mean_image(vision)], plain, max_tokens=5)[0] == greedy


def test_guidance_takes_what_the_image_adds_and_only_what_is_plausible():
    log_p = torch.tensor([[[0.60, 0.39, 0.01]], [[0.9, 0.09, 1e-6]]]).log()
    assert guided(log_p, strength=1.0)[0].tolist() == [1]  # the third gains most: not plausible
    assert guided(log_p, strength=1.0, plausible=0.001)[0].tolist() == [2]
    with pytest.raises(ValueError, match="got 3 groups: wanted 2"):
        guided(torch.zeros(3, 1, 2))


def test_diverse_groups_pay_for_words_of_earlier_ones():
    log_p = torch.tensor([0.5, 0.3, 0.2]).log().expand(3, 1, 3)
    assert diverse(log_p).flatten().tolist() == [0, 1, 2]
    assert diverse(torch.tensor([0.9, 0.1]).log().expand(2, 1, 2)).flatten().tolist() == [0, 0]


def test_the_mean_image_is_one_for_all_and_wants_one_shape(seen):
    vlm, vision = seen
    mean = mean_image(vision)
    assert all(torch.equal(each, mean.image_embeddings[0]) for each in mean.image_embeddings)
    ragged = VisionBatch(
        vision.image_features[:2],
        (vision.image_embeddings[0], vision.image_embeddings[1][:1]),
        vision.grid[:2],
    )
    with pytest.raises(ValueError, match="wanted one shape for a mean"):
        mean_image(ragged)
    with pytest.raises(ValueError, match="all of one size"):
        decode_together(vlm, [vision, vision.select([0])], mean_log_p)
