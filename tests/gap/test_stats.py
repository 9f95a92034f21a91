"""The gap report against planted truths, against scipy, and against wrong input."""

import json
import math

import numpy as np
import pytest
import scipy.stats
import torch

from vizer_core.gap import measure_gap
from vizer_core.gap.stats import gap_vector, mean_off_diagonal_cosine, top_share
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.world.synthetic import plant_gap


def random_pairs(n=300, d=24, seed=0, shift=0.5):
    rng = seeded(seed)
    image = unit_norm(torch.randn(n, d, generator=rng))
    return image, unit_norm(image + shift + 0.5 * torch.randn(n, d, generator=rng))


def test_the_report_returns_every_planted_value():
    planted = plant_gap(
        400, 64, generator=seeded(0), gap_norm=0.85, outliers={3: 0.5, 9: 0.2}, noise_std=0.05
    )
    report = measure_gap(planted.image_features, planted.text_features)
    assert (report.n, report.dim) == (400, 64)
    assert report.gap_norm == pytest.approx(0.85, abs=1e-6)
    assert report.pair_cosine_mean == pytest.approx(planted.pair_cosine, abs=1e-6)
    assert report.pair_cosine_max == pytest.approx(planted.pair_cosine, abs=1e-5)
    assert report.pair_cosine_min == pytest.approx(planted.pair_cosine, abs=1e-5)
    assert report.pooled_mean == pytest.approx(planted.pooled_mean, abs=1e-7)
    assert report.pooled_std == pytest.approx(planted.pooled_std, rel=1e-6)
    assert report.constant_share == pytest.approx(planted.constant_share, rel=1e-5)
    assert report.top2_share == pytest.approx(0.7 + 0.0, abs=1e-5)
    assert report.top_dimensions[:2] == (3, 9)
    assert report.top_dimension_means[0] == pytest.approx(float(planted.gap_vector[3]), abs=1e-6)
    assert report.separability == report.separability_held_out == 1.0


def test_moments_and_ks_equal_scipy():
    image, text = random_pairs()
    gap = (text - image).double().numpy()
    report = measure_gap(image, text)
    assert report.pooled_std == pytest.approx(gap.std(), rel=1e-9)
    assert report.skewness == pytest.approx(scipy.stats.skew(gap, axis=None), abs=1e-9)
    assert report.excess_kurtosis == pytest.approx(scipy.stats.kurtosis(gap, axis=None), abs=1e-8)
    raw = scipy.stats.kstest(gap.ravel(), "norm", args=(gap.mean(), gap.std()))
    assert report.ks_raw == pytest.approx(raw.statistic, abs=1e-7)
    centred = (gap - gap.mean(axis=0)).ravel()
    expected = scipy.stats.kstest(centred, "norm", args=(centred.mean(), centred.std()))
    assert report.ks_centred == pytest.approx(expected.statistic, abs=1e-6)


def test_pair_cosines_span_the_pairs():
    image, text = (
        torch.eye(4)[:3],
        unit_norm(torch.tensor([[3.0, 4, 0, 0], [0, 1, 0, 0], [1, 0, -1, 0]])),
    )
    report = measure_gap(image, text)
    found = (report.pair_cosine_min, report.pair_cosine_mean, report.pair_cosine_max)
    assert found == pytest.approx((-(0.5**0.5), (0.6 + 1 - 0.5**0.5) / 3, 1.0), abs=1e-6)


def test_cones_equal_the_full_cosine_matrix():
    image, text = random_pairs(n=80)
    report = measure_gap(image, text)
    for cone, features in ((report.cone_image, image), (report.cone_text, text)):
        cosines = (features @ features.T).double().numpy()
        assert cone == pytest.approx(cosines[~np.eye(80, dtype=bool)].mean(), abs=1e-6)


def test_one_outlier_dimension_is_not_hidden_by_a_pooled_mean_near_zero():
    """MacCap section 3.2 stops at the pooled mean; this gap would pass as none."""
    planted = plant_gap(200, 512, generator=seeded(3), outliers={7: 0.99}, noise_std=0.03)
    report = measure_gap(planted.image_features, planted.text_features)
    assert abs(report.pooled_mean) < 0.005
    assert report.gap_norm == pytest.approx(0.8, abs=1e-5)
    assert report.top2_share > 0.98
    assert report.constant_share > 0.5
    assert report.excess_kurtosis > 30
    assert report.ks_raw > 5 * report.ks_centred


