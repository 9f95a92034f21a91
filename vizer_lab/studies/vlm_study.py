"""What a chapter on ViZer studies: one vision-language model, its images, and judges of captions.

Notebooks call `open_vlm_study` and nothing else that depends on the profile, so that one code path
serves both:

========  ===============================================  =====================================
          micro                                            full
========  ===============================================  =====================================
model     a shipped VLM, in its own world                  SmolVLM-Base, or what `VIZER_VLM`
                                                           names: a hub id or a folder
test      the first scenes of the test split               COCO val2017, images 1 to 1,000
train     the first training scenes, with captions         images 1,001 to 3,000
stream    images of the stream; nobody wrote captions      images 3,001 to 5,000, theirs unread
reward    drawn-clip-avg                                   CLIP ViT-B/32 of OpenAI, or `VIZER_CLIP`
judge     drawn-clip, which shares nothing with the tower  that of LAION-2B, or `VIZER_JUDGE`
========  ===============================================  =====================================

`VIZER_IMAGES`, where it is set, is the most of each part: the parts then follow each other sooner.

The judge never rewards: what a model was trained to please may not say how good it became.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from vizer_core import env
from vizer_core.clip import ImageTextEncoder
from vizer_core.clip.full import full_models, load_full_clip
from vizer_core.data import read_folder
from vizer_core.data.images import ImageFiles
from vizer_core.evaluation import Inputs, evaluate
from vizer_core.metrics.caption_parser import Lexicon
from vizer_core.metrics.grounding import SceneTruth
from vizer_core.metrics.references import References, make_references
from vizer_core.metrics.stats import Statistics
from vizer_core.runtime import at_most, model_dtype, pick_device, profile
from vizer_core.vizer.sampled import grounding_statistics
from vizer_core.vlm import Qwen2Vl, SmolVlm, VisionBatch, load_vlm
from vizer_core.vlm.word_kinds import plain_word_kind
from vizer_lab.figures.gallery import Gallery, caption_gallery
from vizer_lab.studies.clip_study import (
    CAPTIONS,
    DRAWN_NOTE,
    IMAGES,
    coco_folder,
)
from vizer_lab.world import DrawnSplit, Scene, drawn_lexicon, unlabelled_stream
from vizer_lab.world.word_kinds import drawn_word_kind
from vizer_lab.world.world import split_in, world_of
from vizer_lab.zoo import VLMS, load_drawn_clip, load_drawn_vlm

FULL_VLM = env.VLM.default
DRAWN_REWARD, DRAWN_JUDGE = "drawn-clip-avg", "drawn-clip"
FULL_PARTS = {"test": 1000, "train": 2000, "stream": 2000}  # images, in this order
TOKENS = {"micro": 24, "full": 32}
FAMILIES = ("bleu", "cider", "length", "clipscore", "self_retrieval")


@dataclass(frozen=True, eq=False)
class Images:
    """Images by number; `captions` and `scenes` are empty where nobody may know them."""

    ids: tuple[str, ...]
    images: Sequence[Image.Image]
    captions: tuple[tuple[str, ...], ...] = ()
    scenes: tuple[Scene, ...] = ()

    def __post_init__(self) -> None:
        counts = {len(self.images), *(len(x) for x in (self.captions, self.scenes) if x)}
        if counts != {len(self.ids)}:
            raise ValueError(
                f"got {len(self.ids)} ids, {len(self.images)} images, {len(self.captions)} lists "
                f"of captions and {len(self.scenes)} scenes: wanted one of each, or none"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def texts(self) -> tuple[str, ...]:
        """One caption per image, each person in turn, so that no way of writing leads."""
        return tuple(captions[i % len(captions)] for i, captions in enumerate(self.captions))


@dataclass(frozen=True, eq=False)
class VlmStudy:
    """A model by name, its images in three parts, and how far its numbers reach.

    Models and features are made when first asked for, then kept. `open_vlm` gives a model of its
    own: LoRA changes a model in place, so what is trained is never `vlm`, the base.
    """

    name: str
    test: Images
    train: Images
    stream: Images
    note: str
    max_tokens: int

    @property
    def is_micro(self) -> bool:
        """Whether each image's exact content is known."""
        return bool(self.test.scenes)

    @property
    def truths(self) -> tuple[SceneTruth, ...]:
        """What is in each test image, where that is known; else empty."""
        return tuple(scene.truth for scene in self.test.scenes)

    @property
    def lexicon(self) -> Lexicon | None:
        """The words of the test images' world, where it is a drawn one."""
        return drawn_lexicon(world_of(self.test.scenes[0].split)) if self.is_micro else None

    @cached_property
    def vlm(self) -> SmolVlm | Qwen2Vl:
        """The base model, frozen; do not train it."""
        return self.open_vlm()

    def open_vlm(self) -> SmolVlm | Qwen2Vl:
        """Load another copy of the base, to put LoRA on."""
        if self.name in VLMS:
            return load_drawn_vlm(self.name, device=pick_device())
        return load_vlm(self.name, device=pick_device(), dtype=model_dtype())

    @cached_property
    def test_vision(self) -> VisionBatch:
        """What the frozen vision side says about the test images."""
        return self.vlm.encode_image(self.test.images)

    @cached_property
    def train_vision(self) -> VisionBatch:
        """What the frozen vision side says about the captioned training images."""
        return self.vlm.encode_image(self.train.images)

    @cached_property
    def stream_vision(self) -> VisionBatch:
        """What the frozen vision side says about the unlabelled images."""
        return self.vlm.encode_image(self.stream.images)

    @cached_property
    def reward_clip(self) -> ImageTextEncoder:
        """The encoder whose score may be trained on."""
        return self._clip(DRAWN_REWARD, 0)

    @cached_property
    def judge(self) -> ImageTextEncoder:
        """The encoder that scores captions and is never trained on."""
        return self._clip(DRAWN_JUDGE, 1)

    def _clip(self, micro: str, full: int) -> ImageTextEncoder:
        if self.is_micro:
            return load_drawn_clip(micro, device=str(pick_device()))
        return load_full_clip(full_models()[full])

    @cached_property
    def _references(self) -> References:
        return make_references(dict(zip(self.test.ids, self.test.captions)))

    @cached_property
    def _judged_images(self):
        return self.judge.encode_image(self.test.images)

    def word_kind(self, word: str) -> str:
        """Sort a word: by the drawn world's table, or coarsely where captions are free English."""
        return drawn_word_kind(word) if self.is_micro else plain_word_kind(word)

    def gallery(self, rows: Sequence[int], captions: Mapping[str, Sequence[str]]) -> Gallery:
        """Show test images with each system's caption; what is true is marked where known.

        `captions` has one caption for each test image.
        """
        images = [self.test.images[row] for row in rows]
        shown = {name: [texts[row] for row in rows] for name, texts in captions.items()}
        truths = [self.truths[row] for row in rows] if self.is_micro else []
        return caption_gallery(images, shown, truths=truths, lexicon=self.lexicon)

    def score(self, captions: Sequence[str]) -> dict[str, Statistics]:
        """Score one caption a test image: by references, by the judge, and exactly if known.

        Exact scores (`object_f1`, `exact`, `vague`, ...) need scenes. `bootstrap` and
        `paired_bootstrap` of `vizer_core.metrics.stats` turn the statistics into intervals.
        """
        if len(captions) != len(self.test):
            raise ValueError(f"got {len(captions)} captions for {len(self.test)} test images")
        inputs = Inputs(
            image_features=self._judged_images,
            text_features=self.judge.encode_text(list(captions)),
            encoder_name=self.judge.name,
        )
        found = evaluate(
            dict(zip(self.test.ids, captions)),
            self._references,
            metrics=FAMILIES,
            inputs=inputs,
            missing_captions="empty",
            resamples=1,
        ).statistics
        if not self.is_micro:
            return found
        rows = [[caption] for caption in captions]
        return found | grounding_statistics(rows, self.truths, lexicon=self.lexicon)


