"""Rewards for captions: what a policy gradient raises, none of which needs a reference caption.

====================  ===========================================================================
ClipReward            cos(CLIP text, CLIP image), CLIPScore without its scale (Hessel et al. 2021,
                      section 3); how Cho et al. (2205.13115) train captioners. Its encoder saw
                      image-text pairs: label-free for the captioner only
ReadBackReward        cos(F_I, M(f_psi(text))): the FROZEN base model reads the caption without
                      the image, ViZer's mapper maps it. Nothing but the words can raise it, and
                      nobody wrote a label
SelfRetrievalReward   log-softmax of the own image among the batch's, by either of the two
                      (Dessi et al. 2304.01662, section 3): a caption that fits all images is poor
====================  ===========================================================================

Captions come k an image, in the order A, A, B, B. What a reward compares with travels with the
images, as their `targets`: F_I unless told otherwise, CLIP features after `with_targets`. So
`targets.shuffled` of any source is the control of any reward.

How any reward is asked, and what it may say beside its scores: `policy_gradient`.

Guards are rewards around rewards, each with its price named: `LengthWindow`, `RepetitionPenalty`,
`UnfinishedPenalty`.

>>> def short(images, captions):
...     return [-len(text.split()) for text in captions.texts]
>>> LengthWindow(short, 2, 9, price=0.1).name
'short+length(2-9)'
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.metrics.diversity import caption_lengths, distinct_n
from vizer_core.metrics.tokenize import tokenize_captions
from vizer_core.shapes import require_unit_norm
from vizer_core.vizer.mapper import FittedMapper
from vizer_core.vizer.policy_gradient import (
    Gathering,
    Reward,
    captions_an_image,
    name_of,
    reward_of_step,
    score_captions,
)
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel


@runtime_checkable
class PairReward(Protocol):
    """A reward that is the cosine of a caption's vector with its image's."""

    def __call__(self, vision: VisionBatch, captions: CaptionBatch, /) -> Any:
        """Score m = b k captions of b images."""

    def caption_vectors(self, captions: CaptionBatch) -> Float[Tensor, "m d"]:
        """Turn captions into vectors."""

    def image_vectors(self, vision: VisionBatch) -> Float[Tensor, "b d"]:
        """Return what each image's captions are compared with."""


def _cosines(reward: PairReward, vision: VisionBatch, captions: CaptionBatch) -> Tensor:
    k = captions_an_image(vision, captions)
    images = reward.image_vectors(vision).repeat_interleave(k, dim=0)
    return functional.cosine_similarity(reward.caption_vectors(captions), images, dim=-1)


@dataclass(frozen=True, eq=False)
class ClipReward:
    """Cosine of caption and image in a frozen CLIP. Judge the result with another encoder."""

    encoder: ImageTextEncoder

    @property
    def name(self) -> str:
        """`clip:` and the encoder's name."""
        return f"clip:{self.encoder.name}"

    def caption_vectors(self, captions: CaptionBatch) -> Float[Tensor, "m d"]:
        """Encode captions; the encoder does each different text once."""
        return self.encoder.encode_text(list(captions.texts))

    def image_vectors(self, vision: VisionBatch) -> Float[Tensor, "b d"]:
        """Return the CLIP features that `with_targets` put into the batch."""
        features = vision.targets
        if features.shape[1] != self.encoder.embed_dim:
            raise ValueError(
                f"targets are {features.shape[1]} wide, {self.name} has "
                f"{self.encoder.embed_dim}: give the images CLIP's features, "
                "vision.with_targets(encoder.encode_image(images))"
            )
        require_unit_norm(features, "targets")
        return features.to(self.encoder.device)

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by their cosine."""
        return _cosines(self, vision, captions)


@dataclass(frozen=True, eq=False)
class ReadBackReward:
    """ViZer's score of a caption's words alone: frozen base model, no image, frozen mapper."""

    vlm: VisionLanguageModel
    fitted: FittedMapper
    best: ClassVar[float] = 1.0  # no cosine is more

    @property
    def name(self) -> str:
        """`read_back`."""
        return "read_back"

    @torch.no_grad()
    def caption_vectors(self, captions: CaptionBatch) -> Float[Tensor, "m d"]:
        """Read captions with the adapter off and map them."""
        with self.vlm.adapter_off():
            states = self.vlm.text_states(captions)
        return self.fitted.mapper.read(states, captions.mask)

    def image_vectors(self, vision: VisionBatch) -> Float[Tensor, "b d"]:
        """Bring the targets into the space that the mapper answers in."""
        return self.fitted.targets(vision.targets)

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by their cosine."""
        return _cosines(self, vision, captions)


