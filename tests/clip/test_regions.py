"""Readings of the sub-region features, on attention maps whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_clip import config_with, noise_images, tiny_encoder

from vizer_core.clip import (
    ImageStates,
    mix,
    region_likeness,
    regions_counterfactual,
    regions_mean,
    regions_other_image,
    regions_paper,
    regions_random,
    regions_release,
    top_patches,
)
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm

N, P, D = 3, 49, 16
READINGS = [regions_paper, regions_release, regions_mean, regions_counterfactual]


def planted_states(readout_order: list[int], *, one_hot: bool = True, seed: int = 0) -> ImageStates:
    """Random features; row j > 0 attends to itself only; row 0 ranks tokens as told."""
    generator = seeded(seed)
    attention = torch.eye(P + 1).repeat(N, 1, 1)
    if not one_hot:
        attention = (3 * torch.randn(N, P + 1, P + 1, generator=generator)).softmax(-1)
    ranks = torch.full((P + 1,), 0.01)
    ranks[readout_order] = torch.arange(len(readout_order), 0, -1).float()
    attention[:, 0] = ranks / ranks.sum()
    return ImageStates(
        image_features=unit_norm(torch.randn(N, D, generator=generator)),
        patch_features=unit_norm(torch.randn(N, P, D, generator=generator)),
        attention=attention,
        counterfactual_features=unit_norm(torch.randn(N, P, D, generator=generator)),
        grid=(7, 7),
    )


def test_one_hot_attention_makes_the_paper_return_exactly_those_patches():
    states = planted_states([0, 7, 3, 20])
    got = regions_paper(states, 3)
    assert (got - states.patch_features[:, [6, 2, 19]]).abs().max() < 1e-6


def test_the_release_spreads_one_hot_rows_over_all_tokens():
    states = planted_states([0, 7, 3])
    got = regions_release(states, 3)
    own, other = math.e / (math.e + P), 1 / (math.e + P)
    assert (round(own, 4), round(other, 4)) == (0.0526, 0.0193)
    tokens = torch.cat([states.image_features[:, None], states.patch_features], dim=1)
    for index, row in enumerate([0, 7, 3]):
        weights = torch.full((P + 1,), other)
        weights[row] = own
        if row == 0:  # the class token's own row is planted, not one-hot
            weights = states.attention[0, 0].softmax(-1)
        wanted = unit_norm(torch.einsum("s,nsd->nd", weights, tokens))
        assert (got[:, index] - wanted).abs().max() < 1e-6


def test_double_softmax_weights_spread_at_most_by_e():
    states = planted_states([5], one_hot=False)
    weights = states.attention.softmax(dim=-1)
    assert (weights.amax(-1) / weights.amin(-1)).max() <= math.e + 1e-5
    mean = regions_mean(states, 1)
    tokens_mean = torch.cat([states.image_features[:, None], states.patch_features], 1).mean(1)
    assert (
        torch.einsum("nrd,nd->nr", regions_release(states, 10), unit_norm(tokens_mean)).min() > 0.9
    )
    assert torch.einsum("nrd,nod->nr", regions_paper(states, 10), mean).min() < 0.9


def test_top_patches_takes_the_class_token_only_when_told():
    readout = planted_states([0, 7, 3, 20]).readout_attention
    assert top_patches(readout, 3).tolist() == [[7, 3, 20]] * N
    assert top_patches(readout, 3, include_cls=True).tolist() == [[0, 7, 3]] * N


def test_counterfactual_regions_are_those_of_the_attended_patches():
    states = planted_states([0, 7, 3])
    got = regions_counterfactual(states, 2)
    assert got.equal(states.counterfactual_features[:, [6, 2]])


def test_random_regions_are_different_patches_and_follow_the_seed():
    states = planted_states([1])
    got = regions_random(states, 10, generator=seeded(1))
    hits = (got[:, :, None] == states.patch_features[:, None]).all(-1)
    assert hits.sum(-1).eq(1).all() and hits.any(1).sum(-1).eq(10).all()
    assert got.equal(regions_random(states, 10, generator=seeded(1)))
    assert not got.equal(regions_random(states, 10, generator=seeded(2)))


def test_other_image_regions_are_the_next_images_and_the_first_ones_for_the_last():
    states = planted_states([1, 7])
    got, own = regions_other_image(states, 3), regions_paper(states, 3)
    assert got[:-1].equal(own[1:]) and got[-1].equal(own[0]) and not got.equal(own)


def test_other_image_regions_want_another_image():
    alone = ImageStates(**{
        name: value[:1] if isinstance(value, torch.Tensor) else value
        for name, value in vars(planted_states([1])).items()
    })  # fmt: skip
    with pytest.raises(ValueError, match="got 1 image: wanted at least 2"):
        regions_other_image(alone, 3)


def test_mean_regions_are_equal_copies():
    states = planted_states([1])
    got = regions_mean(states, 4)
    assert got.shape == (N, 4, D)
    assert (got[:, 0] - unit_norm(states.patch_features.mean(1))).abs().max() < 1e-6
    assert got[:, 0].equal(got[:, 3])


def test_sum_and_average_give_one_mix():
    states = planted_states([7, 3])
    regions = regions_paper(states, 2)
    average = unit_norm((states.image_features[:, None] + regions) / 2)
    assert (mix(states.image_features, regions) - average).abs().max() < 1e-6


@pytest.mark.parametrize("reading", READINGS)
def test_readings_on_a_real_tower_are_unit_norm_and_permute_with_images(reading):
    states = tiny_encoder().image_states(noise_images(4))
    order = [2, 0, 3, 1]
    permuted = ImageStates(
        **{
            key: getattr(states, key)[order]
            for key in ("image_features", "patch_features", "attention", "counterfactual_features")
        },
        grid=states.grid,
    )
    got = reading(states, 5)
    assert got.shape == (4, 5, 16)
    assert (got.norm(dim=-1) - 1).abs().max() < 1e-5
    assert (reading(permuted, 5) - got[order]).abs().max() < 1e-6


def test_a_patch_pooled_tower_reads_its_patches_rows():
    states = tiny_encoder(config_with(vision={"pool_type": "avg"})).image_states(noise_images(2))
    assert states.readout_attention.equal(states.attention[:, 1:].mean(1))
    for reading in (regions_paper, regions_mean, regions_counterfactual):
        assert reading(states, 3).shape == (2, 3, 16)
    chosen = top_patches(states.readout_attention, 1)[:, 0]
    weights = states.attention[torch.arange(2), chosen, 1:]
    wanted = unit_norm(torch.einsum("np,npd->nd", weights, states.patch_features))
    assert (regions_paper(states, 1)[:, 0] - wanted).abs().max() < 1e-6
    with pytest.raises(ValueError, match="read at the class token"):
        regions_release(states, 3)


@pytest.mark.parametrize("count", [0, 50])
@pytest.mark.parametrize("reading", [regions_paper, regions_mean, regions_counterfactual])
def test_a_count_that_cannot_be_is_refused(reading, count):
    with pytest.raises(ValueError, match=f"asked for {count} regions of 49 tokens"):
        reading(planted_states([1]), count)
    with pytest.raises(ValueError, match="asked for 50 regions"):
        regions_random(planted_states([1]), 50, generator=seeded(0))


def test_likeness_is_one_for_copies_zero_for_right_angles_and_ignores_rotation():
    assert region_likeness(regions_mean(planted_states([3]), 5)).tolist() == pytest.approx([1] * N)
    assert region_likeness(torch.eye(4)[None]).tolist() == [0.0]
    regions = unit_norm(torch.randn(N, 5, D, generator=seeded(1)))
    turn = torch.linalg.qr(torch.randn(D, D, generator=seeded(2))).Q
    torch.testing.assert_close(region_likeness(regions), region_likeness(regions @ turn))


def test_likeness_needs_two_regions_of_length_one():
    with pytest.raises(ValueError, match="got 1 region an image: wanted at least 2"):
        region_likeness(torch.eye(4)[:, None])
    with pytest.raises(ValueError, match="regions must be unit-norm"):
        region_likeness(torch.ones(1, 2, 4))
