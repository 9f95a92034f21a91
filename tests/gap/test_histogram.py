"""The streaming histogram: exact against numpy on the whole array, however the data are cut."""

import numpy as np
import pytest
import scipy.stats
import torch

from vizer_core.files import load_tensors, save_tensors
from vizer_core.gap import histogram as module
from vizer_core.gap.histogram import GapHistogram
from vizer_core.gap.normality import ks_to_fitted_normal
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.world.synthetic import plant_gap


def local_features(n=60, p=7, d=24, seed=0):
    rng = seeded(seed)
    patches = unit_norm(torch.randn(n, p, d, generator=rng) + 0.2)
    return patches, unit_norm(torch.randn(n, d, generator=rng) - 0.1)


def filled(patches, text, **settings):
    histogram = GapHistogram(text.shape[1], **settings)
    histogram.update(patches, text)
    return histogram


def test_counts_equal_numpy_on_the_whole_array_to_the_last_integer():
    patches, text = local_features()
    entries = (text[:, None] - patches).numpy().ravel()
    histogram = filled(patches, text, bin_width=2**-10, limit=0.5)
    inside = entries[(entries >= -0.5) & (entries < 0.5)].astype(np.float64)
    counts, edges = np.histogram(inside, bins=histogram.edges.numpy())
    assert np.array_equal(histogram.edges.numpy(), edges)
    assert np.array_equal(histogram.counts.numpy(), counts)
    assert histogram.underflow == (entries < -0.5).sum() > 0
    assert histogram.overflow == (entries >= 0.5).sum() > 0
    assert histogram.count == entries.size


def test_moments_and_dimension_means_equal_numpy():
    patches, text = local_features()
    gaps = (text[:, None] - patches).double().numpy()
    histogram = filled(patches, text)
    assert histogram.moments.mean == pytest.approx(gaps.mean(), abs=1e-12)
    assert histogram.moments.std == pytest.approx(gaps.std(), rel=1e-12)
    assert histogram.moments.skewness == pytest.approx(scipy.stats.skew(gaps, None), abs=1e-10)
    kurtosis = scipy.stats.kurtosis(gaps, axis=None)
    assert histogram.moments.excess_kurtosis == pytest.approx(kurtosis, abs=1e-9)
    assert np.allclose(histogram.dimension_means, gaps.mean(axis=(0, 1)), atol=1e-12)
    energy = (gaps**2).sum(axis=-1).mean()
    share = (gaps.mean(axis=(0, 1)) ** 2).sum() / energy
    assert histogram.constant_share == pytest.approx(share, rel=1e-9)


@pytest.mark.parametrize("entries_at_once", [1, 500, 1 << 20])
def test_blocks_batches_and_shards_give_the_same_histogram(monkeypatch, entries_at_once):
    patches, text = local_features()
    whole = filled(patches, text)
    monkeypatch.setattr(module, "ENTRIES_AT_ONCE", entries_at_once)
    first, second = GapHistogram(24), GapHistogram(24)
    for batch in range(0, 30, 10):
        first.update(patches[batch : batch + 10], text[batch : batch + 10])
    second.update(patches[30:], text[30:])
    for merged in (first.merge(second), second.merge(first)):
        assert torch.equal(merged.counts, whole.counts)
        assert torch.allclose(merged.dimension_means, whole.dimension_means, atol=1e-14)
        for name in ("mean", "std", "skewness", "excess_kurtosis"):
            wanted = getattr(whole.moments, name)
            assert getattr(merged.moments, name) == pytest.approx(wanted, rel=1e-10), name


def test_merging_leaves_the_parts_alone_and_empty_adds_nothing():
    patches, text = local_features()
    part = filled(patches, text)
    before = part.counts.clone()
    merged = part.merge(part)
    assert torch.equal(part.counts, before)
    assert torch.equal(merged.counts, 2 * before)
    assert torch.equal(part.merge(GapHistogram(24)).counts, before)


def test_the_global_reading_is_the_local_one_with_one_patch():
    planted = plant_gap(100, 32, generator=seeded(0), gap_norm=0.7, noise_std=0.05)
    image, text = planted.image_features, planted.text_features
    histogram = filled(image, text)
    assert torch.equal(histogram.counts, filled(image[:, None], text).counts)
    assert torch.allclose(histogram.dimension_means, planted.gap_vector, atol=1e-6)
    assert histogram.moments.std == pytest.approx(planted.pooled_std, rel=1e-6)
    assert histogram.constant_share == pytest.approx(planted.constant_share, rel=1e-5)


