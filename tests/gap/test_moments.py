"""Moments against scipy, in one piece and merged from uneven parts."""

import pytest
import scipy.stats
import torch

from vizer_core.gap import moments as module
from vizer_core.gap.moments import Moments, moments
from vizer_core.runtime import seeded


@pytest.mark.parametrize("block", [100, 1 << 20])
def test_moments_equal_scipy_whatever_the_block(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    values = torch.rand(1234, generator=seeded(0)) ** 3 + 5
    found, wanted = moments(values), values.double().numpy()
    assert found.count == 1234
    assert found.mean == pytest.approx(wanted.mean(), rel=1e-12)
    assert found.std == pytest.approx(wanted.std(), rel=1e-12)
    assert found.skewness == pytest.approx(scipy.stats.skew(wanted), rel=1e-9)
    assert found.excess_kurtosis == pytest.approx(scipy.stats.kurtosis(wanted), rel=1e-9)


def test_parts_merge_in_any_order_to_the_whole():
    values = torch.randn(1000, generator=seeded(1)).double().exp()
    parts = [moments(part) for part in values.split([1, 700, 13, 286])]
    whole, forwards, backwards = moments(values), Moments(), Moments()
    for part in parts:
        forwards = forwards.merge(part)
        backwards = part.merge(backwards)
    for merged in (forwards, backwards):
        for name in ("count", "mean", "std", "skewness", "excess_kurtosis"):
            assert getattr(merged, name) == pytest.approx(getattr(whole, name), rel=1e-11), name


def test_constant_numbers_have_no_skew_and_nothing_has_no_moments():
    flat = moments(torch.full((5,), 2.0))
    assert flat == Moments(5, 2.0, 0.0, 0.0, 0.0)
    assert (flat.std, flat.skewness, flat.excess_kurtosis) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="at least one"):
        moments(torch.empty(0))
