"""Scenes with their images and captions, by split; and a stream of images without words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vizer_lab.world.captions import captions_of
from vizer_lab.world.render import render_scene, render_scenes
from vizer_lab.world.settings import IMAGE_SIZE
from vizer_lab.world.world import Scene, make_scene, split_in


@dataclass(frozen=True)
class DrawnSplit:
    """Scenes `first` to `first + n` of a split, drawn when asked for and then kept."""

    name: str
    n: int
    size: int = IMAGE_SIZE
    first: int = 0

    def __post_init__(self) -> None:
        if self.n < 1 or self.first < 0:
            raise ValueError(
                f"split {self.name!r}: wanted at least one scene, and first >= 0, got n={self.n}, "
                f"first={self.first}"
            )
        if self.name.endswith("stream"):
            raise ValueError(
                "the stream has no captions on purpose: use unlabelled_stream(), or another split"
            )

    @cached_property
    def scenes(self) -> tuple[Scene, ...]:
        """The exact content of every image."""
        return tuple(make_scene(self.name, i) for i in range(self.first, self.first + self.n))

    @cached_property
    def images(self) -> np.ndarray:
        """The images, uint8 [n, size, size, 3]."""
        return render_scenes(self.scenes, self.size)

    @cached_property
    def captions(self) -> tuple[tuple[str, ...], ...]:
        """Five captions per scene."""
        return tuple(captions_of(scene) for scene in self.scenes)

    @property
    def ids(self) -> tuple[str, ...]:
        """One id a scene."""
        return tuple(scene.id for scene in self.scenes)

    @property
    def references(self) -> dict[str, list[str]]:
        """Captions by id, as `evaluate` wants them."""
        return {scene.id: list(texts) for scene, texts in zip(self.scenes, self.captions)}


@dataclass(frozen=True)
class UnlabelledImage:
    """An image and its id: nothing that says what is on it."""

    id: str
    pixels: np.ndarray


def unlabelled_stream(
    n: int, *, start: int = 0, size: int = IMAGE_SIZE, world: str = "second"
) -> Iterator[UnlabelledImage]:
    """Yield images `start` to `start + n` of the stream, one at a time, without their scenes."""
    split = split_in(world, "stream")
    for index in range(start, start + n):
        yield UnlabelledImage(f"{split}-{index:05d}", render_scene(make_scene(split, index), size))
