"""Bootstrap intervals: against a plain loop, against coverage, and against wrong input."""

import pytest
import torch

from vizer_core.gap import measure_gap
from vizer_core.gap.interval import Interval, bootstrap_gap, bootstrap_mean
from vizer_core.metrics.resampling import draw_counts
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.world.synthetic import plant_gap


def noisy_pairs(n=60, d=12, seed=0):
    rng = seeded(seed)
    image = unit_norm(torch.randn(n, d, generator=rng))
    return image, unit_norm(image + 0.4 + 0.6 * torch.randn(n, d, generator=rng))


def test_estimates_are_the_report_itself():
    image, text = noisy_pairs()
    report = measure_gap(image, text)
    for name, interval in bootstrap_gap(image, text, generator=seeded(0), resamples=50).items():
        assert interval.estimate == pytest.approx(getattr(report, name), abs=1e-6), name


def test_every_pair_is_drawn_equally_often():
    counts = draw_counts(5000, 7, seeded(0))
    assert (counts.sum(dim=1) == 7).all()
    assert counts.mean(dim=0).tolist() == pytest.approx([1.0] * 7, abs=0.06)


def test_resampling_by_counts_equals_resampling_by_rows():
    image, text = noisy_pairs()
    counts = draw_counts(64, 60, seeded(7)).long()
    reports = []
    for row in counts:
        chosen = torch.repeat_interleave(torch.arange(60), row)
        reports.append(measure_gap(image[chosen], text[chosen]))
    found = bootstrap_gap(image, text, generator=seeded(7), resamples=64)
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    resampled = {
        name: torch.tensor([getattr(report, name) for report in reports], dtype=torch.float64)
        for name in ("pair_cosine_mean", "excess_kurtosis", "top2_share", "gap_norm")
    }
    gaps = (text - image).double()
    added = (gaps.square().sum(1).mean() - gaps.mean(0).square().sum()) / 60
    resampled["gap_norm"] = (resampled["gap_norm"] ** 2 - added).sqrt()
    for name, values in resampled.items():
        low, high = values.quantile(ends).tolist()
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-6), name


def test_the_norm_of_the_gap_lies_inside_its_own_interval_even_with_few_pairs():
    """Without the correction the whole interval lies above the estimate here."""
    planted = plant_gap(40, 64, generator=seeded(0), gap_norm=0.5, noise_std=0.1)
    found = bootstrap_gap(planted.image_features, planted.text_features, generator=seeded(0))
    for name in ("gap_norm", "constant_share"):
        assert found[name].low < found[name].estimate < found[name].high, name


@pytest.mark.parametrize(("n", "d"), [(20, 8), (40, 64), (200, 512)])
def test_resampling_biases_what_is_no_mean_and_a_centred_interval_says_by_how_much(n, d):
    """The two largest of d noisy squares grow each time that the pairs are drawn again."""
    pairs = plant_gap(n, d, generator=seeded(0), gap_norm=0.5, noise_std=0.05)
    plain, centred = (
        bootstrap_gap(pairs.image_features, pairs.text_features, generator=seeded(0),
                      resamples=200, centred=centred)
        for centred in (False, True)
    )  # fmt: skip
    assert plain["top2_share"].low > plain["top2_share"].estimate
    for name, interval in centred.items():
        assert interval.low <= interval.estimate <= interval.high, name
        assert interval.estimate == plain[name].estimate
        width = plain[name].high - plain[name].low
        assert interval.high - interval.low == pytest.approx(width, rel=1e-3, abs=1e-9), name
    middle = (plain["top2_share"].low + plain["top2_share"].high) / 2
    assert centred["top2_share"].bias == pytest.approx(
        middle - plain["top2_share"].estimate, rel=0.2
    )
    assert centred["pair_cosine_mean"].bias == 0.0


def test_the_bias_of_resampling_is_about_that_of_sampling():
    """What is taken off an interval is as large as what sampling adds: many draws of one gap."""
    found, added = [], []
    for seed in range(40):
        pairs = plant_gap(60, 32, generator=seeded(0), gap_norm=0.5)
        rng = seeded(100 + seed)
        image, text = (
            unit_norm(x + 0.05 * torch.randn(60, 32, generator=rng))
            for x in (pairs.image_features, pairs.text_features)
        )
        interval = bootstrap_gap(image, text, generator=rng, resamples=100, centred=True)
        found.append(interval["top2_share"].estimate)
        added.append(interval["top2_share"].bias)
    truth = 2 / 32  # a gap of equal entries
    assert sum(added) / 40 == pytest.approx(sum(found) / 40 - truth, rel=0.5)


def test_the_interval_covers_the_truth_about_95_times_in_100():
    truth = measure_gap(*noisy_pairs(n=200_000, seed=999)).pair_cosine_mean
    covered = 0
    for seed in range(100):
        image, text = noisy_pairs(n=80, seed=seed)
        interval = bootstrap_gap(image, text, generator=seeded(seed), resamples=200)
        covered += interval["pair_cosine_mean"].low <= truth <= interval["pair_cosine_mean"].high
    assert 88 <= covered <= 99


def test_the_seed_decides_and_planted_pairs_have_no_spread():
    image, text = noisy_pairs()
    first, same, other = (
        bootstrap_gap(image, text, generator=seeded(s), resamples=60) for s in (1, 1, 2)
    )
    assert first == same
    assert first != other
    planted = plant_gap(40, 16, generator=seeded(0))
    fixed = bootstrap_gap(
        planted.image_features, planted.text_features, generator=seeded(0), resamples=60
    )["pair_cosine_mean"]
    assert fixed.high - fixed.low < 1e-6


def test_cones_are_not_inflated_by_copies():
    image, text = noisy_pairs(n=20)
    interval = bootstrap_gap(image, text, generator=seeded(0), resamples=400)["cone_image"]
    assert interval.low < interval.estimate < interval.high
    assert (interval.low + interval.high) / 2 == pytest.approx(interval.estimate, abs=0.03)


def test_the_mean_of_values_and_wrong_counts():
    interval = bootstrap_mean(torch.randn(400, generator=seeded(0)), generator=seeded(1))
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 20, rel=0.2)
    assert interval.n == 400 and interval.estimate == interval.mean
    assert isinstance(interval, Interval)
    with pytest.raises(ValueError, match="at least 2"):
        bootstrap_mean(torch.ones(1), generator=seeded(0))
    with pytest.raises(ValueError, match="at least 40"):
        bootstrap_gap(*noisy_pairs(), generator=seeded(0), resamples=10)


def test_too_few_pairs_are_refused_before_an_interval_turns_into_nan():
    image, text = noisy_pairs()
    with pytest.raises(ValueError, match="got 3 pairs, wanted at least 10"):
        bootstrap_gap(image[:3], text[:3], generator=seeded(0))
