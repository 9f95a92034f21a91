"""Chapter 5: the 95% interval of a difference, by resampling the images."""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.metrics.resampling import percentiles
from vizer_core.runtime import seeded
from vizer_lab.practice.task import Case, Task

Ends = tuple[float, float]


def answer(first: Tensor, second: Tensor, rows: Tensor) -> Ends:
    """Return both ends of the interval of the mean difference, by the package's percentiles."""
    return percentiles((first - second)[rows].mean(dim=1))


def cases() -> list[Case]:
    """Scores of the same images by two systems that agree much, or little."""
    found = []
    for n, apart in ((30, 0.1), (12, 0.6), (50, 0.3)):
        noise = seeded(n)
        first = torch.rand(n, generator=noise)
        second = first + apart * torch.rand(n, generator=noise) - 0.03
        rows = torch.randint(n, (400, n), generator=noise)
        found.append(Case(f"{n} images", (first, second, rows)))
    return found


def the_other_way_round(first: Tensor, second: Tensor, rows: Tensor) -> Ends:
    """The sign is the other way round: the difference is the first minus the second."""
    low, high = answer(first, second, rows)
    return -high, -low


def not_paired(first: Tensor, second: Tensor, rows: Tensor) -> Ends:
    """The two systems are resampled apart, so an easy image may count for one of them only. Use the
    same rows for both: subtract image by image, then resample."""
    return percentiles(first[rows].mean(dim=1) - second[rows.flip(0)].mean(dim=1))


def spread_of_images(first: Tensor, second: Tensor, rows: Tensor) -> Ends:
    """These are percentiles over images: where single images lie. The interval is of the mean: take
    the mean of each resample first, then the percentiles over resamples."""
    return percentiles(first - second)


def all_resampled_images(first: Tensor, second: Tensor, rows: Tensor) -> Ends:
    """The mean over the images of a resample is missing: one number per row of `rows`, then the
    percentiles of these."""
    return percentiles((first - second)[rows].flatten())


def ninety_percent(first: Tensor, second: Tensor, rows: Tensor) -> Ends:
    """Those are the percentiles 5 and 95, an interval of 90%. Of 95%, 2.5% lie on either side: .025
    and .975."""
    means = (first - second)[rows].mean(dim=1)
    return float(means.quantile(0.05)), float(means.quantile(0.95))


def smallest_and_largest(first: Tensor, second: Tensor, rows: Tensor) -> Ends:
    """These are the smallest and the largest mean of all resamples; with more resamples they lie
    farther apart. Take the quantiles .025 and .975."""
    means = (first - second)[rows].mean(dim=1)
    return float(means.min()), float(means.max())


def high_before_low(first: Tensor, second: Tensor, rows: Tensor) -> Ends:
    """Low and high have changed places: give the lower end first."""
    low, high = answer(first, second, rows)
    return high, low


def as_if_normal(first: Tensor, second: Tensor, rows: Tensor) -> Ends:
    """You went 1.96 standard deviations of the means to either side, as if they were normal. Nearly
    the same here; but the interval asked for is read off the means: their quantiles .025, .975."""
    means = (first - second)[rows].mean(dim=1)
    return float(means.mean() - 1.96 * means.std()), float(means.mean() + 1.96 * means.std())


def standard_error(first: Tensor, second: Tensor, rows: Tensor) -> Ends:
    """You used the formula of the standard error, without the resamples. Here the interval is read
    off the means of the resamples in `rows`: their quantiles .025 and .975."""
    difference = first - second
    half = float(1.96 * difference.std() / len(difference) ** 0.5)
    return float(difference.mean()) - half, float(difference.mean()) + half


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        the_other_way_round,
        not_paired,
        spread_of_images,
        all_resampled_images,
        ninety_percent,
        smallest_and_largest,
        high_before_low,
        as_if_normal,
        standard_error,
    ),
    at_home="`vizer_core.metrics.paired_bootstrap`, which draws the rows itself",
)
