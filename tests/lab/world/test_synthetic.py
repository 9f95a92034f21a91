"""The planted truths hold in the features themselves, computed here without the package."""

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_lab.world.synthetic import plant_gap, plant_regions


def test_planted_pairs_have_the_stated_gap_exactly():
    planted = plant_gap(
        200, 64, generator=seeded(0), gap_norm=0.8, outliers={3: 0.5, 9: 0.2}, noise_std=0.06
    )
    image, text = planted.image_features.double(), planted.text_features.double()
    gap = text - image
    assert torch.allclose(image.norm(dim=1), torch.ones(200, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(gap.mean(dim=0), planted.gap_vector, atol=1e-6)
    assert float(gap.mean(dim=0)[3] ** 2) == pytest.approx(0.5 * 0.8**2, rel=1e-5)
    assert (image * text).sum(dim=1).tolist() == pytest.approx(
        [planted.pair_cosine] * 200, abs=1e-6
    )
    assert float(gap.mean()) == pytest.approx(planted.pooled_mean, abs=1e-7)
    assert float(gap.std(correction=0)) == pytest.approx(planted.pooled_std, rel=1e-6)
    noise = (gap - planted.gap_vector).square().mean().sqrt()
    assert float(noise) == pytest.approx(0.06, rel=1e-5)


def test_the_same_seed_gives_the_same_bytes():
    first, second = (plant_gap(10, 16, generator=seeded(5)) for _ in range(2))
    assert torch.equal(first.image_features, second.image_features)
    other = plant_gap(10, 16, generator=seeded(6))
    assert not torch.equal(first.image_features, other.image_features)


def test_planted_regions_beat_the_global_feature_exactly_where_planted():
    planted = plant_gap(100, 32, generator=seeded(1))
    regions = plant_regions(planted, generator=seeded(2), patches=20, on_caption=4, share=0.25)
    cosines = torch.einsum("npd,nd->np", regions.patch_features, planted.text_features)
    assert torch.equal(cosines > planted.pair_cosine, regions.on_caption)
    assert cosines[regions.on_caption].tolist() == pytest.approx([1.0] * 100, abs=1e-5)
    assert regions.closer_fraction == 0.25
    assert regions.patch_win_rate == pytest.approx(0.25 * 4 / 20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 3}, "even number"),
        ({"d": 2}, "at least 3"),
        ({"gap_norm": 2.0}, "below 2"),
        ({"noise_std": 5.0}, "no room"),
        ({"outliers": {0: 0.7, 1: 0.7}}, "at most 1"),
        ({"outliers": {99: 0.1}}, "wanted 0 to 15"),
    ],
)
def test_impossible_truths_are_refused(change, message):
    settings = {"n": 4, "d": 16} | change
    with pytest.raises(ValueError, match=message):
        plant_gap(settings.pop("n"), settings.pop("d"), generator=seeded(0), **settings)


@pytest.mark.parametrize(
    ("change", "message"), [({"on_caption": 0}, "1 to 49"), ({"share": 1.5}, "from 0 to 1")]
)
def test_impossible_regions_are_refused(change, message):
    planted = plant_gap(4, 16, generator=seeded(0))
    with pytest.raises(ValueError, match=message):
        plant_regions(planted, generator=seeded(0), **change)
