"""Chapter 14: what a table of scores says about its pairs, and not about images or captions."""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.runtime import seeded
from vizer_core.vizer.pairwise_accuracy import pair_part
from vizer_lab.practice.task import Case, Task


def answer(scores: Tensor) -> Tensor:
    """Return the table less its row and column means, by the package."""
    return torch.from_numpy(pair_part(scores.double().numpy()))


def cases() -> list[Case]:
    """Tables in which images and captions differ by more than the pairs do."""
    found = []
    for number, own in ((3, 0.0), (4, 1.0), (6, 3.0)):
        noise = seeded(number)
        rows, columns = (5 * torch.randn(number, generator=noise) for _ in range(2))
        scores = rows[:, None] + columns + torch.randn(number, number, generator=noise)
        table = scores + own * torch.eye(number) + 2
        found.append(Case(f"{number} images by {number} captions", (table,)))
    return found


def rows_only(scores: Tensor) -> Tensor:
    """You took out what belongs to the image, the mean of its row. What belongs to the caption, the
    mean of its column, is still there: take it out too, and add the mean of the whole table."""
    return scores - scores.mean(dim=1, keepdim=True)


def columns_only(scores: Tensor) -> Tensor:
    """You took out what belongs to the caption, the mean of its column. What belongs to the image,
    the mean of its row, is still there: take it out too, and add the mean of the whole table."""
    return scores - scores.mean(dim=0)


def mean_off_twice(scores: Tensor) -> Tensor:
    """The mean of the whole table is in both means, so you subtracted it twice: add it once."""
    return scores - scores.mean(dim=0) - scores.mean(dim=1, keepdim=True)


def rows_across(scores: Tensor) -> Tensor:
    """Your row means stand across the columns: `keepdim=True` keeps them beside their rows."""
    return scores - scores.mean(dim=0) - scores.mean(dim=1) + scores.mean()


def whole_mean(scores: Tensor) -> Tensor:
    """You took the mean of the whole table out. Each row has its own mean, and each column."""
    return scores - scores.mean()


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(rows_only, columns_only, mean_off_twice, rows_across, whole_mean),
    at_home="`vizer_core.vizer.pairwise_accuracy.pair_part`",
)
