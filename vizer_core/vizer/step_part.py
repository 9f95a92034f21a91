"""One step's images among processes: who writes which captions, and what each piece weighs.

A step has a batch of images. Each process takes a contiguous part of it, draws the numbers for
everybody's captions and uses its own, and reads its captions again in pieces as large as memory
allows. Weights make the pieces of all processes add up to the loss of one process that does the
whole batch at once: images weigh alike, the KL's tokens weigh alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vizer_core.decoding import Decoding
from vizer_core.processes import even_pieces, gather_rows, my_share, sum_over_processes
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch
from vizer_core.vlm.writing import skip_draws


@dataclass(frozen=True, eq=False)
class Piece:
    """Images with their captions that go through with gradient at once, and their weights."""

    vision: VisionBatch
    captions: CaptionBatch
    images: range
    image_weight: float
    token_weight: float


@dataclass(frozen=True, eq=False)
class StepPart:
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

    def pieces(self, images_at_once: int | None) -> Iterator[Piece]:
        """Yield this process's images piece by piece; in one where `images_at_once` is None.

        All processes yield as many pieces; what only fills up weighs nothing.
        """
        real = 0.0 if self.idle else 1.0
        tokens = self.captions.mask.sum(dim=1).double().cpu()
        total = float(sum_over_processes(real * tokens.sum()[None])[0])
        k, own = self.samples, range(len(self.mine))
        for images, mine in even_pieces(own, images_at_once, self.count):
            weight = real if mine else 0.0
            rows = range(images.start * k, images.stop * k)
            whole = len(images) == len(own)
            yield Piece(
                self.vision if whole else self.vision.select(images),
                self.captions if whole else self.captions.select(rows),
                images,
                weight * len(images) / self.count,
                weight * float(tokens[rows.start : rows.stop].sum()) / total,
            )


@torch.no_grad()
def write_part(
    source: VisionSource,
    places: Sequence[int],
    write: Callable[[VisionBatch], CaptionBatch],
    *,
    rule: Decoding,
    samples: int = 1,
    generator: torch.Generator,
) -> StepPart:
    """Encode and caption this process's images of a step; `write` draws from `generator`.

    The generator moves as if one process had written all captions of the step, so that every
    process draws the numbers that its captions would have had there.
    """
    count = len(places)
    mine = my_share(count)
    idle = not len(mine)
    if idle:
        mine = range(1)
    vision = source.select([places[i] for i in mine])
    skip_draws(mine.start * samples, rule, generator)
    captions = write(vision)
    skip_draws((count - mine.stop) * samples, rule, generator)
    return StepPart(mine, count, idle, vision, captions)
