"""Prefix networks: exact sizes, and a set read as a set (pitfalls 9 and 10)."""

from __future__ import annotations

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.textonly.prefix_network import (
    MLPConfig,
    PrefixConfig,
    PrefixDecoder,
    SingleTokenMLP,
    trainable_parameters,
)
from vizer_core.textonly.presets import MACCAP_NETWORK, SINGLE_TOKEN_NETWORK

SMALL = PrefixConfig(clip_width=16, lm_width=12, queries=3, heads=4, feedforward=32)


def tokens(n: int = 5, r: int = 10, d: int = 16) -> torch.Tensor:
    return torch.randn(n, r, d, generator=seeded(0))


def small_prefix_network(**changes) -> PrefixDecoder:
    torch.manual_seed(0)
    return PrefixDecoder(PrefixConfig(**vars(SMALL) | changes)).eval()


@pytest.mark.parametrize(
    ("width", "wanted"), [(2048, 5_797_376), (768, 5_140_736), (1024, 5_272_064), (2560, 6_060_032)]
)
def test_the_decoder_has_the_papers_size(width, wanted):
    prefix_network = PrefixDecoder(PrefixConfig(clip_width=512, lm_width=width))
    assert trainable_parameters(prefix_network) == wanted


def test_the_presets_have_the_papers_sizes():
    assert trainable_parameters(PrefixDecoder(MACCAP_NETWORK)) == 5_797_376
    assert trainable_parameters(SingleTokenMLP(SINGLE_TOKEN_NETWORK)) == 1_575_936


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_order_of_the_tokens_does_not_matter(norm_first):
    prefix_network, given = small_prefix_network(norm_first=norm_first), tokens()
    shuffled = given[:, torch.randperm(10, generator=seeded(1))]
    assert torch.allclose(prefix_network(given), prefix_network(shuffled), atol=1e-5)
    assert not torch.allclose(prefix_network(given), prefix_network(given + 0.1), atol=1e-3)


def test_equal_tokens_read_as_one():
    prefix_network, one = small_prefix_network(), tokens(r=1)
    assert torch.allclose(prefix_network(one), prefix_network(one.expand(-1, 7, -1)), atol=1e-5)


def test_the_prefix_has_a_place_a_query():
    assert (
        small_prefix_network()(tokens()).shape
        == (5, 3, 12)
        == (5, small_prefix_network().prefix_length, 12)
    )
    mlp = SingleTokenMLP(MLPConfig(16, 12))
    assert mlp(tokens(r=1)).shape == (5, mlp.prefix_length, 12)


@pytest.mark.parametrize(
    "prefix_network", [small_prefix_network(), SingleTokenMLP(MLPConfig(16, 12)).eval()]
)
def test_standardising_undoes_a_shift_and_a_scale_of_the_space(prefix_network):
    given, shift = tokens(n=50, r=1), torch.linspace(-3, 3, 16)
    prefix_network.standardise_on(given)
    plain = prefix_network(given)
    prefix_network.standardise_on(given * 0.1 + shift)
    assert torch.allclose(prefix_network(given * 0.1 + shift), plain, atol=1e-4)
    statistics = {k for k in prefix_network.state_dict() if k.startswith("input_scale")}
    assert statistics == {"input_scale.mean", "input_scale.scale"}


def test_an_prefix_network_reads_its_input_as_it_is_until_told_otherwise():
    assert small_prefix_network().input_scale(tokens()).equal(tokens())


@pytest.mark.parametrize(
    "prefix_network", [PrefixDecoder(SMALL).eval(), SingleTokenMLP(MLPConfig(16, 12)).eval()]
)
def test_an_untrained_prefix_can_start_where_the_words_are(prefix_network):
    spread = torch.linspace(0.1, 2.0, 12)
    words = torch.randn(400, 12, generator=seeded(2)) * spread + 5
    prefix_network.start_near_words(words, generator=seeded(0))
    prefix = prefix_network(tokens(n=2000, r=1)).flatten(0, 1).detach()
    assert torch.allclose(prefix.mean(0), words.mean(0), atol=1.5 * float(spread.max()))
    assert 0.4 < float(prefix.sub(5).square().mean() / words.sub(5).square().mean()) < 2.5
    along = (prefix - 5).square().mean(0)
    assert (
        along[8:].mean() > 4 * along[:4].mean()
    )  # wide where words are, narrow where they are not
    again = prefix_network.mlp[-1].weight.clone()
    prefix_network.start_near_words(words, generator=seeded(0))
    assert prefix_network.mlp[-1].weight.equal(again)


def test_words_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"got embeddings \(5, 9\): wanted .* of the width 12"):
        small_prefix_network().start_near_words(torch.randn(5, 9), generator=seeded(0))


def test_statistics_need_tokens_that_differ():
    with pytest.raises(ValueError, match="16 coordinates are the same in all 5 tokens"):
        small_prefix_network().standardise_on(torch.ones(5, 1, 16))
    with pytest.raises(ValueError, match="got 1 token: wanted at least 2"):
        small_prefix_network().standardise_on(torch.ones(1, 1, 16))


def test_wrong_widths_and_counts_are_named():
    with pytest.raises(ValueError, match="tokens of width 8, but this network was made for 16"):
        small_prefix_network()(tokens(d=8))
    with pytest.raises(ValueError, match="reads 1 token an item, got 10"):
        SingleTokenMLP(MLPConfig(16, 12))(tokens())
    with pytest.raises(ValueError, match="clip_width 16 cannot be cut into 3 heads"):
        PrefixConfig(16, 12, heads=3)
    with pytest.raises(ValueError, match="every size must be at least 1"):
        MLPConfig(16, 0)
