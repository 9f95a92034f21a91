"""How far a set of numbers is from the normal curve fitted to it.

MacCap section 3.2 says that the pooled gap entries "resemble a Gaussian". Their moments and the
Kolmogorov-Smirnov (KS) distance say how much. With 10^5 and more entries any p-value is 0, and the
mean and standard deviation come from the same entries, so the *distance* is reported, no p-value.

symbol -> name: mu, sigma -> mean, std; D_n -> ks.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.gap.moments import moments

BLOCK = 1 << 20  # sorted entries compared with the curve at a time


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
