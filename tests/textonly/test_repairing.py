"""Noisy pairs: true ones are kept, captions find their image, qualities are equal in size."""

from __future__ import annotations

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.textonly.repairing import keep_aligned, pair_anew, quality_token

IMAGES = torch.nn.functional.normalize(torch.randn(30, 8, generator=seeded(0)), dim=-1)
TEXTS = IMAGES + 0.1 * torch.randn(30, 8, generator=seeded(1))
MIXED = torch.cat([TEXTS[:15], TEXTS[15:].roll(1, dims=0)])


def test_the_filter_keeps_true_pairs():
    assert keep_aligned(IMAGES, MIXED, share=0.5).tolist() == list(range(15))
    assert len(keep_aligned(IMAGES, MIXED, share=1.0)) == 30


def test_captions_find_their_images_again():
    wanted = [*range(15), 29, *range(15, 29)]
    assert pair_anew(IMAGES, MIXED).tolist() == wanted
    assert pair_anew(IMAGES, MIXED, candidates=1).tolist() == wanted


def test_the_way_back_decides_between_near_images():
    images = torch.tensor([[1.0, 0.0], [0.96, 0.28]])
    texts = torch.tensor([[0.99, 0.14], [1.0, 0.0]])  # the second fits the first image better
    assert pair_anew(images, texts, candidates=2).tolist() == [1, 0]


def test_qualities_are_quantiles():
    found = quality_token(IMAGES, MIXED, qualities=2)
    assert found.bincount().tolist() == [15, 15] and bool(found[:15].all())


def test_errors_by_message():
    with pytest.raises(ValueError, match="share is 0"):
        keep_aligned(IMAGES, TEXTS, share=0.0)
    with pytest.raises(ValueError, match="wanted pairs"):
        keep_aligned(IMAGES, TEXTS[:3], share=0.5)
    with pytest.raises(ValueError, match="31 candidates of 30"):
        pair_anew(IMAGES, TEXTS, candidates=31)
    with pytest.raises(ValueError, match="1 qualities"):
        quality_token(IMAGES, TEXTS, qualities=1)
