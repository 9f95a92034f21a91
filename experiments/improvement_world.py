"""What the study of unlabelled images looks at: bases, fresh scenes, images to train on, views.

==============  =================================================================================
core            drawn-vlm-web, drawn-vlm-general: web habits of many kinds; the second's text mode
                is general text
others          drawn-vlm-qwen, drawn-vlm-other-web, drawn-vlm-poor
ceiling         drawn-vlm-plain: nothing is left to gain
real            drawn-vlm-real, whose language half is a real model: it is dear, so fewer scenes,
                fewer images to train on, and one seed
==============  =================================================================================

Each base captions its own world: `validation` for choices, `test` where nothing is ever chosen,
`confirm` where no other part looks: all far behind the scenes of training. Images to train on are
the stream's, from which nobody reads a word; each seed has its own. Whatever a tower says is
computed when it is first asked for, and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

from vizer_core.vlm import VisionBatch
from vizer_core.vlm.views import default_shift, held_out_offsets, mean_of_views, view_offsets
from vizer_lab.world import DrawnSplit, unlabelled_stream
from vizer_lab.world.world import split_in
from vizer_lab.zoo.view_images import encode_array_views
from vizer_lab.zoo.vlms import VLMS, load_drawn_vlm

CORE = ("drawn-vlm-web", "drawn-vlm-general")
REAL = "drawn-vlm-real"
TRAINED = (*CORE, "drawn-vlm-qwen", "drawn-vlm-other-web", "drawn-vlm-poor")
BASES = (*TRAINED, "drawn-vlm-plain", REAL)
FRESH = 20_000  # fresh scenes begin there
PARTS = {"validation": FRESH, "test": FRESH, "confirm": 30_000}  # where each begins
READ_FROM = 100_000  # images of the stream that mappers read; training begins at 0
WRITTEN_FROM = 60_000  # scenes whose human captions ViZer_GT reads: no base was trained on them
MAX_TOKENS = 32
VIEWS = 5


@dataclass(frozen=True)
class Trial:
    """One system on one base: with what it is made, and on which scenes it is tested.

    `word` begins every caption of a decoder, and every caption that a teacher writes. A trainer's
    `rate` is its learning rate, `weight` that of an information reward's prior.
    """

    base: str
    system: str
    word: str = ""
    seed: int = 0
    shuffled: bool = False
    rate: float = 0.0
    weight: float = 0.0
    part: str = "test"
    n: int = 1000
    images: int = 640
    mapper_images: int = 4000

    @property
    def name(self) -> str:
        """The cell's name: all that tells it from its neighbours."""
        control = "_shuffled" * self.shuffled
        settings = f"-lr{self.rate:g}" * (self.rate > 0) + f"-w{self.weight:g}" * (self.weight > 0)
        return f"{self.base}/{self.part}-{self.system}{control}{settings}-{self.seed}"


def is_there(base: str) -> bool:
    """Tell whether a base can be loaded here: it may be untrained yet, or want a wheel."""
    if base == REAL:
        try:
            load_fresh(base)
        except (ImportError, FileNotFoundError):
            return False
        return True
    return base in VLMS and VLMS[base].path().is_file()


def load_fresh(base: str) -> Any:
    """Load a fresh base, because LoRA changes it in place."""
    if base == REAL:
        from vizer_lab.zoo.real_language_vlm import load_real_language_vlm

        return load_real_language_vlm()
    return load_drawn_vlm(base)


@lru_cache(maxsize=2)
def load_once(base: str) -> Any:
    """Load a base to look, not to train: the same one at each call."""
    return load_fresh(base)


def world_named(base: str) -> str:
    """Return the world that a base sees: the real language model's tower is of the second."""
    return "second" if base == REAL else VLMS[base].recipe.model.world


@cache
def scenes_of(base: str, part: str, n: int) -> DrawnSplit:
    """Return n fresh scenes of a base's own world."""
    if part not in PARTS:
        raise ValueError(f"no part {part!r}: wanted {', '.join(PARTS)}")
    split = split_in(world_named(base), "validation" if part == "validation" else "test")
    return DrawnSplit(split, n, first=PARTS[part])


def stream(world: str, first: int, count: int) -> np.ndarray:
    """Return images of a world's stream: nothing says what is on them."""
    return np.stack([each.pixels for each in unlabelled_stream(count, start=first, world=world)])


@lru_cache(maxsize=8)
def seen(base: str, part: str, n: int) -> tuple[VisionBatch, VisionBatch]:
    """Return the scenes of a part as a base sees them: one view, and the mean of five.

    Scenes that confirm are read from one view alone, and there the two are the same.
    """
    vlm, images = load_once(base), scenes_of(base, part, n).images
    if part == "confirm":
        return (one := encode(vlm, images)), one
    every = encode_array_views(vlm, images, views=view_offsets(vlm.patch_size, views=VIEWS))
    return every[0], mean_of_views(every)


@lru_cache(maxsize=2)
def held_out(base: str, part: str, n: int) -> tuple[VisionBatch, ...]:
    """Return the first n scenes under views that no average has: along the axes."""
    vlm, images = load_once(base), scenes_of(base, part, n).images
    return encode_array_views(vlm, images, views=held_out_offsets(vlm.patch_size))


@lru_cache(maxsize=4)
def training(base: str, seed: int, count: int) -> VisionBatch:
    """Return a seed's unlabelled images as a base sees them, from one view."""
    return encode(load_once(base), stream(world_named(base), seed * count, count))


@lru_cache(maxsize=4)
def training_views(base: str, seed: int, count: int) -> VisionBatch:
    """Return the same images as the mean of five views."""
    vlm, images = load_once(base), stream(world_named(base), seed * count, count)
    offsets = view_offsets(vlm.patch_size, views=VIEWS)
    return mean_of_views(encode_array_views(vlm, images, views=offsets))


@lru_cache(maxsize=2)
def one_view(base: str, part: str, n: int) -> VisionBatch:
    """Return the scenes of a part as a base sees them from one view, where no other is asked."""
    return encode(load_once(base), scenes_of(base, part, n).images)


@lru_cache(maxsize=2)
def read_images(base: str, count: int) -> VisionBatch:
    """Return the images that mappers read captions of, as a base sees them."""
    return encode(load_once(base), stream(world_named(base), READ_FROM, count))


def encode(vlm: Any, images: np.ndarray) -> VisionBatch:
    """Run a base's vision side on images as they are."""
    return encode_array_views(vlm, images, views=((0, 0),))[0]


def at_offsets(
    base: str, part: str, n: int, offsets: Sequence[tuple[int, int]]
) -> tuple[VisionBatch, ...]:
    """Return scenes as a base sees them moved by these offsets, whole patches allowed."""
    images = scenes_of(base, part, n).images
    return encode_array_views(load_once(base), images, views=offsets, control=True)


def shift_of(base: str) -> int:
    """Return how far the views of a base are moved, in pixels."""
    return default_shift(load_once(base).patch_size)
