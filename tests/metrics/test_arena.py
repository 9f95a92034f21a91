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
