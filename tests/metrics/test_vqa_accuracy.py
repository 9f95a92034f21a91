"""Soft accuracy against the definition, worked out person by person, and the rules of spelling."""

from __future__ import annotations

import pytest

from vizer_core.metrics.vqa_accuracy import any_accuracy, plain_answer, soft_accuracy


@pytest.mark.parametrize(
    ("agree", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)]
)
def test_soft_accuracy_of_m_in_ten(agree, score):
    answers = ["yes"] * agree + [f"other {i}" for i in range(10 - agree)]
    assert soft_accuracy("yes", answers) == pytest.approx(score)
    assert soft_accuracy("yes", answers[::-1]) == pytest.approx(score)


def leave_one_out(answer: str, answers: list[str]) -> float:
    scores = []
    for index in range(len(answers)):
        rest = answers[:index] + answers[index + 1 :]
        scores.append(min(1.0, rest.count(answer) / 3))
    return sum(scores) / len(scores)


def test_the_closed_form_is_the_mean_over_people():
    answers = ["red"] * 3 + ["blue"] * 2 + ["green"] * 4 + ["pink"]
    for colour in ("red", "blue", "green", "pink", "black"):
        assert soft_accuracy(colour, answers) == pytest.approx(leave_one_out(colour, answers))


@pytest.mark.parametrize(
    ("answer", "plain"),
    [
        ("Yes.", "yes"),
        ("the  Dog", "dog"),
        ("a t-shirt", "t shirt"),
        ("Three", "3"),
        ("none", "0"),
        ("dont know", "don't know"),
        ("it's 10:30", "it's 10:30"),
        ("2.5", "2.5"),
        ("st. louis", "st louis"),
        ("1,000", "1000"),
        ("cats, dogs", "cats dogs"),
        ("!", ""),
    ],
)
def test_answers_are_written_alike(answer, plain):
    assert plain_answer(answer) == plain
    assert plain_answer(plain) == plain


def test_any_of_the_people_counts():
    people = ["Two dogs"] + ["cat"] * 9
    assert any_accuracy("2 dogs!", people) == 1.0
    assert any_accuracy("3 dogs", people) == 0.0


def test_a_single_person_is_no_crowd():
    with pytest.raises(ValueError, match="got 1 people's answers: wanted at least 2"):
        soft_accuracy("yes", ["yes"])
