"""The verdicts on the metrics: the file's own numbers give them again, and a rule can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.metrics_claims import SHARE, verdicts
from vizer_core.files import read_json
from vizer_core.metrics.stats import Interval

FILE = Path(__file__).resolve().parents[2] / "results" / "metrics_drawn.json"


@pytest.fixture(scope="module")
def stored() -> dict:
    return read_json(FILE)


def rows_of(stored: dict) -> dict[tuple[str, str], Interval]:
    return {
        (row["system"], row["metric"]): Interval(row["mean"], row["low"], row["high"], row["n"])
        for row in stored["scores"]
    }


def verdict(rows: dict[tuple[str, str], Interval], claim: str) -> str:
    return next(row["verdict"] for row in verdicts(rows) if row["claim"] == claim)


def test_the_files_verdicts_follow_from_the_files_numbers(stored):
    assert verdicts(rows_of(stored)) == stored["claims"]


def test_a_claim_turns_with_its_interval_and_needs_its_metric(stored):
    rows, key = rows_of(stored), (SHARE + "more_true_detail", "cider")
    claim = "CIDEr punishes correct extra detail"
    for interval, wanted in (
        (Interval(-0.2, -0.3, -0.1, 9), "holds"),
        (Interval(-0.2, -0.5, 0.1, 9), "does not hold"),
    ):
        assert verdict(rows | {key: interval}, claim) == wanted
    del rows[key]
    assert verdict(rows, claim) == "not testable here"


def test_a_cost_of_nothing_must_lie_within_a_tenth_both_ways(stored):
    rows, claim = rows_of(stored), "A paraphrase costs CLIPScore nothing"
    key = (SHARE + "paraphrase", "clipscore")
    for low, high, wanted in ((-0.05, 0.05, "holds"), (-0.2, 0.0, "does not hold"),
                              (0.0, 0.2, "does not hold")):  # fmt: skip
        row = Interval((low + high) / 2, low, high, 9)
        assert verdict(rows | {key: row}, claim) == wanted
