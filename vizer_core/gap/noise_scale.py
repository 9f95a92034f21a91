"""How much noise stands in for the gap: the rule that matches the angle of a pair.

MacCap section 3.2 adds Gaussian noise to text features and finds its best variance, .016, by a
sweep (supplement). The rule here finds it without one. Let t have length 1 and let the noise have
standard deviation `std` in each of d coordinates. The noise has length about std sqrt(d) and is
nearly orthogonal to t, so

    cos(t, t + noise) = 1 / sqrt(1 + d std^2).

Set this equal to the mean cosine c of true pairs: std^2 = (1 / c^2 - 1) / d.

symbol -> name: sigma -> std; c -> cosine; d -> dim.

Where we differ: the rule is ours. With the paper's own c = .330 and d = 512 it gives .0160. It
matches one angle, not the position: the noise has mean zero, the gap does not.
"""

from __future__ import annotations


def cosine_after_noise(std: float, dim: int) -> float:
    """Return the cosine between a unit vector and itself plus noise of `std` per coordinate.

    The noise's length is about std * sqrt(dim). Exact for large dim.

    >>> round(cosine_after_noise(0.016**0.5, 512), 4)
    0.3298
    """
    _require_dim(dim)
    if std < 0:
        raise ValueError(f"std is {std}, wanted 0 or more: pass a standard deviation")
    return (1 + dim * std**2) ** -0.5


def matched_noise_std(cosine: float, dim: int) -> float:
    """Return the std per coordinate whose noise turns a unit vector by the angle of a pair.

    The noise's length is then sqrt(1 / cosine^2 - 1).

    >>> round(matched_noise_std(0.330, 512) ** 2, 4)  # MacCap's best variance is .016
    0.016
    """
    _require_dim(dim)
    if not 0 < cosine <= 1:
        raise ValueError(
            f"cosine is {cosine}, wanted above 0 and up to 1: noise never turns a vector by a "
            "right angle or more on average"
        )
    return ((1 / cosine**2 - 1) / dim) ** 0.5


def _require_dim(dim: int) -> None:
    if dim < 1:
        raise ValueError(f"dim is {dim}, wanted the width of the features, at least 1")
