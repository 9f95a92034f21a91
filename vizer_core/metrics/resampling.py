"""Draws and percentiles of every bootstrap and permutation test.

Two kinds of statistics are resampled, each with the random numbers that its stored results were
made with:

==================  ============================================================================
metrics             `metrics.stats`: sums over images, numpy, a seed: `multiplicities`, `swaps`,
                    `bounds`
gap of features     `gap.interval`: sums over pairs, on the features' device, a torch generator:
                    `draw_counts`, `percentiles`
==================  ============================================================================

Both draw how often each item occurs in a resample, so that a resample of any sum is one row of a
matrix product. numpy and torch interpolate percentiles alike but for the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

LOW, HIGH = 2.5, 97.5  # percentiles: the ends of a 95% interval
BLOCK = 2_000_000  # entries drawn at once: bounds memory; another size gives other `swaps`


def multiplicities(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draw resamples of `n` items as rows of multiplicities, in blocks."""
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK // n)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        draws = rng.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
        counts = np.bincount(draws.ravel(), minlength=rows * n)
        yield counts.reshape(rows, n).astype(np.float64)


def swaps(n: int, permutations: int, seed: int) -> Iterator[np.ndarray]:
    """Draw which images swap their labels, as rows of 0 and 1, in blocks."""
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK // n)
    for start in range(0, permutations, block):
        rows = min(block, permutations - start)
        packed = rng.integers(0, 256, size=(rows, -(-n // 8)), dtype=np.uint8)
        yield np.unpackbits(packed, axis=1, count=n).astype(np.float64)


def bounds(scores: np.ndarray) -> tuple[float, float]:
    """Return the ends of the interval of resampled scores; those without a value are left out.

    >>> bounds(np.arange(101.0))
    (2.5, 97.5)
    """
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.percentile(finite, [LOW, HIGH])
    return float(low), float(high)


def draw_counts(resamples: int, n: int, generator: torch.Generator) -> Float[Tensor, "r n"]:
    """Draw how often each of n items occurs in each resample; rows sum to n.

    >>> draw_counts(2, 5, torch.Generator()).sum(dim=1)
    tensor([5., 5.], dtype=torch.float64)
    """
    drawn = torch.randint(n, (resamples, n), generator=generator)
    counts = torch.zeros(resamples, n, dtype=torch.float64)
    return counts.scatter_add_(1, drawn, torch.ones_like(counts))


def percentiles(resampled: Float[Tensor, " k"]) -> tuple[float, float]:
    """Return the ends of the interval of resampled values.

    >>> percentiles(torch.arange(101.0))
    (2.5, 97.5)
    """
    ends = torch.tensor([LOW / 100, HIGH / 100], dtype=torch.float64, device=resampled.device)
    low, high = resampled.double().quantile(ends).tolist()
    return low, high
