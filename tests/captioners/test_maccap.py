"""MacCap: which tokens reach the prefix network, with which noise, and CLIP's choice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import pytest
import torch
from tiny_captioners import encoder, prefix_generator, states

from vizer_core.captioners import GlobalTokens, MacCap, RegionTokens, SampledMacCap
from vizer_core.captioners.maccap import MACCAP_NOISE
from vizer_core.clip import mix, regions_counterfactual, regions_mean, regions_paper, regions_random
from vizer_core.clip import regions_release as release
from vizer_core.runtime import seeded
from vizer_core.textonly import GaussianNoise, NoNoise, average_mix
from vizer_core.textonly.filtering import MACCAP_SAMPLES


@dataclass
class Spy:
    """Stands where the prefix network and its language model stand, and keeps what it was given."""

    prefix_network: torch.nn.Module = field(
        default_factory=lambda: prefix_generator().prefix_network
    )
    seen: list[torch.Tensor] = field(default_factory=list)

    def generate(self, tokens, *, generator=None):
        self.seen.append(tokens)
        return tuple("w1" for _ in tokens)


def tokens_of(reading, noise=None, seed: int = 0) -> torch.Tensor:
    """Return the tokens that the prefix network would read."""
    spy = Spy()
    system = MacCap.__new__(MacCap)  # the hook would refuse a double in its place
    held = {"prefix_generator": spy, "tokens": reading, "noise": noise or NoNoise()}
    for key, value in (held | {"name": "maccap"}).items():
        object.__setattr__(system, key, value)
    system.caption(states(), generator=seeded(seed))
    return spy.seen[0]


@pytest.mark.parametrize("regions", [regions_paper, release, regions_mean, regions_counterfactual])
def test_without_noise_the_tokens_are_the_mix_of_image_and_regions(regions):
    found = tokens_of(RegionTokens(regions, 4))
    expected = mix(states().image_features, regions(states(), 4))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(tokens_of(RegionTokens(regions, 4, average_mix)), expected)


def test_a_reading_that_draws_can_be_passed_with_its_generator():
    drawn = partial(regions_random, generator=seeded(2))
    found = tokens_of(RegionTokens(drawn, 4))
    expected = mix(states().image_features, regions_random(states(), 4, generator=seeded(2)))
    torch.testing.assert_close(found, expected)


def test_noise_is_added_before_the_length_is_divided_out():
    noise = GaussianNoise(0.05)
    found = tokens_of(RegionTokens(count=3), noise)
    mixed = states().image_features[:, None] + regions_paper(states(), 3)
    noisy = mixed + noise.sample(tuple(mixed.shape), seeded(0))
    torch.testing.assert_close(found, noisy / noisy.norm(dim=-1, keepdim=True))
    averaged = tokens_of(RegionTokens(count=3, mixing=average_mix), noise)
    clean = mix(states().image_features, regions_paper(states(), 3))
    assert ((averaged * clean).sum(-1).mean()) < ((found * clean).sum(-1).mean()) - 0.05


def test_global_tokens_are_copies_with_noise_of_their_own():
    assert torch.equal(tokens_of(GlobalTokens(3))[:, 0], tokens_of(GlobalTokens(3))[:, 2])
    noisy = tokens_of(GlobalTokens(3), GaussianNoise(0.05))
    assert not torch.allclose(noisy[:, 0], noisy[:, 2])


def test_the_prefix_network_sees_a_set_so_the_number_of_equal_tokens_does_not_matter():
    one, many = (
        MacCap(prefix_generator(), GlobalTokens(count), NoNoise()).caption(
            states(), generator=seeded(0)
        )
        for count in (1, 7)
    )
    assert one == many


def test_one_sample_without_noise_is_the_single_pass():
    quiet = MacCap(prefix_generator(), RegionTokens(count=3), NoNoise())
    sampled = SampledMacCap(quiet, encoder(), samples=1)
    assert sampled.caption(states(), generator=seeded(0)) == quiet.caption(
        states(), generator=seeded(0)
    )


def test_clip_takes_the_sample_nearest_to_the_clean_image():
    noisy = MacCap(prefix_generator(), RegionTokens(count=3), GaussianNoise(0.1))
    sampled = SampledMacCap(noisy, encoder(), samples=6)
    found = sampled.candidates(states(), generator=seeded(0))
    assert found.scores.shape == (5, 6) and len({*found.texts[0]}) > 1
    for image, texts, scores in zip(states().image_features, found.texts, found.scores):
        torch.testing.assert_close(scores, encoder().encode_text(texts) @ image)
    best = [texts[int(s.argmax())] for texts, s in zip(found.texts, found.scores)]
    assert sampled.caption(states(), generator=seeded(0)) == best
    fewer = replace(sampled, samples=2).candidates(states(), generator=seeded(0))
    assert fewer.texts == tuple(texts[:2] for texts in found.texts)


def test_settings_are_the_papers():
    assert GaussianNoise(0.016) == MACCAP_NOISE and MACCAP_SAMPLES == 20
    system = MacCap(prefix_generator())
    assert system.tokens.count == 10 and system.tokens.regions is regions_paper


def test_a_count_that_the_image_does_not_have_is_refused():
    with pytest.raises(ValueError, match="asked for 17 regions of 16 tokens"):
        MacCap(prefix_generator(), RegionTokens(count=17)).caption(states(), generator=seeded(0))
    with pytest.raises(ValueError, match="asked for 0 tokens per image"):
        MacCap(prefix_generator(), GlobalTokens(0)).caption(states(), generator=seeded(0))
