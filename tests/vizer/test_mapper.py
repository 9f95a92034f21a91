"""The mapper: its size as the paper's would be, its two orders, its control."""

from __future__ import annotations

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.vizer.mapper import FittedMapper, Mapper, MapperConfig, random_mapper
from vizer_core.vizer.targets import Centring

MASK = torch.tensor([[True, True, True], [True, False, False]])


@pytest.mark.parametrize(
    ("widths", "wanted"),
    [
        ((2048, 1152), 820_608),  # SmolVLM-Base
        ((960, 768), 443_392),  # SmolVLM-500M
        ((576, 768), 345_088),  # SmolVLM-256M
        ((1536, 1280), 722_432),  # Qwen2-VL-2B before its merger
        ((1536, 1536), 788_224),  # and after
    ],
)
def test_the_papers_shape_has_this_many_parameters(widths, wanted):
    assert MapperConfig(*widths).parameters == wanted


@pytest.mark.parametrize(
    "config",
    [
        MapperConfig(8, 5, 6),
        MapperConfig(8, 5, 6, depth=1),
        MapperConfig(8, 5, 6, depth=3),
        MapperConfig(8, 5, 6, layer_norm=True),
    ],
)
def test_parameters_are_counted_as_they_are(config):
    mapper = Mapper(config, generator=seeded(0)).requires_grad_(False)
    assert sum(p.numel() for p in mapper.parameters()) == config.parameters
    assert mapper(torch.zeros(4, 8)).shape == (4, 5)


def test_depth_two_is_linear_gelu_linear():
    mapper = Mapper(MapperConfig(8, 5, 6), generator=seeded(0))
    first, second = mapper.layers[0], mapper.layers[2]
    x = torch.randn(3, 8, generator=seeded(1))
    hidden = torch.nn.functional.gelu(x @ first.weight.T + first.bias)
    assert torch.allclose(mapper(x), hidden @ second.weight.T + second.bias, atol=1e-6)


def test_the_same_generator_gives_the_same_mapper():
    one, two = (Mapper(MapperConfig(8, 5, 6), generator=seeded(3)) for _ in range(2))
    other = Mapper(MapperConfig(8, 5, 6), generator=seeded(4))
    x = torch.ones(1, 8)
    assert torch.equal(one(x), two(x)) and not torch.equal(one(x), other(x))


def test_pooling_before_and_after_differ_unless_the_mapper_is_linear():
    states = torch.randn(2, 4, 8, generator=seeded(0))
    for depth, same in ((1, True), (2, False)):
        shapes = [MapperConfig(8, 5, 6, depth=depth, per_token=each) for each in (False, True)]
        pooled, tokens = (Mapper(s, generator=seeded(1)).read(states, MASK) for s in shapes)
        assert torch.allclose(pooled, tokens, atol=1e-6) is same


def test_layer_norm_makes_the_mapper_blind_to_scale():
    mapper = Mapper(MapperConfig(8, 5, 6, layer_norm=True), generator=seeded(0))
    x = torch.randn(3, 8, generator=seeded(1))
    assert torch.allclose(mapper(x), mapper(10 * x), atol=1e-4)


def test_cosines_are_between_the_answer_and_the_centred_feature():
    config = MapperConfig(2, 2, depth=1)
    mapper = Mapper(config, generator=seeded(0)).requires_grad_(False)
    with torch.no_grad():
        mapper.layers[0].weight.copy_(torch.eye(2))
        mapper.layers[0].bias.zero_()
    fitted = FittedMapper(mapper, Centring(torch.tensor([5.0, 5.0])))
    states = torch.tensor([[[9.0, 9.0], [3.0, 0.0]]])
    out = fitted.cosines(states, torch.tensor([[True]]), torch.tensor([[5.0, 7.0]]))
    assert abs(float(out)) < 1e-6  # (3, 0) against (0, 2)
    out = fitted.cosines(states, torch.tensor([[True]]), torch.tensor([[7.0, 5.0]]))
    assert abs(float(out) - 1) < 1e-6


def test_a_random_mapper_is_frozen_and_says_so():
    fitted = random_mapper(MapperConfig(8, 5, 6), Centring(torch.zeros(5)), generator=seeded(0))
    assert not any(p.requires_grad for p in fitted.mapper.parameters())
    assert fitted.metadata["trained"] is False and fitted.history.loss == []


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="widths and depth of at least 1"):
        MapperConfig(8, 5, 0)
    with pytest.raises(ValueError, match="no pooling 'mean': wanted one of"):
        MapperConfig(8, 5, pool="mean")
    with pytest.raises(ValueError, match="states are 7 wide, this mapper reads 8"):
        Mapper(MapperConfig(8, 5, 6), generator=seeded(0))(torch.zeros(1, 7))
