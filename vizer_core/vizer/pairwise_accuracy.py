"""Does a score tell images apart, and who gets the credit? Counts by image, ready for intervals.

Own captions come k an image, in the order A, A, B, B. A policy gradient compares the captions of
one image with one another, and a shuffled control gives an image the target of another; so a
score has three properties that matter before anything is trained on it:

===========  ===================================================================================
accuracy     how often a caption scores above another image's caption, under the same image:
             `forecast.auc`, image by image. No label
preference   how often the better of two captions of one image scores higher. Needs to know which
             is better: a check of scores in a world that is known, not a label for training
credit       correlation of scores with another number of the same captions, such as their length:
             differences within images alone. No label
===========  ===================================================================================
"""

from __future__ import annotations

import numpy as np
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vizer_core.metrics.stats import Statistics, rate_statistics


def pairwise_accuracy(
    own: Float[Tensor, " m"], other: Float[Tensor, " m"], *, samples: int
) -> Statistics:
    """Count by image how often the own caption scores higher than another's; ties count half.

    >>> import torch
    >>> own, other = torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor([0.0, 3.0, 3.0, -1.0])
    >>> pairwise_accuracy(own, other, samples=2).score
    0.625
    """
    gaps = _by_image(own, samples) - _by_image(other, samples)
    return _rate(_wins(gaps).sum(axis=1), np.full(len(gaps), samples))


def preference(
    scores: Float[Tensor, " m"], quality: Float[Tensor, " m"], *, samples: int, least: float = 0.0
) -> Statistics:
    """Count by image how often the better of two of its captions scores higher.

    Only pairs whose quality differs by more than `least` count.

    >>> import torch
    >>> preference(torch.tensor([0.1, 0.4, 0.2]), torch.tensor([0.0, 1.0, 1.0]), samples=3).score
    1.0
    """
    said, good = _by_image(scores, samples), _by_image(quality, samples)
    gaps = said[:, :, None] - said[:, None, :]
    counted = good[:, :, None] - good[:, None, :] > least
    if not counted.any():
        raise ValueError(
            f"no two captions of an image differ in quality by more than {least}: draw more "
            "captions, or lower `least`"
        )
    wins = np.where(counted, _wins(gaps), 0.0)
    return _rate(wins.sum(axis=(1, 2)), counted.sum(axis=(1, 2)))


def pair_part(scores: Float[np.ndarray, "b k"]) -> Float[np.ndarray, "b k"]:
    """Take row and column means out of a table of scores: what is left belongs to the pairs.

    >>> pair_part(np.array([[3.0, 0.0], [1.0, 0.0]])).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    return scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()


def credit(scores: Float[Tensor, " m"], moved: Float[Tensor, " m"], *, samples: int) -> Statistics:
    """Correlate scores with movements of log-probability, both less their image's mean.

    >>> import torch
    >>> round(credit(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 5.0]), samples=2).score, 6)
    1.0
    """
    a, b = (_by_image(values, samples) for values in (scores, moved))
    a, b = (values - values.mean(axis=1, keepdims=True) for values in (a, b))
    return Statistics(np.stack([(x * y).sum(axis=1) for x, y in ((a, b), (a, a), (b, b))], 1), _r)


def _by_image(values: Tensor, samples: int) -> np.ndarray:
    if samples < 1 or not len(values) or len(values) % samples:
        raise ValueError(f"{len(values)} values, {samples} an image: wanted a whole number of")
    return rearrange(values.double().cpu().numpy(), "(b k) -> b k", k=samples)


def _wins(gaps: np.ndarray) -> np.ndarray:
    return (gaps > 0) + 0.5 * (gaps == 0)


def _rate(true: np.ndarray, said: np.ndarray) -> Statistics:
    return rate_statistics(true, said)


def _r(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / np.sqrt(sums[..., 1] * sums[..., 2])
