"""Exercises that judge: each solution passes, each wrong answer is told what is wrong."""

from __future__ import annotations

import pytest
from chapter_runs import exercises_of, run_of
from wrong_answers import WRONG

JUDGED = (*range(1, 6), *range(9, 17))
FEWEST_WRONG = 3  # plausible wrong answers of each exercise
GOAL = "the book's"  # heads the column of a number to hit
ALL = [(number, place) for number in JUDGED for place in exercises_of(number)]
REFUSED = [
    (*key, answer, told) for key, answers in WRONG.items() for answer, told in answers.items()
]
# the first test of a chapter runs it
pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(1800)]


def said(number: int, place: int, answer: str) -> str:
    """Return what the check prints to an answer."""
    run = run_of(number)
    assert run.told, run.faults
    return run.told[place, answer]


@pytest.mark.parametrize("number", JUDGED)
def test_a_chapter_ends_in_judged_exercises_with_a_number_to_hit(number):
    exercises = exercises_of(number)
    assert len(exercises) >= 3
    for exercise in exercises.values():
        assert exercise.start and exercise.check and exercise.solution.strip()
    told = [said(number, place, exercises[place].solution) for place in exercises]
    assert any(GOAL in text for text in told), "wanted at least one number to hit"


@pytest.mark.parametrize(("number", "place"), ALL)
def test_the_folded_solution_passes_and_the_start_does_not(number, place):
    exercise = exercises_of(number)[place]
    assert said(number, place, exercise.solution).startswith("passed"), "the solution"
    assert said(number, place, exercise.start).startswith("not yet"), "the answer one starts from"


@pytest.mark.parametrize(("number", "place", "answer", "told"), REFUSED)
def test_a_wrong_answer_is_refused_and_told_why(number, place, answer, told):
    words = said(number, place, answer)
    assert words.startswith("not yet")
    assert told in " ".join(words.split())


def test_every_exercise_has_wrong_answers():
    assert set(WRONG) == set(ALL)
    assert all(len(answers) >= FEWEST_WRONG for answers in WRONG.values())