def test_a_second_pass_around_the_dimension_means_shows_what_the_pool_hides():
    planted = plant_gap(
        400, 64, generator=seeded(0), gap_norm=0.8, outliers={5: 0.8}, noise_std=0.03
    )
    image, text = planted.image_features, planted.text_features
    raw = filled(image, text)
    centred = filled(image, text, centre=raw.dimension_means)
    assert centred.moments.std == pytest.approx(planted.noise_std, rel=1e-4)
    assert float(centred.dimension_means.abs().max()) < 1e-7
    assert raw.ks().lower > 3 * centred.ks().upper
    assert raw.moments.excess_kurtosis > 10 > centred.moments.excess_kurtosis


@pytest.mark.parametrize("bin_width", [2**-4, 2**-8, 2**-14])
@pytest.mark.parametrize("limit", [0.25, 1.0])
def test_the_ks_bounds_enclose_the_exact_distance(bin_width, limit):
    patches, text = local_features()
    exact = ks_to_fitted_normal(text[:, None] - patches)
    bounds = filled(patches, text, bin_width=bin_width, limit=limit).ks()
    assert bounds.lower - 1e-7 <= exact <= bounds.upper + 1e-7


def test_fine_bins_make_the_ks_bounds_tight():
    bounds = filled(*local_features(n=500)).ks()
    assert bounds.upper - bounds.lower < 0.001


def test_coarser_bins_hold_the_same_entries():
    patches, text = local_features()
    coarse = filled(patches, text, bin_width=2**-10).coarsened(8)
    direct = filled(patches, text, bin_width=2**-7)
    assert torch.equal(coarse.counts, direct.counts)
    assert torch.equal(coarse.edges, direct.edges)
    assert coarse.moments == filled(patches, text).moments


def test_a_histogram_survives_the_disk(tmp_path):
    patches, text = local_features()
    histogram = filled(patches, text, bin_width=2**-8, centre=torch.full((24,), 0.01))
    save_tensors(tmp_path / "shard.safetensors", histogram.to_tensors(), {"seed": 0})
    tensors, _ = load_tensors(tmp_path / "shard.safetensors")
    back = GapHistogram.from_tensors(tensors)
    assert torch.equal(back.counts, histogram.counts)
    assert back.moments == histogram.moments
    assert torch.equal(back.dimension_means, histogram.dimension_means)
    assert back.merge(histogram).count == 2 * histogram.count


def test_a_bad_batch_changes_nothing():
    patches, text = local_features()
    histogram = filled(patches, text)
    before = histogram.to_tensors()
    patches[-1, -1] *= 2
    with pytest.raises(ValueError, match="visual_features must be unit-norm"):
        histogram.update(patches, text)
    for name, tensor in histogram.to_tensors().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bin_width": 0.01}, "power of two"),
        ({"bin_width": -0.5}, "power of two"),
        ({"limit": 0.0}, "positive multiple"),
        ({"limit": 0.3}, "positive multiple"),
        ({"centre": torch.zeros(3)}, r"wanted \(24,\)"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        GapHistogram(24, **settings)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p, t: (p[:-1], t), "do not fit"),
        (lambda p, t: (p[..., :-1], t), "do not fit"),
        (lambda p, t: (p[None], t), "do not fit"),
        (lambda p, t: (p, t * 2), "text_features must be unit-norm"),
        (lambda p, t: (p, t * float("nan")), "NaN"),
    ],
)
def test_wrong_batches_are_named(spoil, message):
    patches, text = local_features()
    with pytest.raises(ValueError, match=message):
        GapHistogram(24).update(*spoil(patches, text))


def test_wrong_merges_and_empty_histograms_are_named():
    histogram = GapHistogram(24)
    for other in (GapHistogram(23), GapHistogram(24, limit=0.5), GapHistogram(24, bin_width=0.5)):
        with pytest.raises(ValueError, match="cannot merge"):
            histogram.merge(other)
    with pytest.raises(ValueError, match="cannot merge"):
        histogram.merge(GapHistogram(24, centre=torch.ones(24)))
    with pytest.raises(ValueError, match="empty"):
        _ = histogram.moments
    for factor in (3, 2**20):
        with pytest.raises(ValueError, match="wanted a power of two"):
            histogram.coarsened(factor)
    with pytest.raises(ValueError, match="counts missing"):
        GapHistogram.from_tensors(
            {"count": torch.tensor(0), "bins": torch.ones(2)}
            | {name: torch.zeros(1) for name in ("power_sums", "dimension_sums", "centre")}
        )
