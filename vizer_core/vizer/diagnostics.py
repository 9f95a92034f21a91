"""What a zero-label run really did: is the score leaking, is the mapper being fooled, what moved?

Three questions that L_zero = 1 - cos(F_I, M(f_psi(.))) (ViZer section 3) does not answer, each
with a number that needs no label:

==================  =============================================================================
leak                the mapper sees image i in context and the caption of image j. If its answer
                    is F_i, attention carried the image past the words, and the loss says nothing
                    about the caption
mapper hacking      LoRA may bend states so that *this* mapper is pleased. Mappers that took no
                    part (other seeds, widths or data) are not
reader              the frozen base model reads old and new captions as text alone: are the new
                    ones closer to their images? Necessary, not sufficient: a collapsed run can
                    raise it too
==================  =============================================================================

`warnings_of` puts a run's findings into words. No warning is not proof of better captions; the
shuffled control and exact or independent scores are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vizer_core.vizer.collapse import Collapse
from vizer_core.vizer.drift import Drift
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch

LEAK_MARGIN = 0.1  # cosine by which a mapper may prefer the image to the caption's image
LOSS_FALL, FEW_CHANGED = 0.1, 0.05  # "the loss fell" and "hardly a caption changed"
TOP1_LIMIT, LENGTH_LIMIT = 0.25, 2.0
# nats per token, base to new. One run each on the drawn VLM, read-back reward, 1,000 images: at .17
# (learning rate 2e-4) captions were best; at .6 (5e-4) and 1.0 (1e-3) the reward was higher and
# object F1 of greedy and sampled captions lower.
KL_LIMIT = 0.5

Read = Callable[[VisionBatch, CaptionBatch], Tensor]  # -> [n, d], in the space of the targets


def _cosine(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape or not len(a):
        raise ValueError(
            f"got features {tuple(a.shape)} and {tuple(b.shape)}: wanted two equal shapes, with at "
            "least one row"
        )
    return float(functional.cosine_similarity(a.float(), b.float(), dim=-1).mean())


@dataclass(frozen=True)
class Leak:
    """Cosines of a mapper's answer when image and caption belong to different images."""

    n: int
    to_image: float
    to_caption_image: float
    right_pair: float  # the same mapper where image and caption belong together

    @property
    def index(self) -> float:
        """How much nearer the answer is to the image in context than to the caption's."""
        return self.to_image - self.to_caption_image

    @property
    def leaks(self) -> bool:
        """True where the words hardly matter: do not train against such a mapper."""
        return self.index > LEAK_MARGIN


def leak_index(
    swapped: Float[Tensor, "n d"],
    right: Float[Tensor, "n d"],
    image_targets: Float[Tensor, "n d"],
    caption_targets: Float[Tensor, "m w"],
) -> Leak:
    """Compare answers to (image i, caption of j) with F_i and F_j; `right` answers (i, i).

    >>> import torch
    >>> images = torch.eye(3)
    >>> found = leak_index(images, images, images, images[[1, 2, 0]])  # the answer is the image
    >>> found.index, found.leaks
    (1.0, True)
    """
    return Leak(
        n=len(swapped),
        to_image=_cosine(swapped, image_targets),
        to_caption_image=_cosine(swapped, caption_targets),
        right_pair=_cosine(right, image_targets),
    )


def swap_test(
    read: Read,
    vision: VisionBatch,
    captions: CaptionBatch,
    targets: Float[Tensor, "n d"],
    *,
    order: list[int],
) -> Leak:
    """Run a mapper on each image with the caption of image `order[i]`, and measure the leak.

    `read` maps (images, captions) to the targets' space, image in context. `order` moves every
    image, or part of the test would compare right pairs.
    """
    if sorted(order) != list(range(len(targets))):
        raise ValueError(f"order is no permutation of the {len(targets)} images")
    if fixed := sum(i == index for i, index in enumerate(order)):
        raise ValueError(f"order leaves {fixed} captions with their own image: move every one")
    swapped = read(vision, captions.select(order))
    return leak_index(swapped, read(vision, captions), targets, targets[order])


def _loss_warnings(loss: tuple[float, float], drift: Drift) -> list[str]:
    before, after = loss
    fall = (before - after) / abs(before) if before else 0.0
    if fall > LOSS_FALL and drift.changed <= FEW_CHANGED:
        return [
            f"loss fell {fall:.0%} ({before:.3f} to {after:.3f}) while {drift.changed:.0%} of "
            "captions changed: it was met in directions that the words do not show"
        ]
    return []


def _drift_warnings(drift: Drift) -> list[str]:
    found, old = [], drift.old
    if drift.top1 > TOP1_LIMIT and drift.top1 > old.commonest_share:
        found.append(
            f"one caption serves {drift.top1:.0%} of the images ({old.commonest_share:.0%} before)"
        )
    if drift.longer > LENGTH_LIMIT:
        found.append(
            f"captions grew from {old.mean_length:.1f} to {drift.new.mean_length:.1f} words: "
            "compare scores at equal length"
        )
    if drift.longer < 1 / LENGTH_LIMIT:
        found.append(
            f"captions shrank from {old.mean_length:.1f} to {drift.new.mean_length:.1f} words"
        )
    if drift.kl is not None and drift.kl > KL_LIMIT:
        found.append(
            f"KL to the base is {drift.kl:.2f} nats per token, above {KL_LIMIT}: over-optimised"
        )
    return found


def _mapper_warnings(leak: Leak | None, collapse: Collapse | None) -> list[str]:
    found = []
    if leak and leak.leaks:
        found.append(
            f"the mapper answers with the image, not the words: under a wrong caption its cosine "
            f"is {leak.to_image:.2f} to the image and {leak.to_caption_image:.2f} to the "
            "caption's image"
        )
    if collapse and collapse.collapsed:
        found.append(
            f"the mapper's answers span {collapse.effective_rank:.1f} directions of the images' "
            f"{collapse.target_effective_rank:.1f}; a constant scores "
            f"{collapse.constant_cosine:.2f} of its {collapse.cosine:.2f}"
        )
    return found


def warnings_of(
    loss: tuple[float, float],
    drift: Drift,
    *,
    leak: Leak | None = None,
    collapse: Collapse | None = None,
) -> tuple[str, ...]:
    """Say in words what speaks against a run; `loss` is its value before and after.

    Under a reward pass (1 - reward) or (-reward): what fell. Parts not measured are left out.
    """
    found = _loss_warnings(loss, drift) + _drift_warnings(drift)
    found += _mapper_warnings(leak, collapse)
    return tuple(found)
