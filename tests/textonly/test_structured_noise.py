"""Noise measured on pairs has their mean and covariance, and is refused at another width."""

from __future__ import annotations

import json

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.textonly import GaussianNoise, Noise, StructuredNoise, TextOnlyConfig


def measured(n: int = 4000) -> tuple[StructuredNoise, torch.Tensor]:
    mix = torch.tensor([[0.3, 0.0], [0.2, 0.05]])
    gap = torch.randn(n, 2, generator=seeded(0)) @ mix.T + torch.tensor([0.5, -0.2])
    texts = torch.randn(n, 2, generator=seeded(1))
    return StructuredNoise.of_pairs(texts + gap, texts), gap


def test_samples_have_the_mean_and_covariance_of_the_gap():
    noise, gap = measured()
    drawn = noise.sample((20_000, 2), seeded(2))
    assert torch.allclose(drawn.mean(0), gap.mean(0), atol=0.01)
    assert torch.allclose(torch.cov(drawn.T), torch.cov(gap.T), atol=0.01)
    assert noise.sample((3, 4, 2), seeded(0)).shape == (3, 4, 2)


def test_it_turns_a_text_as_isotropic_noise_of_its_length():
    noise, gap = measured()
    length = float(gap.square().mean().sqrt())
    assert noise.std(2) == pytest.approx(length, rel=1e-3)
    assert noise.expected_cosine(2) == pytest.approx(GaussianNoise(length**2).expected_cosine(2))
    assert isinstance(noise, Noise)


def test_a_manifest_can_hold_it():
    kept = TextOnlyConfig(noise=measured(9)[0]).to_dict()["noise"]
    assert json.loads(json.dumps(kept))["kind"] == "StructuredNoise"


def test_errors_by_message():
    with pytest.raises(ValueError, match="wanted pairs, at least 2"):
        StructuredNoise.of_pairs(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="noise of width 2 for vectors of width 3"):
        measured(9)[0].sample((1, 3), seeded(0))


def test_a_shift_does_not_average_out():
    tiny = ((1e-9, 0.0), (0.0, 1e-9))
    noise = StructuredNoise((1.0, 0.0), tiny)
    assert noise.expected_cosine(2, copies=100) == pytest.approx(0.5**0.5)
    spread = StructuredNoise((0.0, 0.0), ((0.5, 0.0), (0.0, 0.5)), scale=2.0)
    assert spread.expected_cosine(2, copies=2) == pytest.approx(0.5**0.5)
    with pytest.raises(ValueError, match="got width 2 and 0 copies"):
        noise.expected_cosine(2, copies=0)
