"""Chapter 15: a score of captions that needs no label."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from vizer_core.runtime import seeded
from vizer_core.vizer.view_agreement import Terms
from vizer_lab.practice.task import Case, Task


def answer(own: Tensor, others: Tensor) -> Tensor:
    """Return the score of each caption, by the package's weight of the two terms."""
    return Terms(own.mean(1), _log_mean(others)).scores()


def cases() -> list[Case]:
    """Captions that fit their own image better than others', by more or less; some are long."""
    found = []
    for n, views, images, words in ((3, 4, 5, 10), (2, 2, 8, 10), (4, 3, 3, 100)):
        noise = seeded(n)
        own = -words + 3 * torch.randn(n, views, generator=noise)
        others = -2 * words + 6 * torch.randn(n, images, generator=noise)
        says = f"{n} captions of {words} words, {views} views and {images} other images"
        found.append(Case(says, (own, others)))
    return found


def _log_mean(values: Tensor) -> Tensor:
    return values.logsumexp(1) - log(values.shape[1])


def mean_of_logs(own: Tensor, others: Tensor) -> Tensor:
    """Your second term is the mean of the logarithms. It is the logarithm of the mean of the
    probabilities: one image that fits the caption well must count, however many do not."""
    return own.mean(1) - 0.5 * others.mean(1)


def both_log_means(own: Tensor, others: Tensor) -> Tensor:
    """Your first term is the logarithm of a mean. It is the mean of the logarithms: a caption must
    be likely under *every* view."""
    return _log_mean(own) - 0.5 * _log_mean(others)


def log_of_sum(own: Tensor, others: Tensor) -> Tensor:
    """The second term is the logarithm of a sum. Of the mean: subtract the log of the number of
    images, or a larger folder makes every caption worse."""
    return own.mean(1) - 0.5 * others.logsumexp(1)


def all_taken_off(own: Tensor, others: Tensor) -> Tensor:
    """You subtracted all of the second term. Half of it is wanted."""
    return own.mean(1) - _log_mean(others)


def nothing_taken_off(own: Tensor, others: Tensor) -> Tensor:
    """The second term is missing: a caption that fits any image must lose by it."""
    return own.mean(1)


def added(own: Tensor, others: Tensor) -> Tensor:
    """You added the second term. Subtract it: being likely under other images is no merit."""
    return own.mean(1) + 0.5 * _log_mean(others)


def over_captions(own: Tensor, others: Tensor) -> Tensor:
    """Your means run over the captions. Each row is a caption: take them over `dim=1`."""
    return own.mean() - 0.5 * (others.logsumexp(0) - log(len(others))).mean()


def half_of_both(own: Tensor, others: Tensor) -> Tensor:
    """You halved the whole difference. Only the second term is halved."""
    return 0.5 * (own.mean(1) - _log_mean(others))


def sum_of_views(own: Tensor, others: Tensor) -> Tensor:
    """Your first term is a sum over the views. Take their mean, or more views make a caption
    worse."""
    return own.sum(1) - 0.5 * _log_mean(others)


def by_exponentials(own: Tensor, others: Tensor) -> Tensor:
    """A long caption's probability is 0 to the computer, and your logarithm of it minus infinity.
    Stay with logarithms: `logsumexp` subtracts the largest one first."""
    return own.mean(1) - 0.5 * others.exp().mean(1).log()


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        mean_of_logs,
        both_log_means,
        log_of_sum,
        all_taken_off,
        nothing_taken_off,
        added,
        over_captions,
        half_of_both,
        sum_of_views,
        by_exponentials,
    ),
    at_home="`vizer_core.vizer.view_agreement.ViewAgreement`",
)
