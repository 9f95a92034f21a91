"""Self-retrieval R@k: does a caption find its own image among the others?

Captions are queries and images the gallery, both as features of one joint space. A caption that
fits every image finds none, so this sees generic captions that n-gram metrics reward. It depends
on the gallery: R@1 among 100 images is no R@1 among 5,000, so the gallery's size belongs in the
signature. Features of the encoder that trained a captioner flatter that captioner.

Equal candidates (one caption written twice) can count in three ways, and which one matters where
many are equal: `retrieval_credit` names it, and every R@k of this package goes through it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vizer_core.shapes import unit_norm

_QUERIES = 1024  # rows of the similarity matrix held at once


def self_retrieval_hits(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "n d"], *, k: int = 1
) -> Bool[Tensor, " n"]:
    """Say for each caption whether its image is among the first k; the mean is R@k."""
    if not 1 <= k <= len(image_features):
        raise ValueError(f"k={k}: wanted 1 to {len(image_features)}, the number of images")
    blocks = _blocks(image_features, text_features)
    hits = [retrieval_credit(table, own, ties="against", k=k) for table, own in blocks]
    return torch.cat(hits).bool()


def bag_hits(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "n d"],
    bags: Int[Tensor, "n q"],
) -> Bool[Tensor, " n"]:
    """Say of each caption whether its image ranks first in its bag; the mean is R@1 in bags.

    The first image of a bag is the caption's own, the others are those most like it: TrueMatch
    (Gaur et al. 2409.03025) builds such bags, since among random images a caption need
    only tell the place. `vizer.neighbours.bags_of` makes them. Ties count against the caption.
    """
    if len(bags) != len(text_features) or bags.shape[1] < 2:
        raise ValueError(
            f"bags {tuple(bags.shape)} for {len(text_features)} captions: wanted a bag each, "
            "its own image and at least one other"
        )
    images, texts = unit_norm(image_features), unit_norm(text_features)
    table = torch.einsum("nd,nqd->nq", texts, images[bags.to(images.device)])
    return retrieval_credit(table, table[:, 0], ties="against").bool()


def retrieval_credit(
    similarity: Float[Tensor, "b c"],
    own: Float[Tensor, " b"],
    *,
    ties: Literal["against", "for", "shared"],
    k: int = 1,
    within: float = 0.0,
) -> Float[Tensor, " b"]:
    """Credit each query whose own candidate is among the first k; `own` is its similarity.

    Candidates as similar as the own one count `against` the query (they stand before it), `for` it
    (behind it), or the first place is `shared`: 1 over the number of candidates within `within` of
    the best. The last is what drawing one of the equals would give on average, and has k = 1.

    >>> table, own = torch.tensor([[0.5, 0.5, 0.1]]), torch.tensor([0.5])
    >>> [float(retrieval_credit(table, own, ties=ties)) for ties in ("against", "for", "shared")]
    [0.0, 1.0, 0.5]
    """
    if ties == "shared":
        if k != 1:
            raise ValueError(f"k={k}: a shared place is the first, wanted k = 1")
        best = similarity.amax(dim=1)
        tied = (similarity >= best[:, None] - within).sum(dim=1)
        return (own >= best - within).float() / tied
    if ties == "for":
        return ((similarity > own[:, None]).sum(dim=1) < k).float()
    return ((similarity >= own[:, None]).sum(dim=1) <= k).float()


def _blocks(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "n d"]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows of the similarity of texts to images, and each text's to its own image."""
    images, texts = unit_norm(image_features), unit_norm(text_features)
    for start in range(0, len(texts), _QUERIES):
        similarity = texts[start : start + _QUERIES] @ images.T
        index = torch.arange(start, start + len(similarity), device=images.device)
        yield similarity, similarity.gather(1, index[:, None])[:, 0]
