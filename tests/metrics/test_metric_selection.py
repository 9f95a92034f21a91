"""What chance finds: counts with a closed form, and the luck of the best of many."""

from __future__ import annotations

import numpy as np
import pytest

from vizer_core.metrics.selection import chance_findings, choose_best, seed_noise

COIN = np.array([-1.0, 1.0])


def test_noise_has_the_spread_of_the_runs_and_not_that_of_the_groups():
    rng = np.random.default_rng(0)
    groups = {f"g{i}": (100 * i + rng.normal(0, 2, 3)).tolist() for i in range(400)}
    noise = seed_noise(groups)
    assert len(noise) == 1200 and noise.std() == pytest.approx(2, rel=0.06)
    assert noise.reshape(-1, 3).mean(axis=1) == pytest.approx(np.zeros(400), abs=1e-9)


def test_chance_findings_follow_the_coins():
    """Two coins differ by 2 in half of the throws, and by 0 in the others."""
    found = chance_findings(COIN, rows=1, seeds=1, half_width=1.0, draws=20_000)
    assert found.mean() == pytest.approx(0.5, abs=0.02)
    many = chance_findings(COIN, rows=10, seeds=1, half_width=1.0, draws=20_000)
    assert many.mean() == pytest.approx(5, abs=0.1)
    assert not chance_findings(COIN, rows=10, seeds=1, half_width=2.0).any()


def test_more_seeds_find_less_and_the_same_seed_the_same():
    few, more = (
        chance_findings(COIN, rows=10, seeds=k, half_width=1.5, draws=4000).mean() for k in (1, 9)
    )
    assert more < 0.2 * few
    again = chance_findings(COIN, rows=10, seeds=1, half_width=1.5, draws=50)
    assert (again == chance_findings(COIN, rows=10, seeds=1, half_width=1.5, draws=50)).all()


def test_the_best_of_many_looks_good_until_it_is_run_again():
    noise = np.random.default_rng(1).normal(0, 1, 300)
    noise = (noise - noise.mean()) / noise.std()
    choice = choose_best(noise, rows=10, scene_std=1.0, draws=20_000)
    # the largest of ten normals is 1.54 of their spread, here sqrt(2); half of it is the seed's
    assert choice.validation == pytest.approx(1.54 * 2**0.5, rel=0.06)
    assert choice.test == pytest.approx(choice.validation / 2, rel=0.12)
    assert choice.again == pytest.approx(0, abs=0.05)
    alone = choose_best(noise, rows=1, scene_std=1.0, draws=20_000)
    assert alone.validation == pytest.approx(0, abs=0.05)


def test_errors_by_message():
    with pytest.raises(ValueError, match="no group has two runs"):
        seed_noise({"a": [1.0]})
    with pytest.raises(ValueError, match="noise of 2 runs, rows=0"):
        chance_findings(COIN, rows=0, seeds=1, half_width=1.0)
    with pytest.raises(ValueError, match="noise of 0 runs"):
        choose_best(COIN[:0], rows=1, scene_std=1.0)
