"""Statements: the numbers of all kinds add up, and a false one is a contradiction."""

from __future__ import annotations

import pytest

from vizer_core.metrics.grounding import GroundingCounts
from vizer_core.metrics.statements import count_statements, statement_statistics

GOOD = GroundingCounts(
    object_true=2,
    object_said=2,
    object_found=2,
    object_there=2,
    relation_true=1,
    relation_said=1,
    background_true=1,
    background_said=1,
)
BAD = GroundingCounts(object_true=0, object_said=1, object_there=3, count_said=1)


def test_known_answers():
    assert vars(count_statements(GOOD)) == {"said": 4, "true": 4, "told": 3, "there": 3}
    found = statement_statistics([GOOD, BAD])
    assert found["statement_precision"].score == pytest.approx(4 / 6)
    assert found["descriptiveness"].score == pytest.approx(3 / 7)


def test_precision_and_contradiction_add_up():
    found = statement_statistics([GOOD, BAD, GOOD])
    assert found["statement_precision"].score + found["contradiction"].score == pytest.approx(1)


def test_nothing_checked_is_refused():
    with pytest.raises(ValueError, match="no captions were checked"):
        statement_statistics([])