def vlm_names() -> tuple[str, ...]:
    """Return the models that a chapter may open on the profile in force, the first by default.

    >>> vlm_names()
    ('drawn-vlm-general', 'drawn-vlm-plain', 'drawn-vlm-poor', 'drawn-vlm-qwen', 'drawn-vlm-web')
    """
    if profile().is_micro:
        return tuple(sorted(name for name in VLMS if _world_of(name) == "second"))
    return (env.VLM.get(),)


def open_vlm_study(
    model: str = "drawn-vlm-web", *, test: int = 300, train: int = 0, stream: int = 0
) -> VlmStudy:
    """Open a model and so many test, captioned and unlabelled images on the profile in force.

    A model of the drawn world is shown its own world's images. On the full profile a drawn model's
    name means `VIZER_VLM`, or SmolVLM-Base where that is unset.

    >>> study = open_vlm_study(test=2, stream=1)
    >>> study.name, study.test.ids, study.stream.captions
    ('drawn-vlm-web', ('second_test-00000', 'second_test-00001'), ())
    """
    if test < 1 or min(train, stream) < 0:
        raise ValueError(
            f"test={test}, train={train}, stream={stream}: wanted test >= 1, rest >= 0"
        )
    return (
        _open_drawn(model, test, train, stream)
        if profile().is_micro
        else _open_full(model, {"test": test, "train": train, "stream": stream})
    )


