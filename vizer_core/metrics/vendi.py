"""How many different things a set contains, and how many are left once its texts are known.

================  ================================================================================
vendi_score       exp of the entropy of the eigenvalues of K / n, K the cosines of n features: n
                  if all are orthogonal, 1 if all are one (Friedman and Dieng 2210.02410, section
                  3). The same of captions' features is the variety of captions
schur_complement  the covariance of image features less what is linear in their texts' features:
                  C_II - C_IT C_TT^-1 C_TI (Ospanov et al. 2412.18645)
left_over         its share of the trace, and the number of its directions: exp of the entropy of
                  its eigenvalues over their sum. Images of one caption differ in what is left
attribute_spread  entropy of an attribute's values over the log of how many it can have: GRADE's
                  diversity of an attribute (Rassin et al. 2410.22592)
================  ================================================================================

Where we differ: the Schur complement's entropy is taken over its own trace, so that how much is
left and in how many directions are two numbers. None of these asks whether anything is true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.shapes import unit_norm

RIDGE = 1e-6  # beside the texts' variances, where fewer texts than dimensions are given


def effective_number(eigenvalues: Float[Tensor, " d"]) -> float:
    """Return exp of the entropy of eigenvalues over their sum; what is below 0 is rounding.

    >>> round(effective_number(torch.tensor([0.5, 0.5, 0.0])), 6)
    2.0
    """
    shares = eigenvalues.double().clamp(min=0)
    if not float(shares.sum()) > 0:
        raise ValueError("all eigenvalues are 0: a set without any spread has no directions")
    shares = shares / shares.sum()
    return float(torch.special.entr(shares).sum().exp())


def vendi_score(features: Float[Tensor, "n d"]) -> float:
    """Return the effective number of different features, by their cosines.

    >>> round(vendi_score(torch.eye(4)), 3), round(vendi_score(torch.ones(4, 2)), 3)
    (4.0, 1.0)
    """
    if len(features) < 1:
        raise ValueError("no features: wanted at least one")
    units = unit_norm(features).double()
    # K = U U^T and U^T U have the same eigenvalues: the smaller of the two is decomposed
    small = units.T @ units if units.shape[1] < len(units) else units @ units.T
    return effective_number(torch.linalg.eigvalsh(small))


def schur_complement(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "m e"]
) -> Float[Tensor, "d d"]:
    """Return the covariance of image features that their texts' features leave over.

    >>> images, texts = torch.randn(50, 3), torch.randn(50, 2)
    >>> told = torch.cat([images[:, :1], texts], dim=1)  # texts that tell the first coordinate
    >>> bool(schur_complement(images, told)[0, 0].abs() < 1e-4)
    True
    """
    if len(image_features) != len(text_features) or len(image_features) < 2:
        raise ValueError(
            f"{len(image_features)} images and {len(text_features)} texts: wanted pairs, at least 2"
        )
    images, texts = (
        part.double() - part.double().mean(0) for part in (image_features, text_features)
    )
    own, cross, known = images.T @ images, images.T @ texts, texts.T @ texts
    ridge = RIDGE * known.diagonal().mean() * torch.eye(len(known), dtype=known.dtype)
    return (own - cross @ torch.linalg.solve(known + ridge, cross.T)) / len(images)


def left_over(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "m e"]
) -> tuple[float, float]:
    """Return the share of the images' variance that texts leave, and in how many directions."""
    left = schur_complement(image_features, text_features)
    centred = image_features.double() - image_features.double().mean(0)
    whole = float(centred.square().sum() / len(centred))
    return float(left.trace()) / whole, effective_number(torch.linalg.eigvalsh(left))


def attribute_spread(values: Sequence[str], *, possible: int) -> float:
    """Return the entropy of an attribute's values over the most it can be: 0 to 1.

    >>> attribute_spread(["red", "blue"], possible=2), attribute_spread(["red", "red"], possible=2)
    (1.0, 0.0)
    """
    counts = Counter(values)
    if not counts or possible < max(2, len(counts)):
        raise ValueError(
            f"{len(counts)} different values of {possible} possible ones: wanted at least one "
            "value, and as many possible ones as there are, 2 or more"
        )
    shares = [count / len(values) for count in counts.values()]
    return abs(sum(share * log(share) for share in shares)) / log(possible)