def test_no_gap_is_zero_everywhere():
    image, _ = random_pairs(n=50)
    report = measure_gap(image, image)
    assert report.gap_norm == report.pooled_std == report.ks_raw == report.constant_share == 0.0
    assert report.separability == 0.5
    assert report.pair_cosine_mean == pytest.approx(1.0, abs=1e-6)


def test_swapping_the_modalities_flips_the_vector_and_keeps_its_length():
    image, text = random_pairs()
    there, back = measure_gap(image, text), measure_gap(text, image)
    assert torch.allclose(gap_vector(image, text), -gap_vector(text, image))
    assert there.gap_norm == pytest.approx(back.gap_norm)
    assert there.pooled_mean == pytest.approx(-back.pooled_mean)
    assert there.skewness == pytest.approx(-back.skewness)
    assert (there.cone_image, there.cone_text) == pytest.approx((back.cone_text, back.cone_image))


def test_rotation_and_order_of_pairs_leave_the_geometry_alone():
    image, text = random_pairs(n=61, d=24)
    turn, _ = torch.linalg.qr(torch.randn(24, 24, generator=seeded(9)))
    shuffle = torch.randperm(61, generator=seeded(1))
    before = measure_gap(image, text)
    turned, shuffled = (
        measure_gap(image @ turn, text @ turn),
        measure_gap(image[shuffle], text[shuffle]),
    )
    for name in ("gap_norm", "pair_cosine_mean", "constant_share", "cone_image", "cone_text"):
        assert getattr(turned, name) == pytest.approx(getattr(before, name), abs=1e-5), name
    for name in ("gap_norm", "ks_raw", "top2_share", "separability", "excess_kurtosis"):
        assert getattr(shuffled, name) == pytest.approx(getattr(before, name), abs=1e-9), name


def test_adding_one_vector_to_both_is_not_a_no_op_after_normalising():
    image, text = random_pairs()
    moved = measure_gap(unit_norm(image + 1.0), unit_norm(text + 1.0))
    assert abs(moved.gap_norm - measure_gap(image, text).gap_norm) > 0.01


def test_the_null_gap_norm_is_what_random_swaps_give():
    image, text = random_pairs(n=100, shift=0.0)
    report, rng = measure_gap(image, text), seeded(4)
    swapped = []
    for _ in range(2000):
        sign = torch.randint(0, 2, (100, 1), generator=rng) * 2.0 - 1
        swapped.append(float(((text - image) * sign).mean(dim=0).square().sum()))
    assert report.gap_norm_null == pytest.approx(math.sqrt(np.mean(swapped)), rel=0.02)
    assert report.gap_norm < 1.5 * report.gap_norm_null


def test_half_precision_input_gives_the_same_report():
    image, text = random_pairs()
    half = measure_gap(image.half(), text.half())
    assert half.gap_norm == pytest.approx(measure_gap(image, text).gap_norm, abs=1e-3)


def test_the_report_is_json():
    report = measure_gap(*random_pairs())
    back = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert back["gap_norm"] == report.gap_norm
    assert back["top_dimensions"] == list(report.top_dimensions)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y: (x[:-1], y), r"one shape \[n, d\].*"),
        (lambda x, y: (x[:, :-1], y), "one shape"),
        (lambda x, y: (x * 2, y), "image_features must be unit-norm"),
        (lambda x, y: (x, y * 0.5), "text_features must be unit-norm"),
        (lambda x, y: (x.index_fill(0, torch.tensor([1]), math.nan), y), "NaN or inf in 1"),
        (lambda x, y: (x, y.index_fill(0, torch.tensor([1, 2]), math.inf)), "NaN or inf in 2"),
        (lambda x, y: (x[:1], y[:1]), "got 1 pair, wanted at least 2"),
    ],
)
def test_wrong_pairs_are_refused(spoil, message):
    with pytest.raises(ValueError, match=message):
        measure_gap(*spoil(*random_pairs(n=20)))


def test_a_single_cloud_needs_two_vectors_and_a_share_a_count_within_range():
    with pytest.raises(ValueError, match="at least 2"):
        mean_off_diagonal_cosine(torch.eye(3)[:1])
    with pytest.raises(ValueError, match="wanted 1 to 3"):
        top_share(torch.ones(3), 4)


def test_a_table_without_intervals_says_why_there_are_none():
    last = [measure_gap(*random_pairs(n)).table().splitlines()[-1] for n in (300, 3)]
    assert last[0].startswith("No intervals were given: ") and "few" not in last[0]
    assert last[1] == "No intervals: too few pairs to resample."
