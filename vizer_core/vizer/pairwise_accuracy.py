"""Does a score tell images apart, and who gets the credit? Counts by image, ready for intervals.

Own captions come k an image, in the order A, A, B, B. A policy gradient compares the captions of
one image with one another, and a shuffled control gives an image the target of another; so a
score has three properties that matter before anything is trained on it:

===========  ===================================================================================
accuracy     how often a caption scores above another image's caption, under the same image:
             `forecast.auc`, image by image. No label
preference   how often the better of two captions of one image scores higher. Needs to know which
             is better: a check of scores in a world that is known, not a label for training
credit       correlation of scores with what one step of training did to the log-probabilities of
             the same captions, differences within images alone. No label
===========  ===================================================================================

`step_effect` takes that step, measures, and puts the weights back.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vizer_core.metrics.stats import Statistics, rate_statistics
from vizer_core.vizer.lora import lora_parameters
from vizer_core.vizer.policy_gradient import captions_an_image
from vizer_core.vizer.rollout import Rollout
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel


def pairwise_accuracy(
    own: Float[Tensor, " m"], other: Float[Tensor, " m"], *, samples: int
) -> Statistics:
    """Count by image how often the own caption scores higher than another's; ties count half.

    >>> own, other = torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor([0.0, 3.0, 3.0, -1.0])
    >>> pairwise_accuracy(own, other, samples=2).score
    0.625
    """
    gaps = _by_image(own, samples) - _by_image(other, samples)
    return _rate(_wins(gaps).sum(axis=1), np.full(len(gaps), samples))


def preference(
    scores: Float[Tensor, " m"], quality: Float[Tensor, " m"], *, samples: int, least: float = 0.0
) -> Statistics:
    """Count by image how often the better of two of its captions scores higher.

    Only pairs whose quality differs by more than `least` count.

    >>> preference(torch.tensor([0.1, 0.4, 0.2]), torch.tensor([0.0, 1.0, 1.0]), samples=3).score
    1.0
    """
    said, good = _by_image(scores, samples), _by_image(quality, samples)
    gaps = said[:, :, None] - said[:, None, :]
    counted = good[:, :, None] - good[:, None, :] > least
    if not counted.any():
        raise ValueError(
            f"no two captions of an image differ in quality by more than {least}: draw more "
            "captions, or lower `least`"
        )
    wins = np.where(counted, _wins(gaps), 0.0)
    return _rate(wins.sum(axis=(1, 2)), counted.sum(axis=(1, 2)))


def credit(scores: Float[Tensor, " m"], moved: Float[Tensor, " m"], *, samples: int) -> Statistics:
    """Correlate scores with movements of log-probability, both less their image's mean.

    >>> round(credit(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 5.0]), samples=2).score, 6)
    1.0
    """
    a, b = (_by_image(values, samples) for values in (scores, moved))
    a, b = (values - values.mean(axis=1, keepdims=True) for values in (a, b))
    return Statistics(np.stack([(x * y).sum(axis=1) for x, y in ((a, b), (a, a), (b, b))], 1), _r)


def step_effect(
    vlm: VisionLanguageModel,
    vision: VisionBatch,
    captions: CaptionBatch,
    loss: Callable[[], Tensor],
    *,
    length: float,
) -> Float[Tensor, " m"]:
    """Return what a step of this length down the gradient of `loss` adds to each log p(y | I).

    The length is that of the change of all LoRA weights together, so that objectives of different
    scale take steps of one size. The weights are put back.
    """
    captions_an_image(vision, captions)
    weights = list(lora_parameters(vlm).values())
    vlm.model.zero_grad()
    loss().backward()
    slopes = [p.grad.clone() for p in weights if p.grad is not None]
    vlm.model.zero_grad()
    norm = float(sum(slope.square().sum() for slope in slopes)) ** 0.5
    if len(slopes) < len(weights) or not norm > 0:
        raise ValueError(
            f"the loss has a gradient on {len(slopes)} of {len(weights)} LoRA weights, of length "
            f"{norm}: wanted one that reaches all of them"
        )
    kept = [p.detach().clone() for p in weights]
    before = _log_p(vlm, vision, captions)
    with torch.no_grad():
        for p, slope in zip(weights, slopes):
            p.sub_(slope, alpha=length / norm)
    moved = _log_p(vlm, vision, captions) - before
    with torch.no_grad():
        for p, old in zip(weights, kept):
            p.copy_(old)
    return moved


@torch.no_grad()
def _log_p(vlm: VisionLanguageModel, vision: VisionBatch, captions: CaptionBatch) -> Tensor:
    return Rollout(vlm, vision, captions).log_probs.sum(dim=1)


def _by_image(values: Tensor, samples: int) -> np.ndarray:
    if samples < 1 or not len(values) or len(values) % samples:
        raise ValueError(f"{len(values)} values, {samples} an image: wanted a whole number of")
    return rearrange(values.double().cpu().numpy(), "(b k) -> b k", k=samples)


def _wins(gaps: np.ndarray) -> np.ndarray:
    return (gaps > 0) + 0.5 * (gaps == 0)


def _rate(true: np.ndarray, said: np.ndarray) -> Statistics:
    return rate_statistics(true, said)


def _r(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / np.sqrt(sums[..., 1] * sums[..., 2])
