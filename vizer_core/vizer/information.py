"""The frozen base as listener: how much more likely is a caption under its image than without it?

No mapper: the base model itself, adapter off, is asked for log p(y | I), and the reward is what
the image adds to it. A generic caption is as likely under any image and earns nothing; each object
that the base sees earns, each that it does not see costs. Nobody wrote a label, and nothing but
the words of y can raise it.

====================  ===========================================================================
InformationReward     log p(y | I) - w log p(y), p(y) the base read as text alone. With w = 1 the
                      pointwise mutual information of caption and image; its mean is what Mao et al.
                      (1511.02283, section 5) maximise over the regions of one image. With
                      `others=k` the prior is the mean of p(y | J) over k other images of the step
NeighbourReward       log p(y | I) - mean of log p(y | J) over the images J nearest to I: a literal
                      listener among hard distractors (Andreas and Klein, 1604.00562, section 4)
====================  ===========================================================================

The two priors differ where a model's text mode is not the marginal of its captions: a language
model that never read captions pays for the captions' habits as if they were information. The mean
over other images is a prior of captions whatever the text mode is, at k readings of a caption.

Sums run over tokens: a caption that tells more can earn more. `per_token` divides by the length.

A reward reads the features of the batch's own images; under `targets.shuffled`, the control of
every reward, it reads those of other images. No image is encoded a second time.

A whole training, as `vizer enhance --objective information` runs it on a folder; here two images:

>>> from PIL import Image
>>> from vizer_core.runtime import seeded
>>> from vizer_core.shipped import shipped
>>> from vizer_core.vizer import add_lora, train_adapter
>>> from vizer_core.vizer.named_objectives import config_of
>>> from vizer_core.vizer.text_states import ImageSource
>>> vlm = shipped("vlm", "drawn-vlm-web")("cpu")
>>> images = ImageSource(vlm, [Image.new("RGB", (112, 112), name) for name in ("red", "blue")])
>>> add_lora(vlm, generator=seeded(0))
>>> reward, config = InformationReward(vlm, weight=0.7), config_of("information")
>>> history = train_adapter(vlm, images, reward, config, generator=seeded(0))
>>> len(history.reward)  # steps; then save_adapter(vlm, folder)
1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.vizer.policy_gradient import Gathering, Reward, captions_an_image
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


@torch.no_grad()
def image_prior_log_likelihood(
    vlm: VisionLanguageModel,
    images: VisionBatch,
    captions: CaptionBatch,
    *,
    rows: Sequence[int],
    others: int,
    prompt: str | None = None,
) -> Float[Tensor, " m"]:
    """Return log mean p(y | J) over `others` images J that follow each caption's own in `images`.

    `rows` says where in `images` the captions' own images are. Fewer images than `others` + 1 are
    all used; raises `ValueError` where there is no other image.
    """
    count = min(others, len(images) - 1)
    if count < 1:
        raise ValueError(
            f"a prior from other images, and {len(images)} in the step: wanted at least 2"
        )
    found = [
        log_likelihood(
            vlm,
            images.select([(row + step) % len(images) for row in rows]),
            captions,
            prompt=prompt,
        )
        for step in range(1, count + 1)
    ]
    return torch.stack(found).logsumexp(dim=0) - log(count)


def gather_vision(vision: VisionBatch, batch: Gathering) -> VisionBatch:
    """Join the images of every process's part of a step, in the order of the step."""
    lengths = torch.tensor([len(each) for each in vision.image_embeddings])
    joined = batch.gather(torch.cat(list(vision.image_embeddings)))
    return VisionBatch(
        batch.gather(vision.image_features),
        joined.split(batch.gather(lengths).tolist()),
        batch.gather(vision.grid),
    )


def _per_token(scores: Tensor, captions: CaptionBatch, wanted: bool) -> Tensor:
    return scores / captions.mask.sum(dim=1) if wanted else scores


@dataclass(frozen=True, eq=False)
class InformationReward:
    """What the image adds to a caption's log-probability, by the frozen base's own judgement."""

    vlm: VisionLanguageModel
    weight: float = 1.0
    per_token: bool = False
    prompt: str | None = None
    others: int = 0  # images whose mean is the prior; 0: the base read as text alone

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 2:
            raise ValueError(f"weight is {self.weight}: wanted 0 <= weight <= 2")
        if self.others < 0:
            raise ValueError(f"others is {self.others}: wanted 0, a prior of text, or images")

    @property
    def name(self) -> str:
        """`information`, what the prior weighs, and what it is made of."""
        more = ", per token" if self.per_token else ""
        more += f", prior of {self.others} images" if self.others else ""
        return f"information({self.weight:g}{more})"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by log p(y | I) - w log p(y); other images are those of the batch."""
        return InformationAmong(self, vision.compared_with, 0)(vision, captions)

    def for_step(self, vision: VisionBatch, batch: Gathering) -> Reward:
        """Take other images from the whole step."""
        if not self.others:
            return self
        images = gather_vision(vision.compared_with, batch)
        return InformationAmong(self, images, batch.mine.start)


@dataclass(frozen=True, eq=False)
class InformationAmong:
    """An information reward among given images; those of the captions begin at row `start`."""

    reward: InformationReward
    images: VisionBatch
    start: int

    @property
    def name(self) -> str:
        """The name of the reward."""
        return self.reward.name

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by log p(y | I) less the weighed prior."""
        asked = self.reward
        own = log_likelihood(asked.vlm, vision.compared_with, captions, prompt=asked.prompt)
        if asked.others:
            rows = range(self.start, self.start + len(vision))
            prior = image_prior_log_likelihood(
                asked.vlm,
                self.images,
                captions,
                rows=rows,
                others=asked.others,
                prompt=asked.prompt,
            )
        else:
            prior = prior_log_likelihood(asked.vlm, captions)
        return _per_token(own - asked.weight * prior, captions, asked.per_token)


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
                "wanted one row per image"
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
