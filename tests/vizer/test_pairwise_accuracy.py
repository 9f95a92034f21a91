"""Pairwise accuracy, preference and credit: counted by hand, and by a step whose end is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.decoding import Sample
from vizer_core.metrics.stats import bootstrap
from vizer_core.runtime import seeded
from vizer_core.vizer import add_lora
from vizer_core.vizer.forecast import auc
from vizer_core.vizer.lora import adapter_tensors
from vizer_core.vizer.pairwise_accuracy import credit, pairwise_accuracy, preference, step_effect
from vizer_core.vizer.rollout import Rollout

K = 3


@pytest.fixture(scope="module")
def generated():
    vlm = tiny_smol()
    add_lora(vlm, generator=seeded(0))
    vision = vlm.encode_image(noise_images(4))
    captions = vlm.generate(vision, decoding=Sample(max_tokens=8), samples=K, generator=seeded(1))
    return vlm, vision, captions


def log_p(generated) -> torch.Tensor:
    vlm, vision, captions = generated
    return Rollout(vlm, vision, captions).log_probs.sum(dim=1)


def test_it_is_the_auc_image_by_image():
    own = torch.tensor([3.0, 1.0, 2.0, 2.0, 5.0, 0.0])
    other = torch.tensor([1.0, 1.0, 3.0, 1.0, 4.0, 0.0])
    found = pairwise_accuracy(own, other, samples=3)
    np.testing.assert_allclose(found.per_image, [(1 + 0.5 + 0) / 3, (1 + 1 + 0.5) / 3])
    assert found.score == pytest.approx(auc(own, other))
    assert pairwise_accuracy(other, own, samples=3).score == pytest.approx(1 - found.score)
    with pytest.raises(ValueError, match="6 values, 4 an image"):
        pairwise_accuracy(own, other, samples=4)


def test_preference_counts_pairs_whose_quality_differs():
    scores = torch.tensor([3.0, 2.0, 1.0, 1.0, 1.0, 9.0])
    quality = torch.tensor([1.0, 0.0, 0.9, 0.0, 1.0, 1.0])
    # image 1: (a, b) right, (c, b) wrong, (a, c) within .2; image 2: (b, a) a tie, (c, a) right
    found = preference(scores, quality, samples=3, least=0.2)
    np.testing.assert_allclose(found.per_image, [0.5, 0.75])
    assert preference(-scores, quality, samples=3, least=0.2).score == pytest.approx(0.375)
    assert preference(quality, quality, samples=3).score == 1.0
    with pytest.raises(ValueError, match="differ in quality by more than 2"):
        preference(scores, quality, samples=3, least=2.0)


def test_credit_is_a_correlation_within_images():
    scores = torch.tensor([0.0, 1.0, 2.0, 10.0, 12.0, 11.0])
    assert credit(scores, 3 * scores - 7, samples=3).score == pytest.approx(1.0)
    assert credit(scores, -scores, samples=3).score == pytest.approx(-1.0)
    # what is the same for all captions of an image is no credit
    lifted = torch.tensor([5.0, 6.0, 7.0, 0.0, 2.0, 1.0])
    assert credit(scores, lifted, samples=3).score == pytest.approx(1.0)
    moved = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    assert credit(scores, moved, samples=3).score == pytest.approx(0.0, abs=1e-12)
    found = bootstrap(credit(scores, scores + 0.01 * moved, samples=3), resamples=50)
    assert found.low > 0.9


def test_a_step_down_the_loss_of_one_caption_makes_it_likelier(generated):
    before = adapter_tensors(generated[0])
    moved = step_effect(*generated, lambda: -log_p(generated)[4], length=0.05)
    assert moved.shape == (12,) and moved[4] > 0
    back = step_effect(*generated, lambda: log_p(generated)[4], length=0.05)
    assert back[4] < 0
    after = adapter_tensors(generated[0])
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_the_length_of_a_step_is_not_the_scale_of_its_loss(generated):
    def moved(scale, length):
        return step_effect(*generated, lambda: -scale * log_p(generated)[4], length=length)

    small = moved(0.01, 0.005)
    assert torch.allclose(small, moved(100.0, 0.005), atol=1e-5)
    assert moved(1.0, 0.01)[4] > 1.5 * small[4] > 0


def test_a_loss_without_slope_is_refused(generated):
    with pytest.raises(ValueError, match="of length 0"):
        step_effect(*generated, lambda: 0.0 * log_p(generated).sum(), length=0.1)
