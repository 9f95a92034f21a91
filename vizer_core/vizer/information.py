"""The frozen base as listener: how much more likely is a caption under its image than without it?

No mapper: the base model itself, adapter off, is asked for log p(y | I), and the reward is what
the image adds to it. A generic caption is as likely under any image and earns nothing; each object
that the base sees earns, each that it does not see costs. Nobody wrote a label, and nothing but
the words of y can raise it.

====================  ===========================================================================
InformationReward     log p(y | I) - w log p(y), p(y) the base read as text alone. With w = 1 the
                      pointwise mutual information of caption and image; its mean is what Mao et al.
                      (1511.02283, section 5) maximise over the regions of one image
NeighbourReward       log p(y | I) - mean of log p(y | J) over the images J nearest to I: a literal
                      listener among hard distractors (Andreas and Klein, 1604.00562, section 4)
====================  ===========================================================================

Sums run over tokens: a caption that tells more can earn more. `per_token` divides by the length.

A reward listens with what the batch holds of its images; in `targets.shuffled`, the control as for
every reward, with what it holds of the others. No image is encoded a second time.

A whole training, as `vizer enhance --objective information` runs it on a folder; here two images:

>>> from PIL import Image
>>> from vizer_core.runtime import seeded
>>> from vizer_core.shipped import shipped
>>> from vizer_core.vizer import add_lora, train_adapter
>>> from vizer_core.vizer.named_objectives import config_of
>>> from vizer_core.vizer.text_states import ImageSource
>>> vlm = shipped("vlm", "micro-vlm")("cpu")
>>> images = ImageSource(vlm, [Image.new("RGB", (56, 56), name) for name in ("red", "blue")])
>>> add_lora(vlm, generator=seeded(0))
>>> reward, config = InformationReward(vlm, weight=0.7), config_of("information")
>>> history = train_adapter(vlm, images, reward, config, generator=seeded(0))
>>> len(history.reward)  # steps; then save_adapter(vlm, folder)
1
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.vizer.policy_gradient import captions_an_image
from vizer_core.vizer.targets import VisionSource, compared_rows
from vizer_core.vlm.language_side import token_log_probs
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel


@torch.no_grad()
def log_likelihood(
    vlm: VisionLanguageModel,
    vision: VisionBatch,
    captions: CaptionBatch,
    *,
    prompt: str | None = None,
) -> Float[Tensor, " m"]:
    """Return log p(y | I) of m = b k captions under the frozen base, order A, A, B, B."""
    captions_an_image(vision, captions)
    with vlm.adapter_off():
        states = vlm.caption_states(vision, captions, prompt=prompt)
        return token_log_probs(vlm, states, captions).sum(dim=1)


@torch.no_grad()
def prior_log_likelihood(vlm: VisionLanguageModel, captions: CaptionBatch) -> Float[Tensor, " m"]:
    """Return log p(y) under the frozen base that reads text alone."""
    with vlm.adapter_off():
        return token_log_probs(vlm, vlm.text_states(captions), captions).sum(dim=1)


def _per_token(scores: Tensor, captions: CaptionBatch, wanted: bool) -> Tensor:
    return scores / captions.mask.sum(dim=1) if wanted else scores


@dataclass(frozen=True, eq=False)
class InformationReward:
    """What the image adds to a caption's log-probability, by the frozen base's own judgement."""

    vlm: VisionLanguageModel
    weight: float = 1.0
    per_token: bool = False
    prompt: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 2:
            raise ValueError(f"weight is {self.weight}: wanted 0 <= weight <= 2")

    @property
    def name(self) -> str:
        """`information` and what the prior weighs."""
        return f"information({self.weight:g}{', per token' if self.per_token else ''})"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by log p(y | I) - w log p(y)."""
        own = log_likelihood(self.vlm, vision.compared_with, captions, prompt=self.prompt)
        prior = prior_log_likelihood(self.vlm, captions)
        return _per_token(own - self.weight * prior, captions, self.per_token)


@dataclass(frozen=True, eq=False)
class NeighbourReward:
    """By how much the own image makes a caption likelier than the images most like it do.

    `images` is the source that is trained on: row i of `neighbours` are rows of it.
    """

    vlm: VisionLanguageModel
    images: VisionSource
    neighbours: Int[Tensor, "n q"]
    per_token: bool = False
    prompt: str | None = None

    def __post_init__(self) -> None:
        if len(self.neighbours) != len(self.images):
            raise ValueError(
                f"neighbours of {len(self.neighbours)} images, and {len(self.images)} images: "
                "wanted one row an image"
            )

    @property
    def name(self) -> str:
        """`neighbours` and how many."""
        return f"neighbours({self.neighbours.shape[1]})"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by log p(y | I) less the mean of log p(y | J)."""
        rows = compared_rows(vision, len(self.images))
        own = log_likelihood(self.vlm, vision.compared_with, captions, prompt=self.prompt)
        others = torch.stack(
            [
                log_likelihood(self.vlm, self.images.select(near), captions, prompt=self.prompt)
                for near in self.neighbours[rows].T.tolist()
            ]
        )
        return _per_token(own - others.mean(dim=0), captions, self.per_token)
