"""Learn from chosen captions of the model's own: self-training, RAFT, DPO.

The captions of a step come from the *frozen* base, chosen in some way, and the adapter learns them
from the default prompt. No gradient of a reward, no label:

==================  ===============================================================================
SelfTraining        the base's own caption, with its first word chosen: cross-entropy. One caption
                    an image; the idea of self-training (Yarowsky 1995; noisy student, Xie et al.
                    2020), here with another decoding as teacher
Raft                the best of k drawn captions by a reward: cross-entropy (Dong et al. 2304.06767,
                    section 3, one round; as expert iteration)
PreferencePairs     the best and the worst of k drawn captions by a reward: DPO's loss, beta on
                    log p against the base's (Rafailov et al. 2305.18290, equation 7)
GivenCaptions       captions that are there already, one or k an image
==================  ===============================================================================

Each says in `captions` where a step's captions come from, and `train_adapter` asks it in the place
of the model that is trained. So a run can be killed and goes on without a file of captions.

In the control, `targets.shuffled`, the captions are those of the other image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from vizer_core.decoding import Decoding, Greedy, Sample
from vizer_core.distributed import process_rank
from vizer_core.vizer.adapter_run import TrainConfig
from vizer_core.vizer.policy_gradient import Reward, group_rewards, name_of
from vizer_core.vizer.rollout import Rollout
from vizer_core.vlm.language_side import log_probs_of, token_log_probs
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel

Loss = Callable[[Rollout], Tensor]
SAME_IMAGE = 0.01  # of the features' norm: other batches round apart


def cross_entropy(rollout: Rollout) -> Float[Tensor, ""]:
    """Return -log p of the captions, averaged over the tokens of each, then over captions.

    At T = 1 whatever the captions were drawn at: they are what is wanted.
    """
    captions = rollout.captions
    found = log_probs_of(rollout.logits, captions).sum(dim=1)
    return -(found / captions.mask.sum(dim=1).to(found)).mean()


@dataclass(frozen=True)
class DirectPreference:
    """DPO's loss of captions that come as (better, worse), (better, worse)."""

    beta: float = 0.1

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ValueError(f"beta is {self.beta}: wanted more than 0")

    def __call__(self, rollout: Rollout) -> Float[Tensor, ""]:
        """Return -log sigmoid of beta times how much more than the base tells better from worse."""
        if rollout.samples != 2:
            raise ValueError(
                f"{rollout.samples} captions per image: wanted 2, the better and the worse"
            )
        captions = rollout.captions
        now = log_probs_of(rollout.logits, captions).sum(dim=1)
        with torch.no_grad(), rollout.vlm.adapter_off():
            states = rollout.vlm.caption_states(rollout.vision, captions, prompt=rollout.prompt)
            base = token_log_probs(rollout.vlm, states, captions).sum(dim=1)
        better, worse = (now - base).reshape(-1, 2).unbind(dim=1)
        return -functional.logsigmoid(self.beta * (better - worse)).mean()


def joined(captions: Sequence[CaptionBatch]) -> CaptionBatch:
    """Put single captions into one batch, as wide as the longest."""
    lengths = [int(each.mask.sum()) for each in captions]
    ids = [each.ids[0, :length] for each, length in zip(captions, lengths, strict=True)]
    masks = [torch.ones_like(row, dtype=torch.bool) for row in ids]
    pad = partial(pad_sequence, batch_first=True)
    return CaptionBatch(pad(ids), pad(masks), tuple(each.texts[0] for each in captions))