def _open_drawn(model: str, test: int, train: int, stream: int) -> VlmStudy:
    if model not in VLMS:
        raise ValueError(
            f"no drawn model {model!r}: wanted one of {', '.join(sorted(VLMS))}. Other "
            "models need VIZER_PROFILE=full."
        )
    world = _world_of(model)
    unlabelled = list(unlabelled_stream(stream, world=world))
    return VlmStudy(
        name=model,
        test=_scenes(split_in(world, "test"), test),
        train=_scenes(split_in(world, "train"), train),
        stream=Images(
            tuple(each.id for each in unlabelled),
            [Image.fromarray(each.pixels) for each in unlabelled],
        ),
        note=DRAWN_NOTE,
        max_tokens=TOKENS["micro"],
    )


def _world_of(name: str) -> str:
    """Return the drawn world that a shipped VLM was trained in: its images are of that world."""
    return VLMS[name].recipe.model.world


def _scenes(split: str, n: int) -> Images:
    if not n:
        return Images((), ())
    found = DrawnSplit(split, n)
    images = [Image.fromarray(pixels) for pixels in np.asarray(found.images)]
    return Images(found.ids, images, found.captions, found.scenes)


def _open_full(model: str, sizes: dict[str, int]) -> VlmStudy:
    name = vlm_names()[0] if model in VLMS else model
    folder = coco_folder()
    records = [r for r in read_folder(folder / IMAGES, folder / CAPTIONS) if r.captions]
    parts, last = {}, 0
    for part, most in FULL_PARTS.items():
        first, last, n = last, last + at_most(most), at_most(sizes[part])
        chosen = records[first : min(first + n, last)]
        if len(chosen) < n:
            raise ValueError(
                f"{part}={n}: {folder} has {len(chosen)} captioned images for it, numbers "
                f"{first + 1:,} to {last:,}. Ask for fewer: in a chapter, by VIZER_IMAGES."
            )
        captions = () if part == "stream" else tuple(tuple(r.captions) for r in chosen)
        parts[part] = Images(
            tuple(r.id for r in chosen), ImageFiles([r.image for r in chosen]), captions
        )
    return VlmStudy(
        name=name,
        **parts,
        note=f"full profile: {name} on the first {len(parts['test']):,} images of COCO val2017",
        max_tokens=TOKENS["full"],
    )
