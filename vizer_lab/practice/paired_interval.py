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
    ),
    at_home="`vizer_core.metrics.paired_bootstrap`, which draws the rows itself",
)