@dataclass(frozen=True, eq=False)
class SelfTraining:
    """Cross-entropy on the frozen base's own captions, whose first word may be chosen.

    `opening` are the words that may come first, none for any; `prompt` is what the base is asked
    with, its default where it is None. `decoding` is greedy unless told otherwise. Where nothing is
    drawn, later epochs learn the captions of the first: the base is asked once an image.
    """

    opening: tuple[str, ...] = ()
    prompt: str | None = None
    decoding: Decoding | None = None
    name: str = "self_training"
    # by model and row of the source, with the features of the image that stood there
    _asked: dict[tuple[int, int], tuple[Tensor, CaptionBatch]] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def metadata(self) -> dict[str, Any]:
        """What a run that is resumed must have in common with the one that was stopped."""
        rule = "greedy" if self.decoding is None else repr(self.decoding)
        return {"opening": list(self.opening), "prompt": self.prompt, "teacher": rule}

    def rule(self, config: TrainConfig) -> Decoding:
        """How the base decodes."""
        return self.decoding or Greedy(config.decoding.max_tokens)

    def samples(self, config: TrainConfig) -> int:
        """Captions that are drawn for an image."""
        return 1

    @torch.no_grad()
    def captions(
        self,
        vlm: VisionLanguageModel,
        vision: VisionBatch,
        config: TrainConfig,
        *,
        generator: torch.Generator,
    ) -> CaptionBatch:
        """Let the frozen base caption the images, those that it has not captioned before."""
        source, rule = vision.compared_with, self.rule(config)

        def ask(images: VisionBatch) -> CaptionBatch:
            with vlm.adapter_off():
                return vlm.generate(
                    images,
                    decoding=rule,
                    prompt=self.prompt,
                    opening=self.opening,
                    generator=generator,
                )

        # a model that is cut over processes is run by all of them at once, or not at all
        if isinstance(rule, Sample) or process_rank()[1] > 1:
            return ask(source)
        keys = [(id(vlm), row) for row in source.index.tolist()]
        seen = source.image_features.detach().cpu()
        new = [at for at, key in enumerate(keys) if not self._knows(key, seen[at])]
        if new:
            found = ask(source.select(new))
            self._asked.update(
                {keys[at]: (seen[at].clone(), found.select([i])) for i, at in enumerate(new)}
            )
        return joined([self._asked[key][1] for key in keys])

    def _knows(self, key: tuple[int, int], features: Tensor) -> bool:
        """Say whether this image was captioned: another may stand in its row of another source."""
        if key not in self._asked:
            return False
        kept = self._asked[key][0]
        return bool((kept - features).norm() <= SAME_IMAGE * kept.norm())

    def __call__(self, rollout: Rollout) -> Float[Tensor, ""]:
        """Return the cross-entropy, with gradient to LoRA."""
        return cross_entropy(rollout)


@dataclass(frozen=True, eq=False)
class Raft:
    """Cross-entropy on the best of `config.samples` captions that the frozen base draws."""

    reward: Reward
    opening: tuple[str, ...] = ()
    decoding: Sample | None = None

    @property
    def name(self) -> str:
        """`raft:` and the reward's name."""
        return f"raft:{name_of(self.reward)}"

    @property
    def metadata(self) -> dict[str, Any]:
        """What a run that is resumed must have in common with the one that was stopped."""
        return {"reward": name_of(self.reward), "opening": list(self.opening), "rule": self._rule}

    @property
    def _rule(self) -> str:
        return "as the settings say" if self.decoding is None else repr(self.decoding)

    def rule(self, config: TrainConfig) -> Decoding:
        """How the base draws."""
        return self.decoding or config.decoding

    def samples(self, config: TrainConfig) -> int:
        """Captions that are drawn for an image."""
        return config.samples

    def captions(
        self,
        vlm: VisionLanguageModel,
        vision: VisionBatch,
        config: TrainConfig,
        *,
        generator: torch.Generator,
    ) -> CaptionBatch:
        """Draw captions from the frozen base and keep the best of each image."""
        drawn, rewards = self._drawn(vlm, vision, config, generator)
        k = rewards.shape[1]
        return drawn.select([k * i + best for i, best in enumerate(rewards.argmax(1).tolist())])

    def __call__(self, rollout: Rollout) -> Float[Tensor, ""]:
        """Return the cross-entropy, with gradient to LoRA."""
        return cross_entropy(rollout)

    @torch.no_grad()
    def _drawn(
        self,
        vlm: VisionLanguageModel,
        vision: VisionBatch,
        config: TrainConfig,
        generator: torch.Generator,
    ) -> tuple[CaptionBatch, Float[Tensor, "b k"]]:
        if config.samples < 2:
            raise ValueError(
                f"{config.samples} caption per image: wanted at least 2 to choose from (samples=)"
            )
        seen = vision.compared_with
        with vlm.adapter_off():
            drawn = vlm.generate(
                seen,
                decoding=self.rule(config),
                samples=config.samples,
                opening=self.opening,
                generator=generator,
            )
        return drawn, group_rewards(self.reward, seen, drawn)


