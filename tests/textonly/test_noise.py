"""Noise: the angle each kind turns by, against its closed form (pitfalls 1 to 3)."""

from __future__ import annotations

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_core.textonly.noise import (
    MACCAP_VARIANCE,
    GaussianNoise,
    NoNoise,
    UniformNoise,
)
from vizer_core.textonly.regions import region_noise

KINDS = (GaussianNoise(0.016), UniformNoise(0.016), NoNoise())


def texts(n: int, d: int) -> torch.Tensor:
    return unit_norm(torch.randn(n, d, generator=seeded(1)))


def turned(noise, n: int, d: int) -> torch.Tensor:
    clean = texts(n, d)
    return (unit_norm(clean + noise.sample((n, d), seeded(2))) * clean).sum(-1)


def test_maccaps_noise_is_a_variance_not_a_deviation():
    noise = GaussianNoise(MACCAP_VARIANCE)
    drawn = noise.sample((4000, 512), seeded(0))
    assert drawn.norm(dim=-1).mean() == pytest.approx(2.86, abs=0.01)
    assert turned(noise, 4000, 512).mean() == pytest.approx(0.330, abs=0.003)
    as_deviation = GaussianNoise(MACCAP_VARIANCE**2)
    assert turned(as_deviation, 1000, 512).mean() == pytest.approx(0.940, abs=0.003)
    assert noise.expected_cosine(768) == pytest.approx(0.2743, abs=1e-4)


@pytest.mark.parametrize("noise", KINDS, ids=lambda noise: type(noise).__name__)
@pytest.mark.parametrize("width", [64, 512])
def test_the_expected_cosine_is_what_is_drawn(noise, width):
    found = turned(noise, 3000, width)
    assert found.mean() == pytest.approx(noise.expected_cosine(width), abs=0.006)


@pytest.mark.parametrize("noise", KINDS, ids=lambda noise: type(noise).__name__)
def test_the_deviation_per_coordinate_is_what_is_drawn_and_the_mean_is_zero(noise):
    drawn = noise.sample((5000, 32), seeded(3))
    assert drawn.square().mean().sqrt() == pytest.approx(noise.std(32), rel=0.01)
    assert drawn.mean(0).abs().max() <= 5 * noise.std(32) / 5000**0.5


def test_uniform_noise_stays_in_its_interval():
    drawn = UniformNoise(0.016).sample((100, 100), seeded(0))
    assert drawn.abs().max() <= UniformNoise(0.016).half_width
    assert turned(UniformNoise(0.016**2 / 3), 1000, 512).mean() == pytest.approx(0.9789, abs=1e-3)


@pytest.mark.parametrize("noise", KINDS, ids=lambda noise: type(noise).__name__)
def test_noise_repeats_with_its_seed(noise):
    assert noise.sample((2, 3), seeded(5)).equal(noise.sample((2, 3), seeded(5)))


def test_the_mean_of_copies_is_turned_less():
    noise, clean = GaussianNoise(0.016), texts(1500, 512)
    mean = region_noise(clean, 10, noise=noise, generator=seeded(0)).mean(1)
    found = (unit_norm(mean) * clean).sum(-1).mean()
    assert found == pytest.approx(noise.expected_cosine(512, copies=10), abs=0.005)
    assert noise.expected_cosine(512, copies=10) == pytest.approx(0.7414, abs=1e-4)


@pytest.mark.parametrize("kind", [GaussianNoise, UniformNoise])
def test_no_scale_is_refused(kind):
    with pytest.raises(ValueError, match=r"is 0\.0: wanted more than 0; no noise is NoNoise"):
        kind(0.0)


def test_a_width_of_zero_is_refused():
    with pytest.raises(ValueError, match="got width 0 and 1 copies"):
        GaussianNoise(0.1).expected_cosine(0)


def test_each_region_token_has_noise_of_its_own():
    tokens = region_noise(texts(400, 512), 10, noise=GaussianNoise(0.016), generator=seeded(0))
    cosines = tokens @ tokens.transpose(1, 2)
    off_diagonal = cosines[:, ~torch.eye(10, dtype=torch.bool)]
    assert off_diagonal.mean() == pytest.approx(0.109, abs=0.01)
    assert torch.allclose(tokens.norm(dim=-1), torch.ones(400, 10), atol=1e-5)


def test_without_noise_all_tokens_are_the_normalised_text():
    clean = texts(3, 16)
    tokens = region_noise(clean * 2, 4, noise=NoNoise(), generator=seeded(0))
    assert torch.allclose(tokens, clean[:, None].expand(-1, 4, -1), atol=1e-6)


def test_the_texts_length_does_not_weigh_against_the_noise():
    clean = texts(5, 64)
    one, seven = (
        region_noise(clean * scale, 3, noise=GaussianNoise(0.016), generator=seeded(0))
        for scale in (1, 7)
    )
    assert torch.allclose(one, seven, atol=1e-6)


def test_no_tokens_are_refused():
    with pytest.raises(ValueError, match="asked for 0 region tokens"):
        region_noise(texts(1, 4), 0, noise=NoNoise(), generator=seeded(0))
