"""The frozen base as listener: how much more likely is a caption under its image than without it?

No mapper: the base model itself, adapter off, is asked for log p(y | I), and the reward is what
the image adds to it. A generic caption is as likely under any image and earns nothing; each object
that the base sees earns, each that it does not see costs. Nobody wrote a label, and nothing but
the words of y can raise it.

====================  ===========================================================================
InformationReward     log p(y | I) - w log p(y), p(y) the base read as text alone. With w = 1 the
                      pointwise mutual information of caption and image; its mean is what Mao et al.
                      (1511.02283, section 5) maximise over the regions of one picture
NeighbourReward       log p(y | I) - mean of log p(y | J) over the images J nearest to I: a literal
                      listener among hard distractors (Andreas and Klein, 1604.00562, section 4)
====================  ===========================================================================

Sums run over tokens: a caption that tells more can earn more. `per_token` divides by the length.

The image that a reward listens for is named by a row number, which travels in the place of F_I
(`listening_to`): so `targets.shuffled` of such a source is the control, as for every reward.

A whole training, as `vizer enhance --objective information` runs it on a folder; here two pictures:

>>> from PIL import Image
>>> from vizer_core.micro import load_micro_vlm, unlabelled_stream
>>> from vizer_core.runtime import seeded
>>> from vizer_core.vizer import RlConfig, add_lora, train_rl
>>> from vizer_core.vizer.text_states import ImageSource
>>> vlm = load_micro_vlm()
>>> pictures = ImageSource(vlm, [Image.fromarray(i.pixels) for i in unlabelled_stream(2)])
>>> add_lora(vlm, generator=seeded(0))
>>> history = train_rl(
...     vlm, listening_to(pictures), InformationReward(vlm, pictures, weight=0.7),
...     RlConfig(learning_rate=5e-4), generator=seeded(0),
... )
>>> len(history.reward)  # steps; then save_adapter(vlm, folder)
1
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.vizer.rewards import Retargeted, captions_an_image, with_targets
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel


def token_sum(
    vlm: VisionLanguageModel, states: Float[Tensor, "m t1 h"], captions: CaptionBatch
) -> Float[Tensor, " m"]:
    """Return the log-probability of captions from their states: the sum over their tokens."""
    mask = captions.mask
    logits = vlm.token_logits(states[:, :-1][mask]).float()
    chosen = captions.ids[mask][:, None]
    picked = logits.gather(1, chosen)[:, 0] - logits.logsumexp(dim=1)
    return torch.zeros(mask.shape, device=picked.device).masked_scatter(mask, picked).sum(dim=1)


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
        return token_sum(vlm, vlm.caption_states(vision, captions, prompt=prompt), captions)


@torch.no_grad()
def prior_log_likelihood(vlm: VisionLanguageModel, captions: CaptionBatch) -> Float[Tensor, " m"]:
    """Return log p(y) under the frozen base that reads text alone."""
    with vlm.adapter_off():
        return token_sum(vlm, vlm.text_states(captions), captions)


def listening_to(source: VisionSource) -> Retargeted:
    """Let every image of a source carry its own row number in the place of F_I."""
    return with_targets(source, torch.arange(len(source), dtype=torch.float64)[:, None])


def rows_of(vision: VisionBatch, count: int) -> list[int]:
    """Read the row numbers that `listening_to` put into a batch."""
    rows = vision.image_features
    if rows.shape[1] != 1 or rows.dtype != torch.float64:
        raise ValueError(
            f"image_features are {tuple(rows.shape)} of {rows.dtype}: wanted one row number an "
            "image. Wrap the source in listening_to(source)"
        )
    if int(rows.max()) >= count:
        raise ValueError(
            f"row {int(rows.max())} of {count} images: the reward holds another source than the "
            "one that is trained on"
        )
    return [int(row) for row in rows[:, 0]]


def _per_token(scores: Tensor, captions: CaptionBatch, wanted: bool) -> Tensor:
    return scores / captions.mask.sum(dim=1) if wanted else scores


@dataclass(frozen=True, eq=False)
class InformationReward:
    """What the image adds to a caption's log-probability, by the frozen base's own judgement."""

    vlm: VisionLanguageModel
    images: VisionSource
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
        heard = self.images.select(rows_of(vision, len(self.images)))
        own = log_likelihood(self.vlm, heard, captions, prompt=self.prompt)
        prior = prior_log_likelihood(self.vlm, captions)
        return _per_token(own - self.weight * prior, captions, self.per_token)


@dataclass(frozen=True, eq=False)
class NeighbourReward:
    """By how much the own image makes a caption likelier than the images most like it do."""

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
        rows = rows_of(vision, len(self.images))
        heard = self.images.select(rows)
        own = log_likelihood(self.vlm, heard, captions, prompt=self.prompt)
        others = torch.stack([
            log_likelihood(self.vlm, self.images.select(near), captions, prompt=self.prompt)
            for near in self.neighbours[rows].T.tolist()
        ])  # fmt: skip
        return _per_token(own - others.mean(dim=0), captions, self.per_token)
