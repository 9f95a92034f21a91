"""Residual targets: what is taken out, what stays, and that a background cancels."""

from __future__ import annotations

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.vizer.residual import (
    Residual,
    residual,
    subregion_targets,
    subregions,
)
from vizer_core.vlm.protocol import VisionBatch

PLACES = 6 * torch.eye(3, 8)[torch.arange(90) % 3]  # three backgrounds, far apart
THINGS = torch.randn(90, 8, generator=seeded(0)) * torch.tensor([0.0, 0, 0, 1, 1, 1, 1, 1])
FEATURES = PLACES + THINGS


def batch(tokens: torch.Tensor) -> VisionBatch:
    return VisionBatch(tokens.mean(1), tuple(tokens), torch.ones(len(tokens), 3).long())


def test_residual_takes_out_the_backgrounds_and_keeps_the_things():
    left = residual(FEATURES, directions=2).apply(FEATURES)
    for part in (left[::3], left[1::3], left[2::3]):  # no background is told by its mean any more
        assert part[:, :3].std() < 0.2
    agreement = torch.nn.functional.cosine_similarity(left, THINGS - THINGS.mean(0), dim=1)
    assert agreement.mean() > 0.95


def test_residual_has_nothing_left_in_its_directions():
    space = residual(FEATURES, directions=4)
    assert torch.allclose(space.apply(FEATURES) @ space.directions.T, torch.zeros(90, 4), atol=1e-4)
    assert torch.allclose(space.directions @ space.directions.T, torch.eye(4), atol=1e-5)
    assert torch.allclose(
        space.apply(FEATURES[5] + 3 * space.directions[1]), space.apply(FEATURES[5]), atol=1e-4
    )


def test_residuals_refuse_what_they_cannot_fit():
    with pytest.raises(ValueError, match="directions is 8 for 90 features of width 8"):
        residual(FEATURES, directions=8)
    with pytest.raises(ValueError, match="fitted on 8"):
        Residual(torch.zeros(8), torch.eye(2, 8)).apply(torch.zeros(2, 5))


def test_subregions_are_blocks_of_the_grid():
    tokens = torch.arange(16.0).view(1, 16, 1)
    assert subregions(batch(tokens), side=2)[0, :, 0].tolist() == [2.5, 4.5, 10.5, 12.5]
    assert torch.equal(subregions(batch(tokens), side=4), tokens)
    with pytest.raises(ValueError, match=r"images have \[15\] tokens"):
        subregions(batch(tokens[:, :15]), side=2)


def test_a_background_cancels_and_a_thing_tells_wherever_it_stands():
    background, thing = torch.randn(2, 4, generator=seeded(1))
    left, right, other = (background.expand(16, 4).clone() for _ in range(3))
    left[3], right[12] = thing, thing
    found = subregion_targets(batch(torch.stack([left, right, other])))
    assert torch.allclose(found[0], found[1], atol=1e-6)
    assert found.shape == (3, 8) and found[0].norm() > 0.1
    assert torch.allclose(found[2], torch.zeros(8), atol=1e-6)
    moved = [t + 5 * background for t in (left, right, other)]
    assert torch.allclose(subregion_targets(batch(torch.stack(moved))), found, atol=1e-5)
