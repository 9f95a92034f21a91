"""Cuts between the two clouds: where they must be clean, and where they must be a coin."""

import pytest
import torch

from vizer_core.gap.separability import measure_separability, midpoint_correct
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.world.synthetic import plant_gap


def test_a_planted_gap_is_cut_cleanly_and_its_outlier_dimension_alone_suffices():
    planted = plant_gap(200, 64, generator=seeded(0), outliers={5: 0.9}, noise_std=0.02)
    cut = measure_separability(planted.image_features, planted.text_features)
    assert cut.midpoint == cut.midpoint_held_out == cut.lda_held_out == 1.0
    assert cut.best_dimension_index == 5
    assert cut.best_dimension > 0.95


def test_without_a_gap_the_held_out_cut_is_a_coin_but_the_fitted_one_is_not():
    """Fewer pairs than dimensions: fitting and scoring on the same pairs flatters."""
    image, text = (unit_norm(torch.randn(100, 512, generator=seeded(s))) for s in (1, 2))
    cut = measure_separability(image, text)
    assert cut.midpoint > 0.9
    assert cut.midpoint_held_out == pytest.approx(0.5, abs=0.12)
    assert cut.lda_held_out == pytest.approx(0.5, abs=0.12)


def test_a_partial_overlap_scores_the_normal_share():
    """Two clouds d' apart along one axis are cut with accuracy Phi(d'/2)."""
    rng, n = seeded(3), 20000
    image, text = torch.randn(n, 2, generator=rng), torch.randn(n, 2, generator=rng)
    circle = 0.1 * torch.stack([image[:, 0], text[:, 0] + 2.0], dim=0)  # small angles
    image, text = (torch.stack([angle.sin(), angle.cos()], dim=1) for angle in circle)
    cut = measure_separability(image, text)
    assert cut.midpoint == pytest.approx(0.8413, abs=0.01)
    assert cut.midpoint_held_out == pytest.approx(0.8413, abs=0.01)


def test_lda_sees_through_a_shared_spread_that_hides_the_gap_from_the_midpoint():
    rng, n = seeded(4), 4000
    along = torch.randn(n, 1, generator=rng), torch.randn(n, 1, generator=rng)
    clouds = []
    for spread, side in zip(along, (-1.0, 1.0)):
        small = 0.01 * side + 0.002 * torch.randn(n, 1, generator=rng)
        third = torch.ones(n, 1) * 2
        clouds.append(unit_norm(torch.cat([0.3 * spread, 0.3 * spread + small, third], dim=1)))
    cut = measure_separability(*clouds)
    assert cut.midpoint < 0.6
    assert cut.lda_held_out > cut.midpoint_held_out


def test_the_per_pair_credit_averages_to_the_accuracy():
    image, text = (unit_norm(torch.randn(60, 8, generator=seeded(s))) for s in (1, 2))
    credit = midpoint_correct(image, text)
    assert set(credit.tolist()) <= {0.0, 0.5, 1.0}
    assert float(credit.mean()) == pytest.approx(measure_separability(image, text).midpoint)


def test_mismatched_counts_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        measure_separability(torch.eye(4), torch.eye(4)[:3])
