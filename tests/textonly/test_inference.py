"""An image's tokens: sum and average are one without noise and two with it (pitfall 8)."""

from __future__ import annotations

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_core.textonly.inference import (
    average_mix,
    global_tokens,
    noised,
    sum_mix,
)
from vizer_core.textonly.noise import GaussianNoise, NoNoise


def at_cosine(c: float, n: int = 3000, d: int = 512) -> tuple[torch.Tensor, torch.Tensor]:
    """Return global features and one region each, at cosine c exactly."""
    image = unit_norm(torch.randn(n, d, generator=seeded(0)))
    other = torch.randn(n, d, generator=seeded(1))
    other = unit_norm(other - (other * image).sum(-1, keepdim=True) * image)
    return image, unit_norm(c * image + (1 - c**2) ** 0.5 * other)[:, None]


@pytest.mark.parametrize(
    ("c", "summed", "averaged"), [(0.5, 0.518, 0.290), (0.7, 0.542, 0.307), (0.9, 0.563, 0.321)]
)
def test_noise_turns_the_average_further_than_the_sum(c, summed, averaged):
    image, region = at_cosine(c)
    noise = GaussianNoise(0.016)
    for mixing, squared_length, wanted in (
        (sum_mix, 2 + 2 * c, summed),
        (average_mix, (2 + 2 * c) / 4, averaged),
    ):
        mixed = mixing(image, region)
        found = (noised(mixed, noise=noise, generator=seeded(2)) * unit_norm(mixed)).sum(-1).mean()
        assert found == pytest.approx(wanted, abs=0.004)
        closed_form = (1 + 512 * noise.std(512) ** 2 / squared_length) ** -0.5
        assert closed_form == pytest.approx(wanted, abs=0.002)


def test_without_noise_the_readings_are_one():
    image, region = at_cosine(0.6, n=5, d=8)
    summed, averaged = (
        noised(mix(image, region), noise=NoNoise(), generator=seeded(0))
        for mix in (sum_mix, average_mix)
    )
    assert torch.allclose(summed, averaged, atol=1e-6)


def test_global_tokens_are_copies():
    image, _ = at_cosine(0.6, n=2, d=8)
    assert global_tokens(image, 3)[:, 2].equal(image)
    with pytest.raises(ValueError, match="asked for 0 tokens per image"):
        global_tokens(image, 0)


def test_features_of_other_lengths_are_refused():
    image, region = at_cosine(0.6, n=2, d=8)
    with pytest.raises(ValueError, match="image_features must be unit-norm"):
        sum_mix(image * 2, region)
    with pytest.raises(ValueError, match="regions must be unit-norm"):
        average_mix(image, region * 2)
