"""Teach a CLIP that an image moved a little is the same image: Omniview-Tuning's idea.

The paper (2404.12139, abstract) aligns views of one object "through a minimax-like optimization",
beside the contrastive loss. Here a view is the image moved by less than a patch, which no caption
can tell from the image itself. Of an image's views the farthest is pulled towards it:

    mean over images of max over views v of (1 - cos(f(v), f(image)))

Where we differ: views are moves in the plane, for the drawn world is flat; the image as it is is
the anchor and has no gradient of this loss, where the paper may take a mean of views; all weights
are trained, where the paper trains few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from vizer_core.vlm.views import Offset, held_out_offsets, shift_edges
from vizer_lab.zoo.clip_recipe import Batch, Feed, Stage


def view_alignment(views: Float[Tensor, "v n d"], anchor: Float[Tensor, "n d"]) -> Tensor:
    """Return the mean distance of each image's farthest view, 1 - cosine; features of length 1.

    >>> anchor = torch.eye(2)
    >>> float(view_alignment(torch.stack([anchor, anchor.flip(0)]), anchor))
    1.0
    """
    if not len(views):
        raise ValueError("0 views: wanted at least 1 of each image")
    cosines = einsum(views, anchor.detach(), "v n d, n d -> v n")
    return (1 - cosines).amax(dim=0).mean()


def trained_offsets(patch: int) -> tuple[Offset, ...]:
    """Return every move by less than half a patch, but those that views are tested on.

    >>> len(trained_offsets(14)), (4, 0) in trained_offsets(14), (4, 4) in trained_offsets(14)
    (164, False, True)
    """
    reach = range(-((patch - 1) // 2), (patch - 1) // 2 + 1)
    apart = {(0, 0), *held_out_offsets(patch)}
    return tuple((x, y) for x in reach for y in reach if (x, y) not in apart)


def with_views(
    feed: Feed, offsets: Sequence[Offset], *, count: int, seed: int = 0, shuffled: bool = False
) -> Feed:
    """Return a feed whose batches have `count` views of their images behind the images.

    A view moves the whole batch by one of `offsets`, drawn by seed and step, so that a run that was
    stopped draws the same. `shuffled` is the control: the views are those of each image's
    neighbour in the batch.
    """
    if count < 1 or not offsets:
        raise ValueError(f"{count} views of {len(offsets)} offsets: wanted at least 1 of each")

    def moved(stage: Stage, done: int) -> Iterator[Batch]:
        for step, (images, tokens) in enumerate(feed(stage, done), start=done):
            rng = np.random.default_rng((seed, step))
            shown = images.roll(1, dims=0) if shuffled else images
            drawn = rng.choice(len(offsets), count, replace=count > len(offsets))
            yield torch.cat([images, *(shift_edges(shown, offsets[i]) for i in drawn)]), tokens

    return moved
