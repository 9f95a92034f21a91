"""Self-retrieval R@k: does a caption find its own image among the others?

Captions are queries and images the gallery, both as features of one joint space. A caption that
fits every image finds none, so this sees generic captions that n-gram metrics reward. It depends
on the gallery: R@1 among 100 images is no R@1 among 5,000, so the gallery's size belongs in the
signature. Features of the encoder that trained a captioner flatter that captioner.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vizer_core.shapes import unit_norm

_QUERIES = 1024  # rows of the similarity matrix held at once


def self_retrieval_ranks(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "n d"]
) -> Int[Tensor, " n"]:
    """Return how many other images each caption is at least as similar to as to its own.

    Rank 0 is best. Ties count against the caption.

    >>> self_retrieval_ranks(torch.eye(3), torch.eye(3)[[0, 1, 1]]).tolist()
    [0, 0, 2]
    """
    images, texts = unit_norm(image_features), unit_norm(text_features)
    ranks = []
    for start in range(0, len(texts), _QUERIES):
        similarity = texts[start : start + _QUERIES] @ images.T
        place = torch.arange(start, start + len(similarity), device=images.device)
        own = similarity.gather(1, place[:, None])
        ranks.append((similarity >= own).sum(dim=1) - 1)
    return torch.cat(ranks)


def self_retrieval_hits(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "n d"], *, k: int = 1
) -> Bool[Tensor, " n"]:
    """Say for each caption whether its image is among the first k; the mean is R@k."""
    if not 1 <= k <= len(image_features):
        raise ValueError(f"k={k}: wanted 1 to {len(image_features)}, the number of images")
    return self_retrieval_ranks(image_features, text_features) < k
