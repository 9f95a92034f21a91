"""Intervals and tests: planted differences, coverage, seeds, and what equal systems must give."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import numpy as np
import pytest
from scipy import stats as scipy_stats

from vizer_core.metrics.bleu import bleu_from_counts
from vizer_core.metrics.stats import (
    Statistics,
    bootstrap,
    bootstrap_many,
    bootstrap_seeds,
    holm,
    mean_statistics,
    paired_bootstrap,
    paired_bootstraps,
    paired_permutation,
    paired_permutations,
    rank_correlation,
    rate_statistics,
    resampled_scores,
)

RNG = np.random.default_rng(7)
SCORES = RNG.normal(0.5, 0.1, 400)


def test_interval_of_a_mean_is_the_textbook_one():
    found = bootstrap(mean_statistics(SCORES), resamples=4000)
    half = 1.96 * SCORES.std() / np.sqrt(len(SCORES))
    assert found.mean == pytest.approx(SCORES.mean())
    assert found.high - found.mean == pytest.approx(half, rel=0.08)
    assert found.mean - found.low == pytest.approx(half, rel=0.08)
    assert found.n == 400


def test_intervals_cover_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(300):
        found = bootstrap(mean_statistics(rng.normal(0, 1, 80)), resamples=300, seed=trial)
        hits += found.low <= 0 <= found.high
    assert 0.90 <= hits / 300 <= 0.98


def test_same_seed_same_interval_and_another_seed_another():
    entry = mean_statistics(SCORES)
    assert bootstrap(entry, seed=3) == bootstrap(entry, seed=3)
    assert bootstrap(entry, seed=3) != bootstrap(entry, seed=4)


def test_blocks_of_resamples_change_no_number(monkeypatch):
    entry = [mean_statistics(SCORES)]
    whole = resampled_scores(entry, resamples=50)
    monkeypatch.setattr("vizer_core.metrics.resampling.BLOCK", 700)
    assert np.abs(resampled_scores(entry, resamples=50) - whole).max() < 1e-12


def test_a_metric_that_is_no_mean_is_resampled_from_its_sums():
    counts = np.column_stack([RNG.integers(0, 9, (60, 4)), RNG.integers(9, 12, (60, 6))])
    entry = Statistics(counts.astype(float), lambda sums: bleu_from_counts(sums)[..., 3])
    drawn = resampled_scores([entry], resamples=3, seed=5)[:, 0]
    rng = np.random.default_rng(5)
    picks = rng.integers(0, 60, size=(3, 60))
    expected = [bleu_from_counts(counts[pick].sum(axis=0))[3] for pick in picks]
    assert drawn == pytest.approx(expected)
    assert entry.score != pytest.approx(entry.per_image.mean(), rel=1e-3)


def test_a_rate_weighs_images_by_their_statements():
    entry = rate_statistics([1, 0, 3], [1, 2, 3])
    assert entry.score == pytest.approx(4 / 6)
    found = bootstrap(rate_statistics([0, 1, 0], [0, 1, 0]))  # most resamples say nothing or 1/1
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)
    assert found.n == 1  # two images state nothing
    assert bootstrap_many({"x": rate_statistics([0, 1, 0], [0, 1, 2])})["x"].n == 2
    other = rate_statistics([0, 1, 1], [0, 1, 2])
    assert paired_bootstrap(rate_statistics([0, 1, 0], [0, 1, 0]), other).n == 2


def test_equal_systems_give_p_of_one():
    entry = mean_statistics(SCORES)
    assert paired_permutation(entry, entry) == 1.0
    assert paired_bootstrap(entry, entry).p == 1.0


def test_a_planted_difference_is_found_and_pairing_narrows_it():
    better = mean_statistics(SCORES + 0.01 + RNG.normal(0, 0.01, 400))
    entry = mean_statistics(SCORES)
    found = paired_bootstrap(better, entry)
    assert found.low > 0 and paired_permutation(better, entry) < 0.001
    single = bootstrap(entry)
    assert found.high - found.low < (single.high - single.low) / 3


def test_p_values_are_never_zero():
    a, b = mean_statistics(SCORES + 1), mean_statistics(SCORES)
    assert paired_permutation(a, b, permutations=99) == 1 / 100
    assert paired_bootstrap(a, b, resamples=99).p == 2 / 100


def test_permutation_p_values_are_uniform_when_nothing_differs():
    rng = np.random.default_rng(2)
    p_values = []
    for trial in range(200):
        a, b = rng.normal(0, 1, (2, 40))
        test = paired_permutation(
            mean_statistics(a), mean_statistics(b), permutations=400, seed=trial
        )
        p_values.append(test)
    assert scipy_stats.kstest(p_values, "uniform").pvalue > 0.01


def test_permutation_agrees_with_the_exact_test():
    a, b = np.array([3.0, 2, 5, 4, 6, 5]), np.array([2.0, 2.5, 3, 3, 4, 4.5])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1)
    means = np.abs((a - b) @ signs) / 6
    exact = (means >= abs((a - b).mean()) - 1e-12).mean()
    found = paired_permutation(mean_statistics(a), mean_statistics(b), permutations=20_000)
    assert found == pytest.approx(exact, abs=0.01)


def test_many_metrics_share_resamples_and_swaps():
    a = {"x": mean_statistics(SCORES), "y": mean_statistics(SCORES**2)}
    b = {"x": mean_statistics(SCORES[::-1]), "y": mean_statistics(SCORES)}
    together = paired_permutations(a, b, permutations=500)
    # products of another shape: a BLAS may round the last digit otherwise
    close = partial(pytest.approx, rel=1e-9, abs=1e-12)
    assert together["x"] == close(paired_permutation(a["x"], b["x"], permutations=500))
    for shared, alone in (
        (paired_bootstraps(a, b)["y"], paired_bootstrap(a["y"], b["y"])),
        (bootstrap_many(a)["x"], bootstrap(a["x"])),
    ):
        assert asdict(shared) == close(asdict(alone))


def test_seeds_widen_the_interval():
    seeds = [mean_statistics(SCORES + shift) for shift in (-0.05, 0.0, 0.05)]
    over_seeds = bootstrap_seeds(seeds)
    one = bootstrap(seeds[1])
    assert over_seeds.mean == pytest.approx(SCORES.mean())
    assert over_seeds.high - over_seeds.low > 2 * (one.high - one.low)
    difference = bootstrap_seeds(seeds, against=seeds)
    assert (difference.mean, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_holm_steps_down_and_keeps_order():
    adjusted = holm({"a": 0.04, "b": 0.01, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_rank_correlation_of_reversed_and_unrelated_scores():
    values = np.arange(50.0)
    assert rank_correlation(values, -values, resamples=20).high == pytest.approx(-1)
    found = rank_correlation(values, RNG.permutation(values), resamples=200)
    assert found.low < 0 < found.high or abs(found.mean) < 0.3


def test_errors_name_the_counts():
    entry = mean_statistics(SCORES)
    with pytest.raises(ValueError, match="paired comparison of 400 and 3 images"):
        paired_bootstrap(entry, mean_statistics([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="no images to resample"):
        bootstrap(mean_statistics(np.zeros(0)))
    with pytest.raises(ValueError, match="2 seeds against 1"):
        bootstrap_seeds([entry, entry], against=[entry])
    with pytest.raises(ValueError, match="wanted the same, at least one"):
        paired_permutations({"x": entry}, {"y": entry})
    with pytest.raises(ValueError, match="rank correlation of 1 and 1 items"):
        rank_correlation([1.0], [1.0])
