"""95% bootstrap intervals on the numbers of a gap report.

Pairs are drawn with replacement, so image and text stay together. Every number here is a function
of weighted sums over pairs; one resample is therefore one row of a count matrix, and a thousand of
them are a few matrix products.

Left out on purpose: the maximum and minimum of the pair cosine (the bootstrap is not valid for
extremes), the KS distances, and all cuts but that of `separability`, which stays where the full
sample puts it.

Resampling n pairs lengthens the squared mean gap by (mean |g_i|^2 - |mean g|^2) / n on average,
which with few pairs would push the interval of `gap_norm` off its own estimate. That known amount
is taken off each resample (`gap_norm` and `constant_share`).

Other numbers are biased too, and resampling repeats what sampling did. The two largest of d noisy
squares are too large, and drawn again they are larger still: with many dimensions the whole
percentile interval of `top2_share` lies above the estimate. A variance loses what the resampled
mean takes up, so that of `pooled_std` lies a little below. `centred=True` takes the mean shift of
the resamples off these (`BIASED`), and names it; the stored studies have plain percentiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.gap.pairs import require_pairs
from vizer_core.gap.separability import midpoint_correct
from vizer_core.metrics.resampling import draw_counts, percentiles
from vizer_core.metrics.stats import Interval

RESAMPLES_AT_ONCE = 64
MIN_PAIRS = 10
BIASED = ("pooled_std", "skewness", "excess_kurtosis", "top2_share")  # no line in the pairs' sums


@dataclass(frozen=True)
class CentredInterval(Interval):
    """An interval about its estimate; `bias` is what resampling added on average, taken off it."""

    bias: float = 0.0


def bootstrap_gap(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m e"],
    *,
    generator: torch.Generator,
    resamples: int = 1000,
    centred: bool = False,
) -> dict[str, Interval]:
    """Return 95% intervals, by `GapReport` field name, from resampled pairs.

    With `centred` no estimate lies outside of its interval, and each is a `CentredInterval`.

    >>> from vizer_core.shapes import unit_norm
    >>> rng = torch.Generator().manual_seed(0)
    >>> image, text = (unit_norm(torch.randn(50, 8, generator=rng)) for _ in range(2))
    >>> interval = bootstrap_gap(image, text, generator=rng, resamples=200)["pair_cosine_mean"]
    >>> interval.low < interval.estimate < interval.high
    True
    """
    require_pairs(image_features, text_features)
    if len(image_features) < MIN_PAIRS:
        raise ValueError(
            f"got {len(image_features)} pairs, wanted at least {MIN_PAIRS} to resample: a draw "
            "could contain one pair only, and has no spread then"
        )
    if resamples < 40:
        raise ValueError(f"resamples is {resamples}, wanted at least 40 for a 95% interval")
    image, text = image_features.double(), text_features.double()
    sums = _PairSums.of(image, text)
    n = len(image)
    estimate = sums.statistics(torch.ones(1, n, dtype=torch.float64, device=image.device))
    lengthening, drawn = sums.lengthening(), []
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, resamples - start)
        counts = draw_counts(count, n, generator).to(image.device)
        drawn.append(sums.statistics(counts, lengthening=lengthening))
    interval = _centred_interval if centred else _plain_interval
    return {
        name: interval(name, float(value), torch.cat([part[name] for part in drawn]), n)
        for name, value in estimate.items()
    }


def _plain_interval(name: str, estimate: float, resampled: Tensor, n: int) -> Interval:
    return percentile_interval(estimate, resampled, n=n)


def _centred_interval(name: str, estimate: float, resampled: Tensor, n: int) -> CentredInterval:
    """Take the mean shift off the numbers that have one; widen by rounding, to the estimate."""
    bias = float(resampled.mean()) - estimate if name in BIASED else 0.0
    found = percentile_interval(estimate, resampled - bias, n=n)
    low, high = min(found.low, estimate), max(found.high, estimate)
    if name == "top2_share":
        low, high = max(low, 0.0), min(high, 1.0)
    return CentredInterval(estimate, low, high, n, bias)


def bootstrap_mean(
    values: Float[Tensor, " n"], *, generator: torch.Generator, resamples: int = 1000
) -> Interval:
    """Return the mean of per-pair values and its 95% interval; give differences to compare two.

    >>> bootstrap_mean(torch.ones(5), generator=torch.Generator().manual_seed(0))
    Interval(mean=1.0, low=1.0, high=1.0, n=5)
    """
    if values.numel() < 2:
        raise ValueError(f"got {values.numel()} value, wanted at least 2 to resample")
    flat, means = values.double(), []
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, resamples - start)
        weights = draw_counts(count, len(flat), generator).to(flat.device)
        means.append(weights @ flat / len(flat))
    return percentile_interval(float(flat.mean()), torch.cat(means), n=len(flat))


def percentile_interval(
    estimate: float, resampled: Float[Tensor, " k"], *, n: int | None = None
) -> Interval:
    """Take the 2.5th and 97.5th percentile of values resampled from `n` items.

    >>> percentile_interval(50.0, torch.arange(101.0))
    Interval(mean=50.0, low=2.5, high=97.5, n=None)
    """
    return Interval(estimate, *percentiles(resampled), n=n)


@dataclass(frozen=True)
class _PairSums:
    """What each pair adds to the sums that the statistics are made of."""

    image: Tensor  # [n d]
    text: Tensor  # [n d]
    powers: Tensor  # [n 4]: sums over dimensions of gap, gap^2, gap^3, gap^4
    cosine: Tensor  # [n]
    correct: Tensor  # [n]

    @classmethod
    def of(cls, image: Tensor, text: Tensor) -> _PairSums:
        gaps = text - image
        powers = torch.stack([gaps.pow(k).sum(dim=1) for k in range(1, 5)], dim=1)
        return cls(image, text, powers, (image * text).sum(dim=1), midpoint_correct(image, text))

    def lengthening(self) -> float:
        """What resampling adds to the squared norm of the mean gap, on average."""
        mean = (self.text - self.image).mean(dim=0)
        return float(self.powers[:, 1].mean() - mean.square().sum()) / len(self.image)

    def statistics(self, counts: Tensor, *, lengthening: float = 0.0) -> dict[str, Tensor]:
        """Compute every statistic for each row of `counts` [resamples n]."""
        n, dim = self.image.shape
        image_sum, text_sum = counts @ self.image, counts @ self.text
        gap = (text_sum - image_sum) / n
        squares = gap.square()
        length = squares.sum(dim=1)
        corrected = (length - lengthening).clamp_min(0)
        m1, m2, m3, m4 = (counts @ self.powers / (n * dim)).unbind(dim=1)
        variance = (m2 - m1**2).clamp_min(torch.finfo(torch.float64).tiny)
        third = m3 - 3 * m1 * m2 + 2 * m1**3
        fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
        return {
            "gap_norm": corrected.sqrt(),
            "pair_cosine_mean": counts @ self.cosine / n,
            "pooled_mean": m1,
            "pooled_std": variance.sqrt(),
            "skewness": third / variance**1.5,
            "excess_kurtosis": fourth / variance**2 - 3,
            "constant_share": corrected / (m2 * dim).clamp_min(torch.finfo(torch.float64).tiny),
            "top2_share": squares.topk(min(2, dim), dim=1).values.sum(dim=1)
            / length.clamp_min(torch.finfo(torch.float64).tiny),
            "cone_image": _cone(image_sum, counts),
            "cone_text": _cone(text_sum, counts),
            "separability": counts @ self.correct / n,
        }


def _cone(total: Tensor, counts: Tensor) -> Tensor:
    """Mean cosine over pairs of *different* originals: a row's copies are not compared."""
    copies = counts.square().sum(dim=1)
    n = counts.shape[1]
    return (total.square().sum(dim=1) - copies) / (n * n - copies)
