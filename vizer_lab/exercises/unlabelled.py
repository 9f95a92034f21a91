"""Chapter 15: a caption that the score prefers, what a word earns, how much must come off."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vizer_core.runtime import seeded
from vizer_lab.exercises.goal import Goal, judge_goals, judge_written
from vizer_lab.practice import Case, Task, Verdict

STEP = 0.05  # from one share to the next that is tried


def judge_better_caption(
    text: str, agreement: Callable[[str], float], own: str, book: str, usual: str
) -> Verdict:
    """Judge a caption by its view agreement, against the one that the model writes.

    `usual` is a caption that fits any image.
    """
    if not text.strip():
        return Verdict(False, "An empty caption says nothing, and the score has nothing to read.")
    mine, theirs = agreement(text), agreement(own)
    goal = Goal("view agreement, nats", above=theirs)
    if text == own:
        advice = "That is the model's own caption. What else is in the image?"
    elif mine <= agreement(usual):
        advice = (
            "No better than a caption that fits any image. Even a true one scores so if the model "
            "would put it differently: write as it writes."
        )
    else:
        advice = "The right kind of words, and too few of them: name what else is there, and where."
    return judge_goals([goal], [mine], [agreement(book)], advice)


def _centred(rows: Tensor) -> Tensor:
    return rows - rows.mean(dim=1, keepdim=True)


def word_slope(rewards: Tensor, words: Tensor) -> Tensor:
    """Return the slope of rewards [b, k] over words [b, k] within images."""
    other = _centred(words)
    return (_centred(rewards) * other).sum() / (other * other).sum()


def _across(rewards: Tensor, words: Tensor) -> Tensor:
    """You subtracted the mean of the whole table. Images differ, and the policy gradient compares
    the captions of one: subtract each row's own mean."""
    other = words - words.mean()
    return ((rewards - rewards.mean()) * other).sum() / (other * other).sum()


def _as_given(rewards: Tensor, words: Tensor) -> Tensor:
    """You subtracted nothing: subtract each row's mean, of rewards and of words."""
    return (rewards * words).sum() / (words * words).sum()


def _by_column(rewards: Tensor, words: Tensor) -> Tensor:
    """You subtracted the means of columns. An image is a row: `dim=1`."""
    return word_slope(rewards.T, words.T)


def _turned(rewards: Tensor, words: Tensor) -> Tensor:
    """That is the slope of words over rewards: divide by the squares of the words."""
    return word_slope(words, rewards)


def _correlation(rewards: Tensor, words: Tensor) -> Tensor:
    """That is the correlation. A slope has a unit, nats per word: divide by the squares of words
    alone, and take no root."""
    one, other = _centred(rewards), _centred(words)
    return (one * other).sum() / ((one * one).sum() * (other * other).sum()).sqrt()


def _mean_of_rows(rewards: Tensor, words: Tensor) -> Tensor:
    """You averaged the slopes of images. One with captions of nearly equal length says little, so
    add up products and squares over all images before you divide."""
    one, other = _centred(rewards), _centred(words)
    return ((one * other).sum(dim=1) / (other * other).sum(dim=1)).mean()


def judge_word_pays(function: Callable[[Tensor, Tensor], Tensor]) -> Verdict:
    """Judge the slope of rewards over words within images, tables [b, k] both."""

    def case(images: int) -> Case:
        noise = seeded(images)
        words = torch.randint(2, 15, (images, 4), generator=noise).float()
        of_image = 5 * torch.randn(images, 1, generator=noise)
        rewards = 0.3 * words + of_image + torch.randn(images, 4, generator=noise)
        return Case(f"{images} images with 4 captions", (rewards, words))

    task = Task(
        answer=word_slope,
        cases=lambda: [case(5), case(12)],
        mistakes=(_across, _as_given, _by_column, _turned, _correlation, _mean_of_rows),
    )
    return judge_written(function, task)


def book_share(winner: Callable[[float], str], word: str) -> float:
    """Return the least share, in steps of `STEP` from 0 to 1, at which a word wins.

    >>> book_share(lambda share: "a" if share > 0.12 else "itap", "a")
    0.15
    """
    shares = [round(step * STEP, 2) for step in range(round(1 / STEP) + 1)]
    return next((share for share in shares if winner(share) == word), 1.0)


def judge_least_share(
    function: Callable[[Callable[[float], str], str], float],
    winner: Callable[[float], str],
    word: str,
) -> Verdict:
    """Judge a search for the least share of the second term at which a first word wins."""
    share, wanted = function(winner, word), book_share(winner, word)
    if not isinstance(share, float | int):
        return Verdict(
            False, f"Wanted a share between 0 and 1, got {share!r}: is `return` there and right?"
        )
    both = f"Yours is {share:.2f}, wanted {wanted:.2f}."
    if abs(share - wanted) < STEP / 2:
        return Verdict(True, both)
    if winner(share) != word:
        return Verdict(
            False,
            f"There {winner(share)!r} wins: with so little taken off, a word that begins every "
            f"caption is liked for being likely. {both}",
        )
    return Verdict(
        False,
        f"There {word!r} wins, and at a smaller share too. Begin at 0, go up in steps of {STEP:g}, "
        f"and stop at the first that will do. {both}",
    )
