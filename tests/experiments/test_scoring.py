"""Scores of several systems and seeds: F1 from counts, shares, paired rows, nothing made up."""

from __future__ import annotations

import pytest

from experiments.scoring import Exam, changed, difference_rows, score, score_rows
from vizer_lab.world import DrawnSplit
from vizer_lab.zoo import load_drawn_clip

N = 12


@pytest.fixture(scope="module")
def exam():
    return Exam.of(DrawnSplit("second_validation", N), load_drawn_clip("drawn-clip"))


@pytest.fixture(scope="module")
def true(exam):
    return [texts[0] for texts in exam.split.captions]


def test_f1_is_the_harmonic_mean_of_the_corpus_rates(exam, true):
    found = score(true, exam)
    p, r = found["object_precision"].score, found["object_recall"].score
    assert p == 1.0 and 0 < r < 1
    assert found["object_f1"].score == pytest.approx(2 * p * r / (p + r))


def test_vague_captions_are_scored_and_a_change_is_counted(exam, true):
    vague = ["a picture of some things"] * N
    assert score(vague, exam)["vague"].score == 1.0
    assert changed(vague, true).score == 1.0 and changed(true, true).score == 0.0


def test_rows_pair_seeds_and_widen_what_has_none(exam, true):
    turned = true[1:] + true[:1]
    scored = {"told": [score(true, exam)], "other": [score(turned, exam)] * 2}
    rows = {(r["system"], r["metric"]): r for r in score_rows(scored, prefix="x:")}
    assert rows["x:told", "object_precision"]["mean"] == 1.0
    assert rows["x:other", "cider"]["seeds"] == 2
    (row,) = [r for r in difference_rows(scored, [("told", "other")]) if r["metric"] == "cider"]
    assert row["low"] > 0 and row["seeds"] == 2 and row["against"] == "other"


def test_what_cannot_be_paired_is_refused(exam, true):
    runs = [score(true, exam)]
    with pytest.raises(ValueError, match="2 seeds against 3"):
        difference_rows({"a": runs * 2, "b": runs * 3}, [("a", "b")])
    with pytest.raises(ValueError, match="got 1 captions for 12 images"):
        score(["a cat"], exam)


def test_a_rate_without_statements_has_no_row(exam):
    vague = [score(["a picture of some things"] * N, exam)]
    metrics = {row["metric"] for row in score_rows({"vague": vague})}
    assert "relation_accuracy" not in metrics and "object_recall" in metrics
