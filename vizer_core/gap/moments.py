"""Mean, spread, skew and kurtosis of a set of numbers, in float64, that merge across shards.

A set is stored as its count, mean and central power sums; two disjoint sets combine by the pairwise
formulas of Pebay 2008 (Sandia report SAND2008-6212, equations 1.1 to 1.6), without a second look at
the numbers. All moments are population moments (divided by the count).
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

BLOCK = 1 << 20  # entries turned into float64 at a time


@dataclass(frozen=True)
class Moments:
    """Count, mean and sums of (x - mean)^k; a flat set has skewness and excess kurtosis 0."""

    count: int = 0
    mean: float = 0.0
    sum2: float = 0.0
    sum3: float = 0.0
    sum4: float = 0.0

    @property
    def std(self) -> float:
        """Population standard deviation."""
        return (self.sum2 / self.count) ** 0.5

    @property
    def skewness(self) -> float:
        """Third standardised moment: 0 for a symmetric set."""
        return self.sum3 / self.count / self.std**3 if self.sum2 > 0 else 0.0

    @property
    def excess_kurtosis(self) -> float:
        """Fourth standardised moment less 3: 0 for a normal curve."""
        return self.sum4 / self.count / self.std**4 - 3 if self.sum2 > 0 else 0.0

    def merge(self, other: Moments) -> Moments:
        """Combine with the moments of other numbers, as if all had been seen together."""
        if self.count == 0 or other.count == 0:
            return other if self.count == 0 else self
        a, b = self.count, other.count
        n, step = a + b, other.mean - self.mean
        part = step / n
        return Moments(
            count=n,
            mean=self.mean + b * part,
            sum2=self.sum2 + other.sum2 + step * part * a * b,
            sum3=self.sum3
            + other.sum3
            + step * part**2 * a * b * (a - b)
            + 3 * part * (a * other.sum2 - b * self.sum2),
            sum4=self.sum4
            + other.sum4
            + step * part**3 * a * b * (a * a - a * b + b * b)
            + 6 * part**2 * (a * a * other.sum2 + b * b * self.sum2)
            + 4 * part * (a * other.sum3 - b * self.sum3),
        )


def moments(values: Float[Tensor, "*axes"]) -> Moments:
    """Take the moments of every entry, in blocks, so that no float64 copy of the whole is made.

    >>> import torch
    >>> found = moments(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
    >>> found.mean, found.std, found.excess_kurtosis
    (0.0, 1.0, -2.0)
    """
    if values.numel() == 0:
        raise ValueError("got no numbers, wanted at least one")
    total = Moments()
    for block in values.reshape(-1).split(BLOCK):
        total = total.merge(_of_block(block))
    return total


def _of_block(block: Tensor) -> Moments:
    entries = block.double()
    mean = entries.mean()
    centred = entries - mean
    square = centred * centred
    return Moments(
        count=entries.numel(),
        mean=float(mean),
        sum2=float(square.sum()),
        sum3=float(square @ centred),
        sum4=float(square @ square),
    )
