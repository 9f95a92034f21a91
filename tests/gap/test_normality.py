"""KS distances against scipy and closed forms."""

import pytest
import scipy.stats
import torch

from vizer_core.gap import normality
from vizer_core.gap.normality import ks_to_fitted_normal, normal_cdf
from vizer_core.runtime import seeded


def test_ks_equals_scipy_across_block_borders(monkeypatch):
    monkeypatch.setattr(normality, "BLOCK", 77)
    values = torch.rand(1000, generator=seeded(1)).double()
    wanted = scipy.stats.kstest(
        values.numpy(), "norm", args=(values.mean(), values.std(correction=0))
    )
    assert ks_to_fitted_normal(values) == pytest.approx(wanted.statistic, abs=1e-12)


def test_normal_numbers_have_a_small_distance_and_shift_and_scale_do_not_matter():
    values = torch.randn(100_000, generator=seeded(2)).double()
    assert ks_to_fitted_normal(values) < 0.005
    assert ks_to_fitted_normal(3 * values - 7) == pytest.approx(
        ks_to_fitted_normal(values), abs=1e-9
    )


def test_constant_numbers_have_no_curve():
    with pytest.raises(ValueError, match="all values are the same"):
        ks_to_fitted_normal(torch.full((5,), 2.0))


def test_the_normal_distribution_function():
    found = normal_cdf(torch.tensor([1.0, 3.0]), mean=1.0, std=2.0)
    assert found.tolist() == pytest.approx([0.5, 0.8413447], abs=1e-7)
