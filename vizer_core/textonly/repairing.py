"""Noisy pairs of images and captions: drop, grade, or pair anew by an encoder's alignment.

==================  ==============================================================================
keep_aligned        the best share of pairs by cosine: the filter that data cleaning starts with
                    (Compress & Align, Zhang et al. 2312.06726; TL;DR, Wang et al. 2305.20087)
pair_anew           for each caption the k images that fit it best; of these the one that finds the
                    caption again among all captions (SynC, Kim et al. 2507.18616: one to
                    many, then the way back)
quality_token       which quantile of alignment a pair is in: a word before the caption that a
                    captioner is trained with, and asked for the best at test time (noise-aware
                    learning, Kang et al. 2212.13563)
==================  ==============================================================================

Where we differ: the papers score with encoders trained on hundreds of millions of pairs, and SynC's
way back asks an image for its captions in the same manner. An encoder that was trained on clean
pairs of the same world knows what it filters: that is a label too.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.shapes import unit_norm

QUALITIES = 3


def _cosines(images: Tensor, texts: Tensor) -> Tensor:
    if len(images) != len(texts) or not len(images):
        raise ValueError(
            f"{len(images)} images and {len(texts)} captions: wanted pairs, at least 1"
        )
    return (unit_norm(images) * unit_norm(texts)).sum(dim=-1)


def keep_aligned(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "m d"], *, share: float
) -> Int[Tensor, " k"]:
    """Return the rows of the best-aligned share of pairs, in order.

    >>> keep_aligned(torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]]), share=0.5)
    tensor([0])
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}: wanted 0 < share <= 1")
    cosines = _cosines(image_features, text_features)
    count = max(1, round(share * len(cosines)))
    return cosines.sort(descending=True, stable=True).indices[:count].sort().values


def pair_anew(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m d"],
    *,
    candidates: int = 5,
) -> Int[Tensor, " m"]:
    """Return for each caption the row of the image it is to stand with.

    Among its `candidates` nearest images that one wins whose own ranking puts the caption first:
    the fewest captions fit it better. Of equals the nearer image wins.

    >>> pair_anew(torch.eye(3), torch.eye(3).flip(0), candidates=2)
    tensor([2, 1, 0])
    """
    if not 1 <= candidates <= len(image_features):
        raise ValueError(
            f"{candidates} candidates of {len(image_features)} images: wanted 1 to their number"
        )
    table = unit_norm(text_features) @ unit_norm(image_features).T
    near = table.topk(candidates, dim=1).indices  # nearest first
    own = torch.arange(len(table), device=table.device)
    before = torch.stack(
        [(table[:, image] > table[own, image]).sum(dim=0) for image in near.T], dim=1
    )
    return near.gather(1, before.argmin(dim=1, keepdim=True))[:, 0]


def quality_token(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m d"],
    *,
    qualities: int = QUALITIES,
) -> Int[Tensor, " q"]:
    """Return each pair's quantile of alignment, 0 the worst.

    >>> texts = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    >>> quality_token(torch.eye(2), texts, qualities=2)
    tensor([1, 0])
    """
    if not 2 <= qualities <= len(image_features):
        raise ValueError(f"{qualities} qualities of {len(image_features)} pairs: wanted 2 or more")
    ranks = _cosines(image_features, text_features).argsort(stable=True).argsort()
    return ranks * qualities // len(ranks)
