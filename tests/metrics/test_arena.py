"""Ratings: known odds are found again, the order of systems does not matter, intervals hold."""

from __future__ import annotations

import numpy as np
import pytest

from vizer_core.metrics.arena import CENTRE, arena, meetings, ratings


def test_odds_of_ten_to_one_are_400_points():
    wins = np.array([[0.0, 1e6, 1e6], [1e5, 0.0, 5e5], [1e5, 5e5, 0.0]])
    found = ratings(wins)
    assert found[0] - found[1] == pytest.approx(400, abs=1)
    assert found[1] == pytest.approx(found[2]) and found.mean() == pytest.approx(CENTRE)


def test_a_better_system_is_rated_higher_and_equals_are_equal():
    rng = np.random.default_rng(0)
    base = rng.normal(size=200)
    scores = {"worse": base, "same": base, "better": base + (rng.random(200) < 0.5)}
    rows = {row.system: row for row in arena(scores, resamples=50)}
    assert rows["worse"].mean == pytest.approx(rows["same"].mean)
    assert rows["better"].low > rows["same"].high
    assert sum(row.won for row in rows.values()) == pytest.approx(1.5)
    again = arena(dict(reversed(scores.items())), resamples=50)
    assert {r.system: round(r.mean, 6) for r in again} == {
        name: round(row.mean, 6) for name, row in rows.items()
    }


def test_ratings_are_at_the_maximum_where_systems_are_far_apart():
    """There each system wins as many meetings as its rating expects."""
    wins = np.triu(np.full((4, 4), 500.0), 1)
    found = ratings(wins)
    assert found == pytest.approx([2489.6, 1479.9, 520.1, -489.6], abs=0.1)
    chance = 1 / (1 + 10 ** ((found[None, :] - found[:, None]) / 400))
    games = (wins + wins.T + 1) * (1 - np.eye(4))
    assert (games * chance).sum(axis=1) == pytest.approx(wins.sum(axis=1) + 1.5, abs=1e-6)


def test_each_meeting_gives_one_point():
    table = meetings(np.array([[0.2, 0.1, 0.2]]))[0]
    assert (table + table.T == 1 - np.eye(3)).all() and table[0, 1] == 1 and table[0, 2] == 0.5


def test_errors_by_message():
    with pytest.raises(ValueError, match="2 or more"):
        meetings(np.zeros((3, 1)))
    with pytest.raises(ValueError, match="a square table"):
        ratings(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="scored on the same images"):
        arena({"a": np.zeros(2), "b": np.zeros(3)})
