"""Variety: known numbers, what texts tell is gone, and copies change nothing."""

from __future__ import annotations

import pytest
import torch

from vizer_core.metrics.vendi import (
    attribute_spread,
    effective_number,
    left_over,
    schur_complement,
    vendi_score,
)
from vizer_core.runtime import seeded


def test_vendi_counts_different_things():
    eye = torch.eye(3)
    assert vendi_score(eye) == pytest.approx(3)
    assert vendi_score(torch.cat([eye, eye])) == pytest.approx(3)  # copies
    assert vendi_score(eye[[0, 0, 0, 1]]) == pytest.approx(1.7548, abs=1e-3)  # entropy of 3/4, 1/4
    wide = torch.randn(4, 9, generator=seeded(0))
    square = wide @ wide.T
    scale = square.diagonal().rsqrt()
    assert vendi_score(wide) == pytest.approx(
        effective_number(torch.linalg.eigvalsh(square * scale[:, None] * scale)), abs=1e-4
    )


def test_what_is_linear_in_the_texts_is_gone():
    noise = seeded(1)
    texts = torch.randn(400, 3, generator=noise)
    own = torch.randn(400, 2, generator=noise)
    images = torch.cat([texts @ torch.randn(3, 4, generator=noise), own], dim=1)
    left = schur_complement(images, texts)
    assert float(left[:4, :4].abs().max()) < 1e-3 and float(left[4:, 4:].trace()) > 1.5
    share, directions = left_over(images, texts)
    assert 0 < share < 1 and directions == pytest.approx(2, abs=0.05)
    unrelated = torch.randn(400, 1, generator=noise)
    assert left_over(own, unrelated)[0] > 0.97


def test_the_spread_of_an_attribute():
    assert attribute_spread(["a", "b", "c", "d"], possible=4) == pytest.approx(1)
    assert attribute_spread(["a", "b"], possible=4) == pytest.approx(0.5)


def test_errors_by_message():
    with pytest.raises(ValueError, match="no features"):
        vendi_score(torch.zeros(0, 3))
    with pytest.raises(ValueError, match="all eigenvalues are 0"):
        effective_number(torch.zeros(2))
    with pytest.raises(ValueError, match="wanted pairs"):
        schur_complement(torch.zeros(3, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="2 or more"):
        attribute_spread(["a", "b", "c"], possible=2)
