"""Precision and recall of single statements, whatever their kind: DNLI's two numbers, exactly.

KnowAda's evaluation (Yanuka et al. 2411.09018) cuts a caption into propositions and asks
an entailment model of each whether the true description entails it, contradicts it, or says nothing
of it; descriptiveness is the same the other way round. In a scene whose truth is known each
statement is true or false, so nothing has to be asked and nothing is neutral.

=================  ===============================================================================
precision          true statements over statements: objects, attributes, counts, relations, places
contradiction      1 - precision
descriptiveness    facts that a caption tells over the facts that there are: kinds of object, and
                   the place
=================  ===============================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vizer_core.metrics.grounding import GroundingCounts
from vizer_core.metrics.stats import Statistics, rate_statistics

KINDS = ("object", "attribute", "count", "relation", "background")


@dataclass(frozen=True)
class StatementCounts:
    """Statements of one caption, and facts of one image."""

    said: int
    true: int
    told: int
    there: int


def count_statements(counts: GroundingCounts) -> StatementCounts:
    """Add up the statements of every kind; the facts are the kinds of object and the place.

    >>> count_statements(GroundingCounts(object_true=1, object_said=2, object_found=1,
    ...     object_there=3, background_true=1, background_said=1))
    StatementCounts(said=3, true=2, told=2, there=4)
    """
    said, true = (
        sum(getattr(counts, f"{kind}_{what}") for kind in KINDS) for what in ("said", "true")
    )
    place = int(counts.background_true > 0)
    return StatementCounts(said, true, counts.object_found + place, counts.object_there + 1)


def statement_statistics(counts: Sequence[GroundingCounts]) -> dict[str, Statistics]:
    """Return precision, contradiction and descriptiveness of captions, with what intervals need."""
    if not counts:
        raise ValueError("no captions were checked: wanted the counts of at least one")
    rows = [count_statements(each) for each in counts]
    said, true, told, there = (
        [getattr(row, name) for row in rows] for name in ("said", "true", "told", "there")
    )
    false = [a - b for a, b in zip(said, true)]
    return {
        "statement_precision": rate_statistics(true, said),
        "contradiction": rate_statistics(false, said),
        "descriptiveness": rate_statistics(told, there),
    }