@dataclass(frozen=True, eq=False)
class SelfRetrievalReward:
    """Log-probability of the own image among the batch's; 0 is best, -ln b is chance.

    `scale` multiplies cosines before the softmax: 100 is where CLIP ends, and a read-back wants
    less. The reward depends on the batch's size: keep it fixed in comparisons.
    """

    pair: PairReward
    scale: float

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale is {self.scale}: wanted more than 0")

    @property
    def name(self) -> str:
        """`self_retrieval:` and the inner reward's name."""
        return f"self_retrieval:{name_of(self.pair)}"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by how well they single out their image."""
        return RetrievalAmong(self, self.pair.image_vectors(vision), 0)(vision, captions)

    def for_step(self, vision: VisionBatch, batch: Gathering) -> Reward:
        """Compare with the images of the whole step."""
        return RetrievalAmong(self, batch.gather(self.pair.image_vectors(vision)), batch.mine.start)


@dataclass(frozen=True, eq=False)
class RetrievalAmong:
    """Self-retrieval among given images; those of the captions begin at row `start`.

    What a process of several scores with: the images are those of the whole step.
    """

    reward: SelfRetrievalReward
    images: Float[Tensor, "n d"]
    start: int

    @property
    def name(self) -> str:
        """The name of the reward."""
        return self.reward.name

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by how well they single out their image."""
        k, count = captions_an_image(vision, captions), len(self.images)
        if count < 2:
            raise ValueError("self-retrieval among 1 image: wanted at least 2 in the batch")
        texts = functional.normalize(self.reward.pair.caption_vectors(captions), dim=-1)
        images = functional.normalize(self.images, dim=-1)
        scores = (self.reward.scale * texts @ images.T).log_softmax(dim=-1)
        indices = torch.arange(self.start, self.start + len(vision), device=scores.device)
        return scores.gather(1, indices.repeat_interleave(k)[:, None])[:, 0]


@dataclass(frozen=True, eq=False)
class Guard:
    """A reward around another one, which it passes the whole step on to."""

    reward: Reward

    def for_step(self, vision: VisionBatch, batch: Gathering) -> Reward:
        """Guard what the inner reward is in the step."""
        return replace(self, reward=reward_of_step(self.reward, vision, batch))


@dataclass(frozen=True, eq=False)
class LengthWindow(Guard):
    """Takes `price` from the reward for each word short of `low` or beyond `high`."""

    low: int
    high: int
    price: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high or self.price < 0:
            raise ValueError(f"wanted 0 <= low <= high and price >= 0, got {self}")

    @property
    def name(self) -> str:
        """The inner reward's name and the window."""
        return f"{name_of(self.reward)}+length({self.low}-{self.high})"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions, those of a length outside the window lower."""
        scores = score_captions(self.reward, vision, captions)
        lengths = torch.from_numpy(caption_lengths(tokenize_captions(captions.texts))).to(scores)
        outside = (self.low - lengths).clamp(min=0) + (lengths - self.high).clamp(min=0)
        return scores - self.price * outside


@dataclass(frozen=True, eq=False)
class RepetitionPenalty(Guard):
    """Takes `price` times the share of a caption's n-grams that it has said before."""

    price: float
    n: int = 2

    @property
    def name(self) -> str:
        """The inner reward's name and the order."""
        return f"{name_of(self.reward)}+repetition({self.n})"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions, those that repeat themselves lower."""
        scores = score_captions(self.reward, vision, captions)
        said = [repeated_share(text, n=self.n) for text in tokenize_captions(captions.texts)]
        return scores - self.price * torch.tensor(said).to(scores)


def repeated_share(tokens: str, *, n: int) -> float:
    """Return the share of a tokenised caption's n-grams that stand earlier in it too.

    >>> repeated_share("a cat a cat a cat", n=2)
    0.6
    >>> repeated_share("cat", n=2)
    0.0
    """
    long_enough = len(tokens.split()) >= n
    return round(1 - distinct_n([tokens], n=n), 12) if long_enough else 0.0


@dataclass(frozen=True, eq=False)
class UnfinishedPenalty(Guard):
    """Takes `price` from captions that ran into the token limit without an end mark.

    `eos_ids` are all ids that end a caption: `vlm.tokens.eos_ids` of the adapters.
    """

    eos_ids: tuple[int, ...]
    price: float

    @property
    def name(self) -> str:
        """The inner reward's name and `eos`."""
        return f"{name_of(self.reward)}+eos"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions, unfinished ones lower."""
        scores = score_captions(self.reward, vision, captions)
        ends = torch.isin(captions.ids, torch.tensor(self.eos_ids, device=captions.ids.device))
        finished = (ends & captions.mask).any(dim=1)
        return scores - self.price * (~finished).to(scores)
