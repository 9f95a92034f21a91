"""Hard negatives: the other images that a tower finds most like an image, and a reward among them.

`bags_of` makes the bags that self-retrieval is tested in (`metrics.self_retrieval.bag_hits`), and
`hardening` the curriculum: fewer negatives are nearer ones.

Telling an image from a random other one needs its background only. Telling it from its nearest
neighbours needs what is on it. Self-retrieval among such distractors is what Gaur et al.
(2409.03025) train and test captioners with; the images here are unlabelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from vizer_core.vizer.policy_gradient import captions_an_image, name_of
from vizer_core.vizer.rewards import PairReward
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch

ROWS_AT_ONCE = 1024


def nearest_images(
    features: Float[Tensor, "n d"], *, count: int, among: Float[Tensor, "m d"] | None = None
) -> Int[Tensor, "n q"]:
    """Return the rows of the `count` most similar images by cosine, nearest first.

    Without `among`, an image is compared with the others of `features` and never with itself.

    >>> nearest_images(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), count=1)
    tensor([[1],
            [0],
            [1]])
    """
    table = functional.normalize((features if among is None else among).float(), dim=-1)
    least = count + (among is None)
    if count < 1 or len(table) < least:
        raise ValueError(f"count is {count} of {len(table)} images: wanted 1 <= count < images")
    found = []
    for first in range(0, len(features), ROWS_AT_ONCE):
        some = functional.normalize(features[first : first + ROWS_AT_ONCE].float(), dim=-1)
        scores = some @ table.T
        if among is None:
            own = torch.arange(len(some), device=scores.device)
            scores[own, own + first] = -2.0
        found.append(scores.topk(count, dim=1).indices)
    return torch.cat(found)


@dataclass(frozen=True, eq=False)
class HardNegativeReward:
    """The cosine with the own image less the mean cosine with the images nearest to it.

    `images` are the vectors of unlabelled images, as `pair.image_vectors` gives them. An image
    that is the own one, or its copy, is no negative: cosines above `same` are passed over.
    """

    pair: PairReward
    images: Float[Tensor, "n d"]
    negatives: int = 4
    same: float = 1 - 1e-6

    def __post_init__(self) -> None:
        if not 1 <= self.negatives < len(self.images):
            raise ValueError(
                f"{self.negatives} negatives of {len(self.images)} images: wanted at least 1, and "
                "fewer than the images"
            )

    @property
    def name(self) -> str:
        """`hard_negatives:` and the inner reward's name."""
        return f"hard_negatives({self.negatives}):{name_of(self.pair)}"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by the margin of their own image."""
        k = captions_an_image(vision, captions)
        texts = functional.normalize(self.pair.caption_vectors(captions).float(), dim=-1)
        own = functional.normalize(self.pair.image_vectors(vision).float(), dim=-1).to(texts)
        table = functional.normalize(self.images.float(), dim=-1).to(texts)
        likeness = own @ table.T
        likeness[likeness > self.same] = -2.0
        near = likeness.topk(self.negatives, dim=1).indices.repeat_interleave(k, dim=0)
        margin = torch.einsum("md,mqd->mq", texts, table[near]).mean(dim=1)
        return (texts * own.repeat_interleave(k, dim=0)).sum(dim=1) - margin


def bags_of(features: Float[Tensor, "n d"], *, size: int) -> Int[Tensor, "n q"]:
    """Return a bag per image: itself, then the `size` - 1 images most like it.

    >>> bags_of(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), size=2).tolist()
    [[0, 1], [1, 0], [2, 1]]
    """
    near = nearest_images(features, count=size - 1)
    return torch.cat([torch.arange(len(near), device=near.device)[:, None], near], dim=1)


def hardening(
    pair: PairReward, images: Float[Tensor, "n d"], negatives: Sequence[int] = (32, 8, 2)
) -> tuple[HardNegativeReward, ...]:
    """Return rewards from easy to hard: the mean of many neighbours, then of ever fewer.

    The bag curriculum of Gaur et al. (2409.03025): train on one after the other, the
    same adapter throughout.
    """
    if list(negatives) != sorted(set(negatives), reverse=True) or not negatives:
        raise ValueError(f"negatives are {list(negatives)}: wanted ever fewer, as fewer are nearer")
    return tuple(HardNegativeReward(pair, images, count) for count in negatives)
