"""Drift of captions: edits by hand, a metric's properties, and what a take-over looks like."""

from __future__ import annotations

import random

import pytest

from vizer_core.vizer.drift import edit_distance, measure_drift, token_edit_rate

WORDS = "a cat dog on mat in the snow".split()  # noqa: SIM905


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [("", "", 0), ("", "a b", 2), ("a b", "", 2), ("a b c", "a c", 1), ("a b", "b a", 2),
     ("k i t t e n", "s i t t i n g", 3)],
)  # fmt: skip
def test_edits_by_hand(a, b, wanted):
    assert edit_distance(a.split(), b.split()) == wanted


def test_edit_distance_is_a_metric():
    draw = random.Random(0)
    texts = [[draw.choice(WORDS) for _ in range(draw.randrange(7))] for _ in range(12)]
    for a in texts:
        for b in texts:
            assert edit_distance(a, b) == edit_distance(b, a)
            assert (edit_distance(a, b) == 0) == (a == b)
            assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))
            for c in texts:
                assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


def test_the_rate_counts_repeated_pairs_each_time():
    assert token_edit_rate(["a cat"] * 3 + ["a dog"], ["a hat"] * 3 + ["a dog"]) == 3 / 8
    assert token_edit_rate(["a"], ["a b c"]) == 2.0
    assert token_edit_rate(["", "a"], ["", "a"]) == 0.0


def test_punctuation_and_capitals_are_no_change():
    report = measure_drift(["A cat, a dog."], ["a cat a dog"])
    assert (report.changed, report.token_edit_rate, report.longer, report.kl) == (0, 0, 1, None)


def test_a_caption_that_takes_over_is_seen():
    old = [f"a thing{i} on the mat" for i in range(20)]
    report = measure_drift(old, ["itap while walking home"] * 15 + old[15:], kl=1.5)
    assert report.changed == 0.75 and report.top1 == 0.75 and report.old.commonest_share == 0.05
    assert report.new.distinct2 < report.old.distinct2 and report.kl == 1.5


def test_errors_by_message():
    with pytest.raises(ValueError, match="got 2 old and 1 new captions"):
        measure_drift(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="got 0 old and 0 new captions"):
        token_edit_rate([], [])
