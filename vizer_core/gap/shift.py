"""Moving the two modalities together or apart, and what that does to loss and retrieval.

Liang et al. 2022, section 4.2 and figure 3: with the unit gap direction u (text minus image here;
theirs has the other sign) and a signed amount delta,

    image' = norm(image + delta/2 u),   text' = norm(text - delta/2 u),

so delta > 0 closes the gap, delta < 0 widens it, and delta = 0 changes nothing. The one-sided form
moves images only, by delta u. After re-normalising, the distance left is not gap minus delta: it is
measured, with a sign that turns negative once the two means have passed each other.

Where we differ: the loss in their notebook takes one transpose too many, so both of its halves are
image-to-text; here both directions are computed and `symmetric` is their mean. Retrieval is added,
because a lower loss or a smaller gap is not what a captioner needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from vizer_core.gap.pairs import require_pairs
from vizer_core.gap.stats import gap_vector
from vizer_core.metrics.self_retrieval import retrieval_credit
from vizer_core.shapes import unit_norm

LIANG_DELTAS = tuple(step / 4 for step in range(-20, 21))  # -5 to 5 by .25
TIE = 1e-6  # cosines closer than this are one caption written twice


@dataclass(frozen=True, eq=False)
class ShiftedPairs:
    """Features after a shift, unit-norm again."""

    image_features: Float[Tensor, "n d"]
    text_features: Float[Tensor, "n d"]


@dataclass(frozen=True)
class ContrastiveLoss:
    """Cross-entropy of matching within a batch, in both directions, and their mean."""

    image_to_text: float
    text_to_image: float

    @property
    def symmetric(self) -> float:
        """The loss CLIP is trained with."""
        return (self.image_to_text + self.text_to_image) / 2


@dataclass(frozen=True)
class Recall:
    """R@1 in both directions; a tie between k equal candidates counts 1/k."""

    image_to_text: float
    text_to_image: float


@dataclass(frozen=True)
class ShiftPoint:
    """What one delta gives. `distance` is signed: negative once the means have crossed."""

    delta: float
    distance: float
    pair_cosine_mean: float
    loss: ContrastiveLoss
    recall: Recall


Shift = Callable[[Tensor, Tensor, float], ShiftedPairs]


def shift_modalities(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "m e"], delta: float
) -> ShiftedPairs:
    """Move images and texts towards each other by delta/2 each (away, if negative).

    >>> image, text = torch.tensor([[1.0, 0.0]] * 2), torch.tensor([[0.0, 1.0]] * 2)
    >>> shift_modalities(image, text, 2**0.5).image_features[0]  # half way: they meet
    tensor([0.7071, 0.7071])
    """
    step = delta / 2 * gap_direction(image_features, text_features)
    return ShiftedPairs(
        image_features=unit_norm(image_features + step),
        text_features=unit_norm(text_features - step),
    )


def shift_images(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "m e"], delta: float
) -> ShiftedPairs:
    """Move images by delta towards the texts, which stay where they are.

    >>> image, text = torch.tensor([[1.0, 0.0]] * 2), torch.tensor([[0.0, 1.0]] * 2)
    >>> shift_images(image, text, 2**0.5).image_features[0].abs().round()
    tensor([0., 1.])
    """
    step = delta * gap_direction(image_features, text_features)
    return ShiftedPairs(
        image_features=unit_norm(image_features + step), text_features=text_features.float()
    )


def gap_direction(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "m e"]
) -> Float[Tensor, " d"]:
    """Return the unit vector from mean image to mean text, float32.

    >>> gap_direction(torch.tensor([[1.0, 0.0]] * 2), torch.tensor([[0.0, 1.0]] * 2))
    tensor([-0.7071,  0.7071])
    """
    gap = gap_vector(image_features, text_features)
    length = float(gap.norm())
    if length < 1e-7:
        raise ValueError(
            f"the gap has length {length:.1e}: both modalities have the same mean, "
            "so there is no direction to shift along"
        )
    return (gap / length).float()


def contrastive_loss(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m e"],
    *,
    logit_scale: float = 100.0,
    batch_size: int = 50,
) -> ContrastiveLoss:
    """Average CLIP's loss over consecutive batches (Liang et al.: 50 pairs, scale 100).

    Pairs after the last whole batch are left out: another batch size is another loss.

    >>> loss = contrastive_loss(torch.eye(4), torch.eye(4), logit_scale=1.0, batch_size=4)
    >>> round(loss.symmetric, 4)  # log(e + 3) - 1
    0.7437
    """
    require_pairs(image_features, text_features)
    if not 2 <= batch_size <= len(image_features):
        raise ValueError(
            f"batch_size is {batch_size}, wanted 2 to {len(image_features)} (the number of pairs)"
        )
    used = len(image_features) // batch_size * batch_size
    images, texts = (
        rearrange(x[:used].float(), "(b k) d -> b k d", k=batch_size)
        for x in (image_features, text_features)
    )
    logits = logit_scale * images @ texts.mT
    target = torch.arange(batch_size, device=logits.device).expand(len(logits), -1)
    return ContrastiveLoss(
        # cross_entropy wants the classes on axis 1
        image_to_text=float(cross_entropy(logits.mT, target)),
        text_to_image=float(cross_entropy(logits, target)),
    )


def recall_at_1(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "m e"]
) -> Recall:
    """Retrieve each image's caption among all captions, and each caption's image.

    >>> recall_at_1(torch.eye(3), torch.eye(3))
    Recall(image_to_text=1.0, text_to_image=1.0)
    """
    require_pairs(image_features, text_features)
    image, text = image_features.float(), text_features.float()
    return Recall(image_to_text=_first_place(image, text), text_to_image=_first_place(text, image))


def sweep_shift(
    image_features: Float[Tensor, "n d"],
    text_features: Float[Tensor, "m e"],
    deltas: Sequence[float] = LIANG_DELTAS,
    *,
    shift: Shift = shift_modalities,
    logit_scale: float = 100.0,
    batch_size: int = 50,
    gallery: int = 1000,
) -> list[ShiftPoint]:
    """Measure distance, loss and R@1 along a shift (Liang et al. 2022, figure 3).

    `shift` is `shift_modalities` or `shift_images`. R@1 is taken over the first `gallery` pairs
    (all of them, if there are fewer): its value depends on that number, so state it.

    >>> image, text = torch.eye(4)[:2], torch.eye(4)[2:]
    >>> points = sweep_shift(image, text, [0.0, 1.0], batch_size=2)
    >>> [round(point.distance, 3) for point in points]
    [1.0, 0.0]
    """
    points, direction = [], gap_direction(image_features, text_features)
    for delta in deltas:
        moved = shift(image_features, text_features, float(delta))
        image, text = moved.image_features, moved.text_features
        between = gap_vector(image, text)
        sign = 1.0 if float(between @ direction.double()) >= 0 else -1.0
        points.append(
            ShiftPoint(
                delta=float(delta),
                distance=sign * float(between.norm()),
                pair_cosine_mean=float((image * text).sum(dim=1).mean()),
                loss=contrastive_loss(image, text, logit_scale=logit_scale, batch_size=batch_size),
                recall=recall_at_1(image[:gallery], text[:gallery]),
            )
        )
    return points


def _first_place(queries: Tensor, candidates: Tensor) -> float:
    """Share of queries whose own row is the nearest candidate; ties share the credit."""
    credit = 0.0
    for start in range(0, len(queries), 1024):
        cosines = queries[start : start + 1024] @ candidates.T
        own = cosines.diagonal(offset=start)
        credit += float(retrieval_credit(cosines, own, ties="shared", within=TIE).sum())
    return credit / len(queries)
