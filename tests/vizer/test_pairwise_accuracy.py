"""Pairwise accuracy, preference and credit: counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vizer_core.metrics.stats import bootstrap
from vizer_core.vizer.forecast import auc
from vizer_core.vizer.pairwise_accuracy import (
    credit,
    pair_part,
    pairwise_accuracy,
    preference,
)


def test_it_is_the_auc_image_by_image():
    own = torch.tensor([3.0, 1.0, 2.0, 2.0, 5.0, 0.0])
    other = torch.tensor([1.0, 1.0, 3.0, 1.0, 4.0, 0.0])
    found = pairwise_accuracy(own, other, samples=3)
    np.testing.assert_allclose(found.per_image, [(1 + 0.5 + 0) / 3, (1 + 1 + 0.5) / 3])
    assert found.score == pytest.approx(auc(own, other))
    assert pairwise_accuracy(other, own, samples=3).score == pytest.approx(1 - found.score)
    with pytest.raises(ValueError, match="6 values, 4 an image"):
        pairwise_accuracy(own, other, samples=4)


def test_preference_counts_pairs_whose_quality_differs():
    scores = torch.tensor([3.0, 2.0, 1.0, 1.0, 1.0, 9.0])
    quality = torch.tensor([1.0, 0.0, 0.9, 0.0, 1.0, 1.0])
    # image 1: (a, b) right, (c, b) wrong, (a, c) within .2; image 2: (b, a) a tie, (c, a) right
    found = preference(scores, quality, samples=3, least=0.2)
    np.testing.assert_allclose(found.per_image, [0.5, 0.75])
    assert preference(-scores, quality, samples=3, least=0.2).score == pytest.approx(0.375)
    assert preference(quality, quality, samples=3).score == 1.0
    with pytest.raises(ValueError, match="differ in quality by more than 2"):
        preference(scores, quality, samples=3, least=2.0)


def test_credit_is_a_correlation_within_images():
    scores = torch.tensor([0.0, 1.0, 2.0, 10.0, 12.0, 11.0])
    assert credit(scores, 3 * scores - 7, samples=3).score == pytest.approx(1.0)
    assert credit(scores, -scores, samples=3).score == pytest.approx(-1.0)
    # what is the same for all captions of an image is no credit
    lifted = torch.tensor([5.0, 6.0, 7.0, 0.0, 2.0, 1.0])
    assert credit(scores, lifted, samples=3).score == pytest.approx(1.0)
    moved = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    assert credit(scores, moved, samples=3).score == pytest.approx(0.0, abs=1e-12)
    found = bootstrap(credit(scores, scores + 0.01 * moved, samples=3), resamples=50)
    assert found.low > 0.9


def test_the_part_of_the_pair_is_what_rows_and_columns_do_not_say():
    pair, rng = np.eye(5), np.random.default_rng(0)
    rows, columns = rng.normal(size=(5, 1)), rng.normal(size=(1, 5))
    np.testing.assert_allclose(pair_part(pair + rows + columns), pair - 0.2, atol=1e-12)
    assert not pair_part(rows + columns).round(9).any()