@dataclass(frozen=True, eq=False)
class PreferencePairs(Raft):
    """DPO on the best and the worst of `config.samples` captions that the frozen base draws."""

    beta: float = 0.1

    @property
    def name(self) -> str:
        """`dpo:` and the reward's name."""
        return f"dpo:{name_of(self.reward)}"

    @property
    def metadata(self) -> dict[str, Any]:
        """What a run that is resumed must have in common with the one that was stopped."""
        return super().metadata | {"beta": self.beta}

    def captions(
        self,
        vlm: VisionLanguageModel,
        vision: VisionBatch,
        config: TrainConfig,
        *,
        generator: torch.Generator,
    ) -> CaptionBatch:
        """Draw captions from the frozen base and keep the best and the worst of each image."""
        drawn, rewards = self._drawn(vlm, vision, config, generator)
        k, ends = rewards.shape[1], zip(rewards.argmax(1).tolist(), rewards.argmin(1).tolist())
        return drawn.select([k * i + end for i, pair in enumerate(ends) for end in pair])

    def __call__(self, rollout: Rollout) -> Float[Tensor, ""]:
        """Return DPO's loss, with gradient to LoRA."""
        return DirectPreference(self.beta)(rollout)


@dataclass(frozen=True, eq=False)
class GivenCaptions:
    """A loss on captions that are there already: row i of `texts` are those of image i.

    Rows are as long as each other. Images are known by their `index` in the source.
    """

    texts: Sequence[Sequence[str]]
    loss: Loss = cross_entropy
    name: str = "given_captions"
    digest: str = field(init=False, default="")

    def __post_init__(self) -> None:
        counts = {len(row) for row in self.texts}
        if len(counts) != 1 or 0 in counts or any(isinstance(row, str) for row in self.texts):
            raise ValueError(
                f"{len(self.texts)} rows of {sorted(counts)} captions: wanted a row of as many "
                "captions for each image, such as [['a dog'], ['a cat']]"
            )
        said = repr([list(row) for row in self.texts]).encode(errors="surrogatepass")
        object.__setattr__(self, "digest", sha256(said).hexdigest()[:16])

    @property
    def metadata(self) -> dict[str, Any]:
        """What a run that is resumed must have in common with the one that was stopped."""
        return {"captions": self.digest}

    def rule(self, config: TrainConfig) -> Decoding:
        """Nothing is decoded."""
        return Greedy()

    def samples(self, config: TrainConfig) -> int:
        """Captions of an image."""
        return len(self.texts[0])

    def captions(
        self,
        vlm: VisionLanguageModel,
        vision: VisionBatch,
        config: TrainConfig,
        *,
        generator: torch.Generator,
    ) -> CaptionBatch:
        """Look up the captions of the images."""
        rows = vision.compared_with.index.tolist()
        if max(rows) >= len(self.texts):
            raise ValueError(
                f"image {max(rows)} of the source, and captions of {len(self.texts)} images: "
                "wanted a row for each image of the source"
            )
        return vlm.tokenize([text for row in rows for text in self.texts[row]])

    def __call__(self, rollout: Rollout) -> Float[Tensor, ""]:
        """Return the loss, with gradient to LoRA."""
        return self.loss(rollout)
