"""Training pairs: cached features, the caption to be said from each, and batches of them.

CLIP reads the corpus once; training only ever sees its features. Batches contain captions of about
one length, so that little is spent on padding, and which captions meet is still a matter of
chance: a random order is cut into pools, and only within a pool captions are sorted by length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.shapes import require_unit_norm

POOL_BATCHES = 32  # batches that are sorted by length together


@dataclass(frozen=True, eq=False)
class TrainingPairs:
    """n features and n captions: `captions[i]` is to be said from `features[i]`.

    Text features make a text-only captioner. Image features make a supervised one.
    """

    features: Float[Tensor, "n d"]
    captions: Sequence[str]

    def __post_init__(self) -> None:
        if len(self.captions) != self.features.shape[0] or not self.captions:
            raise ValueError(
                f"got {len(self.captions)} captions for features {tuple(self.features.shape)}: "
                "wanted one caption per row, and at least one"
            )
        if isinstance(self.captions, str):
            raise ValueError("captions is one string: wanted a sequence of captions")
        empty = [i for i, caption in enumerate(self.captions) if not caption.strip()]
        if empty:
            raise ValueError(
                f"{len(empty)} captions are empty, the first in row {empty[0]}: drop them and "
                "their features"
            )
        require_unit_norm(self.features, "features")

    def __len__(self) -> int:
        return len(self.captions)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of captions and features, in order: what a model was trained on."""
        digest = hashlib.sha256("\n".join(self.captions).encode())
        digest.update(self.features.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def epoch_batches(
    lengths: Int[Tensor, " n"], batch_size: int, *, generator: torch.Generator
) -> list[Int[Tensor, " b"]]:
    """Deal all items into batches of about one length, in random order.

    Every item comes once. With equal generators every process deals the same batches. One
    batch may be smaller, the last or not.

    >>> batches = epoch_batches(torch.tensor([5, 2, 5, 2]), 2, generator=torch.Generator())
    >>> sorted(sorted(batch.tolist()) for batch in batches)
    [[0, 2], [1, 3]]
    """
    if batch_size < 1 or lengths.numel() == 0:
        raise ValueError(
            f"got {lengths.numel()} items in batches of {batch_size}: wanted at least 1 of each"
        )
    order = torch.randperm(lengths.numel(), generator=generator)
    batches: list[Tensor] = []
    for pool in order.split(batch_size * POOL_BATCHES):
        by_length = pool[lengths[pool].argsort(stable=True)]
        batches.extend(by_length.split(batch_size))
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
