"""Chapter 12: a scale that blows up noise, a reward's two faces, what a ceiling would have done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vizer_core.vizer.policy_gradient import grpo
from vizer_lab.exercises.goal import Goal, Number, judge_goals, judge_written
from vizer_lab.practice import Case, Task, Verdict

AS_LOUD, LOUDER = 0.5, 2.0  # of the noisy image, against the other
BOOK_SILENT, BOOK_TALKATIVE = 0.0, 1.0
TALK = 2.0  # times the words of the first caption


def judge_noisy_scale(function: Callable[[Tensor], Tensor], rewards: Tensor) -> Verdict:
    """Judge an advantage on rewards [2, k]: does the near-equal row pull like the other?"""
    found = function(rewards.clone())
    if not isinstance(found, Tensor) or found.shape != rewards.shape:
        got = [*found.shape] if isinstance(found, Tensor) else type(found).__name__
        return Verdict(False, f"Wanted one advantage per caption, {[*rewards.shape]}, got {got}.")
    sums, size = found.sum(dim=1), found.abs().mean(dim=1)
    if bool((sums.abs() > 0.01 * size * found.shape[1]).any()):
        return Verdict(
            False,
            f"The advantages of the two images add up to {float(sums[0]):.2f} and "
            f"{float(sums[1]):.2f}: subtract each image's mean first, so that they add up to 0.",
        )

    def ratio(advantage: Tensor) -> float:
        first, second = advantage.abs().mean(dim=1).tolist()
        return first / second

    mine = ratio(found)
    goal = Goal("pull of noise, against signal", above=AS_LOUD, below=LOUDER)
    if mine >= LOUDER:
        advice = "Now noise pulls harder than signal: divide by the spread, not by its square."
    elif torch.allclose(found, rewards - rewards.mean(dim=1, keepdim=True), atol=1e-6):
        advice = "These are differences from the mean, and small ones stay small. Divide them."
    else:
        advice = (
            "Small differences stay small. If you divided, it was by one number for both images: "
            "each row has its own spread."
        )
    return judge_goals([goal], [mine], [ratio(grpo(rewards))], advice)


def judge_two_weights(
    silent: Number, talkative: Number, words_at: Callable[[float], float], first: float
) -> Verdict:
    """Judge two weights of a prior: with one the picks are short, with the other long."""
    silent, talkative = float(silent), float(talkative)
    if min(silent, talkative) < 0:
        return Verdict(
            False, "A weight below 0 charges for a word twice, with the image and without it."
        )
    goals = [
        Goal("words of the silent one's picks", below=first, places=1),
        Goal("words of the talkative one's", above=TALK * first, places=1),
    ]
    mine, book = (
        [words_at(a), words_at(b)] for a, b in ((silent, talkative), (BOOK_SILENT, BOOK_TALKATIVE))
    )
    if silent > talkative:
        advice = "The two are the wrong way round: the weight refunds what words cost."
    elif not goals[0].met(mine[0]):
        advice = "The first weight pays for words: refund less of what they cost."
    else:
        advice = "The second weight refunds too little: give more of what words cost back."
    return judge_goals(goals, mine, book, advice)


def _too_early(kl: Sequence[float], limit: float) -> int:
    """One step too few: the KL of a step is known when the step is done, so that step counts."""
    return next((step for step, far in enumerate(kl) if far > limit), len(kl))


def _never(kl: Sequence[float], limit: float) -> int:
    """This run never stops. It ends with the first step whose KL lies above the ceiling."""
    return len(kl)


def _at_once(kl: Sequence[float], limit: float) -> int:
    """This run always stops after its first step. There the KL is 0: B is zero, and the model is
    its base."""
    return 1


def judge_ceiling(
    function: Callable[[Sequence[float], float], int],
    kl: Sequence[float],
    steps_of: Callable[[float], int],
    limits: Sequence[float],
) -> Verdict:
    """Judge a forecast of how many steps a run has under a ceiling, from the KL without one.

    `steps_of` runs the training again under a ceiling and returns its steps.
    """
    true = {limit: steps_of(limit) for limit in limits}
    task = Task(
        answer=lambda kl, limit: true[limit],
        cases=lambda: [Case(f"a ceiling of {limit:.2g}", ([*kl], limit)) for limit in limits],
        mistakes=(_too_early, _never, _at_once),
    )
    return judge_written(function, task)
