"""The captions of a step: generated among processes, then read again with gradient, part by part.

A step has a batch of images, captioned by the trained model as it is now, or by a `Teacher`. Each
process takes a contiguous part of it, its local batch, draws the numbers for everybody's captions
and uses its own, and reads its captions again in micro-batches as large as memory allows. Weights
make the micro-batches of all processes add up to the loss of one process that does the whole batch
at once: images weigh alike, the KL's tokens weigh alike.

An objective is given a micro-batch as a `Rollout`, which makes states, logits and log p when it is
asked for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.decoding import Decoding
from vizer_core.distributed import even_micro_batches, gather_rows, my_share, sum_over_processes
from vizer_core.vizer.adapter_run import TrainConfig
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm.generation import skip_draws
from vizer_core.vlm.language_side import base_kl, log_probs_of
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Images with their captions that go through with gradient at once, and their weights."""

    vision: VisionBatch
    captions: CaptionBatch
    images: range  # of the local batch
    image_weight: float
    token_weight: float


@dataclass(frozen=True, eq=False)
class LocalBatch:
    """What this process has of a step: `mine` of `count` images, with captions, order A, A, B, B.

    Where there are more processes than images, some repeat the first image with no weight.
    """

    mine: range
    count: int
    idle: bool
    vision: VisionBatch
    captions: CaptionBatch

    @property
    def samples(self) -> int:
        """Captions an image."""
        return len(self.captions) // len(self.mine)

    def gather(self, rows: Tensor) -> Tensor:
        """Join rows of every process's captions or images, in the order of the step's images."""
        return gather_rows(rows[:0] if self.idle else rows)

    def micro_batches(self, size: int | None) -> Iterator[MicroBatch]:
        """Yield this process's images, at most `size` at a time; all at once where it is None.

        All processes yield as many; what only fills up weighs nothing, so that each still meets
        the others as often as they expect.
        """
        real = 0.0 if self.idle else 1.0
        tokens = self.captions.mask.sum(dim=1).double().cpu()
        total = float(sum_over_processes(real * tokens.sum()[None])[0])
        k, own = self.samples, range(len(self.mine))
        for images, mine in even_micro_batches(own, size, self.count):
            weight = real if mine else 0.0
            rows = range(images.start * k, images.stop * k)
            whole = len(images) == len(own)
            yield MicroBatch(
                self.vision if whole else self.vision.select(images),
                self.captions if whole else self.captions.select(rows),
                images,
                weight * len(images) / self.count,
                weight * float(tokens[rows.start : rows.stop].sum()) / total,
            )


@runtime_checkable
class Teacher(Protocol):
    """Says which captions a step learns from, where they are not the trained model's own."""

    def rule(self, config: TrainConfig) -> Decoding:
        """How captions are decoded."""

    def samples(self, config: TrainConfig) -> int:
        """How many captions per image are drawn; some of them may be kept."""

    def captions(
        self,
        vlm: VisionLanguageModel,
        vision: VisionBatch,
        config: TrainConfig,
        *,
        generator: torch.Generator,
    ) -> CaptionBatch:
        """Return captions of the images, as many for each, order A, A, B, B."""


def local_indices(indices: Sequence[int]) -> list[int]:
    """Return which images of a step this process encodes.

    >>> local_indices([5, 3])
    [5, 3]
    """
    return [indices[i] for i in _own_part(len(indices))[0]]


def _own_part(count: int) -> tuple[range, bool]:
    """Return this process's part of a step; where it has none the first image, and True."""
    mine = my_share(count)
    return (mine, False) if len(mine) else (range(1), True)


@torch.no_grad()
def sample_local_batch(
    vlm: VisionLanguageModel,
    source: VisionSource,
    indices: Sequence[int],
    config: TrainConfig,
    *,
    generator: torch.Generator,
    teacher: Teacher | None = None,
) -> LocalBatch:
    """Encode this process's images of a step, and let the model, or a teacher, caption them.

    The generator moves as if one process had generated all captions of the step, so that every
    process draws the numbers that its captions would have had there.
    """
    count, rule, k = len(indices), config.decoding, config.samples
    if teacher is not None:
        rule, k = teacher.rule(config), teacher.samples(config)
    mine, idle = _own_part(count)
    vision = source.select([indices[i] for i in mine])
    skip_draws(mine.start * k, rule, generator)
    if teacher is None:
        captions = vlm.generate(
            vision, decoding=rule, samples=k, prompt=config.prompt, generator=generator
        )
    else:
        captions = teacher.captions(vlm, vision, config, generator=generator)
    skip_draws((count - mine.stop) * k, rule, generator)
    return LocalBatch(mine, count, idle, vision, captions)


@dataclass(frozen=True, eq=False)
class Rollout:
    """Images and k captions just generated for each; states are made when asked for, and kept.

    `temperature` is what the captions were drawn at. `advantages` say how good they are, one a
    caption, where the objective is a policy gradient.
    """

    vlm: VisionLanguageModel
    vision: VisionBatch
    captions: CaptionBatch
    prompt: str | None = None
    temperature: float = 1.0
    advantages: Float[Tensor, " m"] | None = None

    @property
    def samples(self) -> int:
        """Captions an image, order A, A, B, B."""
        return len(self.captions) // len(self.vision)

    @cached_property
    def states(self) -> Float[Tensor, "b t1 h"]:
        """States of the captions after their images, with gradient to LoRA; no logits."""
        return self.vlm.caption_states(self.vision, self.captions, prompt=self.prompt)

    @cached_property
    def logits(self) -> Float[Tensor, "m v"]:
        """Next-token logits at the m caption tokens, padding left out."""
        return self.vlm.token_logits(self.states[:, :-1][self.captions.mask])

    @property
    def log_probs(self) -> Float[Tensor, "m t"]:
        """The log-probability of each caption token, 0 at padding, with gradient to LoRA."""
        return log_probs_of(self.logits, self.captions, temperature=self.temperature)

    def kl_from_base(self) -> Float[Tensor, ""]:
        """Return KL(base || now) per caption token; the gradient reaches LoRA."""
        with torch.no_grad(), self.vlm.adapter_off():
            states = self.vlm.caption_states(self.vision, self.captions, prompt=self.prompt)
            base = self.vlm.token_logits(states[:, :-1][self.captions.mask])
        return base_kl(base, self.logits)
