"""How far a set of numbers is from the normal curve fitted to it.

MacCap section 3.2 says that the pooled gap entries "resemble a Gaussian". Moments and the
Kolmogorov-Smirnov (KS) distance say how much. With 10^5 and more entries any p-value is 0, and the
mean and standard deviation come from the same entries, so the *distance* is reported, no p-value.

symbol -> name: mu, sigma -> mean, std; g1 -> skewness; g2 -> excess_kurtosis; D_n -> ks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK = 1 << 20  # entries turned into float64 at a time


@dataclass(frozen=True)
class Moments:
    """Population moments of a set of numbers; a flat set has skewness and kurtosis 0."""

    count: int
    mean: float
    std: float
    skewness: float
    excess_kurtosis: float


def moments(values: Float[Tensor, "*axes"]) -> Moments:
    """Take mean, standard deviation, skewness and excess kurtosis in float64, two passes.

    >>> moments(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
    Moments(count=4, mean=0.0, std=1.0, skewness=0.0, excess_kurtosis=-2.0)
    """
    flat = values.reshape(-1)
    if flat.numel() == 0:
        raise ValueError("got no numbers, wanted at least one")
    count = flat.numel()
    mean = sum(float(block.double().sum()) for block in flat.split(BLOCK)) / count
    sums = torch.zeros(3, dtype=torch.float64)
    for block in flat.split(BLOCK):
        centred = block.double() - mean
        square = centred * centred
        sums += torch.stack([square.sum(), (square * centred).sum(), (square * square).sum()]).cpu()
    second, third, fourth = (sums / count).tolist()
    if second <= 0:
        return Moments(count, mean, 0.0, 0.0, 0.0)
    return Moments(
        count=count,
        mean=mean,
        std=second**0.5,
        skewness=third / second**1.5,
        excess_kurtosis=fourth / second**2 - 3,
    )


def normal_cdf(x: Float[Tensor, "*axes"], *, mean: float, std: float) -> Float[Tensor, "*axes"]:
    """Evaluate the normal distribution function in float64.

    >>> normal_cdf(torch.tensor([0.0]), mean=0.0, std=1.0)
    tensor([0.5000], dtype=torch.float64)
    """
    if std <= 0:
        raise ValueError(f"std is {std}, wanted a positive number: all values are the same")
    return torch.special.ndtr((x.double() - mean) / std)


def ks_to_fitted_normal(values: Float[Tensor, "*axes"]) -> float:
    """Return the largest gap between the empirical CDF and the normal with the same moments.

    sup over x of |F_n(x) - Phi((x - mean) / std)|, from the sorted values, both sides of each
    jump. The standard deviation is the population one.

    >>> round(ks_to_fitted_normal(torch.tensor([-1.0, 1.0])), 4)  # Phi(1) - 1/2
    0.3413
    """
    fitted = moments(values)
    ordered = values.reshape(-1).sort().values
    count, worst = fitted.count, 0.0
    for start in range(0, count, BLOCK):
        block = ordered[start : start + BLOCK]
        expected = normal_cdf(block, mean=fitted.mean, std=fitted.std)
        before = torch.arange(start, start + len(block), dtype=torch.float64, device=block.device)
        above = ((before + 1) / count - expected).max()
        below = (expected - before / count).max()
        worst = max(worst, float(above), float(below))
    return worst
