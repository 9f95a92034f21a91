"""Chapter 13: a rate in few tries, seeds that an effect needs, steps or captions."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from vizer_lab.exercises.goal import Goal, Number, judge_goals, judge_written
from vizer_lab.practice import Case, Task, Verdict

CLOSE = 0.02  # to the best score
SIGMA = 0.01
MOST_STEPS = 1.2  # times those of the larger set
FOUND = 0.9  # share of held-out images


def judge_rate(
    rate: Number, score: Callable[[float], float], best: float, middle: float, name: str
) -> Verdict:
    """Judge a learning rate by the score of a run, against the best of those on the page."""
    rate = float(rate)
    if not rate > 0:
        return Verdict(False, f"A rate is above 0, yours is {rate:g}.")
    goal = Goal(name, above=best - CLOSE, places=3)
    times = rate / middle
    if times <= 1:
        advice = f"Too slow: at {times:.2g} times the middle rate a run hardly leaves the base."
    else:
        advice = f"Too fast: at {times:.2g} times the middle rate captions become short."
    return judge_goals([goal], [score(rate)], [best], advice)


def _enough(effect: float, sigma: float, seeds: int) -> bool:
    return effect >= 2 * sigma * (2 / seeds) ** 0.5 - 1e-12


def _seeds(effect: float, sigma: float) -> int:
    return next(s for s in range(1, 10_000) if _enough(effect, sigma, s))


def _always_one(effect: float, sigma: float) -> int:
    """One seed does for a large effect only: solve the condition for s."""
    return 1


def _one_error(effect: float, sigma: float) -> int:
    """You asked for one standard error. The effect shall be at least twice as large."""
    return max(1, ceil(2 * sigma**2 / effect**2 - 1e-9))


def _one_mean(effect: float, sigma: float) -> int:
    """You took the error of one mean. Both settings have theirs, so under the root stands 2 / s."""
    return max(1, ceil(4 * sigma**2 / effect**2 - 1e-9))


def _too_few(effect: float, sigma: float) -> int:
    """You rounded down, which is one seed too few: part of a seed needs a whole one."""
    return max(1, int(8 * sigma**2 / effect**2 + 1e-9))


def _not_squared(effect: float, sigma: float) -> int:
    """Half the effect costs four times the seeds: when the root is gone, the ratio is squared."""
    return max(1, ceil(8**0.5 * sigma / effect - 1e-9))


def judge_seeds(function: Callable[[float, float], int]) -> Verdict:
    """Judge the smallest number of seeds with which an effect is twice its standard error."""
    task = Task(
        answer=_seeds,
        cases=lambda: [
            Case(f"an effect of {effect:g} at sigma {SIGMA:g}", (effect, SIGMA))
            for effect in (0.04, 0.02, 0.01, 0.007)
        ],
        mistakes=(_always_one, _one_error, _one_mean, _too_few, _not_squared),
    )
    return judge_written(function, task)


def _passes(steps: int, captions: int, batch: int) -> int:
    return ceil(steps / ceil(captions / batch))


def _no_last_batch(steps: int, captions: int, batch: int) -> int:
    """You left out the last batch of a pass, which is smaller and a step as well: round the steps
    of a pass up."""
    return ceil(steps / max(1, captions // batch))


def _steps_of_a_pass(steps: int, captions: int, batch: int) -> int:
    """Those are the steps of one pass. How many passes make all the steps?"""
    return ceil(captions / batch)


def _down(steps: int, captions: int, batch: int) -> int:
    """You rounded down, so the last steps are missing: a part of a pass needs a whole one."""
    return steps // ceil(captions / batch)


def _captions_for_steps(steps: int, captions: int, batch: int) -> int:
    """A step reads a batch of captions, not one."""
    return ceil(steps / captions)


def judge_passes(
    function: Callable[[int, int, int], int],
    steps: int,
    captions: int,
    batch: int,
    fit: Callable[[int], tuple[int, float]],
) -> Verdict:
    """Judge how many passes over few captions make as many steps as were made over many.

    `fit` fits a mapper with so many passes and returns its steps and the share of held-out images
    that it finds.
    """
    task = Task(
        answer=_passes,
        cases=lambda: [
            Case(f"{s} steps, {c} captions, batches of {b}", (s, c, b))
            for s, c, b in ((steps, captions, batch), (90, 100, 30), (25, 640, 64))
        ],
        mistakes=(_no_last_batch, _steps_of_a_pass, _down, _captions_for_steps),
    )
    verdict = judge_written(function, task)
    if not verdict.right:
        return verdict
    (made, found), (made_by_book, found_by_book) = (
        fit(of(steps, captions, batch)) for of in (function, _passes)
    )
    goals = [
        Goal("steps", above=steps - 1, below=MOST_STEPS * steps, places=0),
        Goal("own image found", above=FOUND),
    ]
    return judge_goals(goals, [made, found], [made_by_book, found_by_book])
