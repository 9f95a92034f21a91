"""Scrambled pairs: what they keep exactly, what they lose, and what is refused."""

import pytest
import torch

from vizer_core.gap import GapHistogram, measure_gap
from vizer_core.gap.pooling import scramble_dimensions
from vizer_core.runtime import seeded
from vizer_lab.world.synthetic import plant_gap


@pytest.fixture(scope="module")
def planted():
    return plant_gap(400, 64, generator=seeded(0), gap_norm=0.9)


@pytest.fixture(scope="module")
def scrambled(planted):
    return scramble_dimensions(planted.image_features, planted.text_features, generator=seeded(1))


def histogram(pairs):
    found = GapHistogram(pairs.image_features.shape[1])
    found.update(pairs.image_features, pairs.text_features)
    return found


def test_the_pooled_histogram_stays_to_the_last_count(planted, scrambled):
    assert torch.equal(histogram(planted).counts, histogram(scrambled).counts)
    assert not torch.equal(planted.image_features, scrambled.image_features)


def test_lengths_and_pair_cosines_stay(planted, scrambled):
    before = (planted.image_features * planted.text_features).sum(dim=1)
    after = (scrambled.image_features * scrambled.text_features).sum(dim=1)
    assert torch.allclose(before, after, atol=1e-6)
    assert torch.allclose(scrambled.image_features.norm(dim=1), torch.ones(400), atol=1e-6)


def test_the_gap_vector_is_lost_but_for_the_pooled_mean_and_sampling_noise(planted, scrambled):
    report = measure_gap(scrambled.image_features, scrambled.text_features)
    left = 64 * (planted.pooled_mean**2 + planted.pooled_std**2 / 400)
    assert report.gap_norm**2 == pytest.approx(left, rel=0.35)
    assert report.gap_norm < planted.gap_norm / 5
    assert report.pooled_mean == pytest.approx(planted.pooled_mean, abs=1e-6)


def test_each_pair_has_an_order_of_its_own():
    rows = torch.eye(8)[:1].expand(50, -1)
    pairs = scramble_dimensions(rows, rows, generator=seeded(0))
    assert torch.equal(pairs.image_features, pairs.text_features)
    assert len(set(pairs.image_features.argmax(dim=1).tolist())) > 4


def test_unpaired_features_are_refused(planted):
    with pytest.raises(ValueError, match="pair"):
        scramble_dimensions(planted.image_features, planted.text_features[:10], generator=seeded(0))
