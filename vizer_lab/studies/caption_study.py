"""What a chapter on captions from text alone studies: images, frozen models, prefix networks.

Notebooks call `open_caption_study` and nothing else that depends on the profile, so that one code
path serves both:

==============  =====================================  ============================================
                micro                                  full
==============  =====================================  ============================================
CLIP            drawn-clip-50                          ViT-B-32/openai, or `VIZER_CLIP`
language model  drawn-lm                               OPT-1.3b, or what `VIZER_LM` names
networks        the shipped ones                       `VIZER_PREFIX_NETWORKS`: of train-captioner,
                                                       maccap.safetensors and so on
images          the first scenes of the test split     the first of COCO val2017
corpus          captions of other scenes               COCO 2014 train: none of val2017's images
unpaired        scenes of the validation split         the next images of val2017
judge           drawn-clip-avg, of the same parent     ViT-B-32/laion2b_s34b_b79k, or `VIZER_JUDGE`
==============  =====================================  ============================================

`VIZER_IMAGES`, where it is set, is the most of the images captioned and of the unpaired ones.

The judge scores captions and is read by no method: a caption that CLIP chose is not scored by the
CLIP that chose it. The drawn CLIPs descend from one parent, so there the judge is no stranger.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from PIL import Image

from vizer_core import env
from vizer_core.captioners import Captioner, Magic, MemoryBank, Socratic, WordList, ZeroCap
from vizer_core.captioners.magic import MAGIC_COCO, MAGIC_SMALL
from vizer_core.captioners.socratic import TagPrefix
from vizer_core.captioners.zerocap import ZEROCAP_SMALL, ZEROCAP_SMALL_PROMPT
from vizer_core.clip import ImageStates, ImageTextEncoder, PairedFeatures
from vizer_core.clip.full import full_models, load_full_clip
from vizer_core.data.coco import coco2014
from vizer_core.data.corpus import corpus_of_records
from vizer_core.evaluation import Inputs, evaluate
from vizer_core.files import load_manifest
from vizer_core.language import CausalLM
from vizer_core.metrics.references import References, make_references
from vizer_core.metrics.stats import Statistics
from vizer_core.runtime import at_most, model_dtype, pick_device, profile, seeded
from vizer_core.textonly import (
    GaussianNoise,
    Noise,
    NoNoise,
    PrefixGenerator,
    TextOnlyConfig,
    TrainingPairs,
    load_prefix_network,
)
from vizer_core.textonly.filtering import MACCAP_DECODING
from vizer_core.textonly.prefix_network import PrefixNetwork, new_prefix_network
from vizer_core.textonly.presets import SMALL_MACCAP
from vizer_core.vizer.sampled import grounding_statistics
from vizer_lab.figures.gallery import Gallery, caption_gallery
from vizer_lab.studies.clip_study import Study, open_full, open_study
from vizer_lab.world import DrawnSplit, drawn_corpus, drawn_lexicon
from vizer_lab.world.word_lists import drawn_word_lists
from vizer_lab.world.world import places_of
from vizer_lab.zoo import load_drawn_clip
from vizer_lab.zoo.captioners import drawn_prefix_network_path
from vizer_lab.zoo.drawn_captioners import DRAWN_DECODING, DRAWN_MACCAP, word_reader
from vizer_lab.zoo.language_models import load_drawn_lm

NOISE_LEVELS = ("maccap-clean", "maccap")  # MacCap, by training
PREFIX_NETWORKS = (*NOISE_LEVELS, "capdec", "decap")
DRAWN_CLIP, DRAWN_JUDGE, DRAWN_LM = "drawn-clip-50", "drawn-clip-avg", "drawn-lm"
UNPAIRED = 200  # images that the mean gap is measured on
FAMILIES = ("bleu", "rouge_l", "cider", "clipscore", "length")
TRAINING_ADVICE = """\
Train them with `vizer train-captioner --method NAME --clip ViT-B-32 --pretrained openai
--language-model facebook/opt-1.3b --corpus CAPTIONS.json --out FOLDER/NAME.safetensors`, NAME being
maccap, capdec and decap (hours of a GPU each), and set VIZER_PREFIX_NETWORKS to FOLDER. The last
two have one prefix position, as in the paper's tables; for maccap's decoder in all rows, as the
drawn models have, give --method capdec_same_decoder and decap_same_decoder. maccap-clean is
--method maccap with --variance 0. With --dtype bfloat16 (a T4: float16) training
takes a fraction of the time; then set VIZER_DTYPE to the same."""


@dataclass(frozen=True, eq=False)
class CaptionStudy:
    """Images with models, corpus and prefix networks; each is made or read when first asked for.

    `unpaired` are images that share nothing with the images captioned: only the mean-shift
    control reads them.
    """

    images: Study
    corpus: tuple[str, ...]
    unpaired: Sequence[Image.Image]
    prefix_networks: Mapping[str, Path]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def encoder(self) -> ImageTextEncoder:
        """The CLIP of every method."""
        return self.images.encoder

    @property
    def is_micro(self) -> bool:
        """Whether each image's exact content is known."""
        return bool(self.images.scenes)

    @cached_property
    def states(self) -> ImageStates:
        """The images' features, patches and attention."""
        return self.encoder.image_states(self.images.images)

    @cached_property
    def language_model(self) -> CausalLM:
        """The frozen language model of every method."""
        device = str(pick_device())
        if self.is_micro:
            return load_drawn_lm(device, DRAWN_LM)
        name, dtype = env.LANGUAGE_MODEL.get(), model_dtype() or torch.float32
        return CausalLM.from_pretrained(name, device=device, dtype=dtype)

    @cached_property
    def judge(self) -> ImageTextEncoder:
        """The CLIP that scores captions."""
        if self.is_micro:
            return load_drawn_clip(DRAWN_JUDGE, device=str(pick_device()))
        return load_full_clip(full_models()[1])

    @cached_property
    def memory(self) -> MemoryBank:
        """The corpus with its text features: what DeCap and CLIPRe search."""
        return MemoryBank.from_captions(
            self.encoder, self.corpus, size=len(self.corpus), generator=seeded(0)
        )

    @cached_property
    def pairs(self) -> PairedFeatures:
        """Each image with its first caption: what the upper row reads and no method may."""
        return PairedFeatures(
            ids=self.images.ids,
            image_features=self.states.image_features,
            text_features=self.encoder.encode_text(self.images.texts),
            image_index=torch.arange(len(self)),
        )

    def prefix_generator(self, prefix_network: str) -> PrefixGenerator:
        """Return a trained one of `PREFIX_NETWORKS` in front of the language model."""
        path = self.path_of(prefix_network)
        trained = load_prefix_network(
            path, encoder=self.encoder, language_model=self.language_model
        )
        decoding = DRAWN_DECODING if self.is_micro else MACCAP_DECODING
        return PrefixGenerator(trained, self.language_model, decoding)

    def noise(self, prefix_network: str) -> Noise:
        """Return the noise that a prefix network was trained with, from its manifest."""
        made = load_manifest(self.path_of(prefix_network))["config"]["noise"]
        if made["kind"] == "NoNoise":
            return NoNoise()
        if made["kind"] == "GaussianNoise":
            return GaussianNoise(made["variance"])
        raise ValueError(
            f"{self.path_of(prefix_network)} was trained with {made['kind']}: "
            "wanted GaussianNoise or "
            "NoNoise"
        )

    def path_of(self, prefix_network: str) -> Path:
        """Return where a trained prefix network lies."""
        if prefix_network not in self.prefix_networks:
            raise ValueError(
                f"no prefix network {prefix_network!r}: wanted one of "
                f"{', '.join(self.prefix_networks)}"
            )
        path = self.prefix_networks[prefix_network]
        if not path.is_file():
            raise FileNotFoundError(
                f"no {path}: the {prefix_network} prefix network.\n{TRAINING_ADVICE}"
            )
        return path

    def training_free(self) -> dict[str, Captioner]:
        """Return MAGIC, ZeroCap and Socratic Models, in their settings for these models."""
        lm, clip = self.language_model, self.encoder
        if self.is_micro:
            return {
                "magic": Magic(lm, clip, MAGIC_SMALL),
                "zerocap": ZeroCap(lm, clip, ZEROCAP_SMALL, prompt=ZEROCAP_SMALL_PROMPT),
                "socratic": Socratic(
                    clip,
                    lm,
                    drawn_word_lists([p.name for p in places_of("second_test")], top_objects=2),
                    prompting=TagPrefix(),
                ),
            }
        named = WordList.from_template(
            "objects", named_things(self.corpus), "a photo of a {}", top=3
        )
        return {
            "magic": Magic(lm, clip, MAGIC_COCO),
            "zerocap": ZeroCap(lm, clip),
            "socratic": Socratic(clip, lm, (named,)),
        }

    def new_network(self, pairs: TrainingPairs) -> tuple[PrefixNetwork, TextOnlyConfig]:
        """Return MacCap's network before its first step, and the settings of its training."""
        torch.manual_seed(0)  # first weights come from torch's global generator
        if self.is_micro:
            made = word_reader(pairs, DRAWN_MACCAP, self.language_model, generator=seeded(0))
            return made, DRAWN_MACCAP
        shape = self.prefix_generator("maccap").prefix_network.config
        config = replace(SMALL_MACCAP, epochs=1, noise=self.noise("maccap"))
        return new_prefix_network(shape), config

    def gallery(self, rows: Sequence[int], captions: Mapping[str, Sequence[str]]) -> Gallery:
        """Show images with each system's caption; what it names is marked where truth is known.

        `captions` contains one caption for each image of the study.
        """
        images = [self.images.images[row] for row in rows]
        shown = {name: [texts[row] for row in rows] for name, texts in captions.items()}
        if not self.is_micro:
            return caption_gallery(images, shown)
        truths = [self.images.scenes[row].truth for row in rows]
        return caption_gallery(images, shown, truths=truths, lexicon=drawn_lexicon("second"))

    @cached_property
    def _references(self) -> References:
        return make_references(dict(zip(self.images.ids, self.images.captions)))

    @cached_property
    def _judged_images(self):
        return self.judge.encode_image(self.images.images)

    def score(self, captions: Sequence[str]) -> dict[str, Statistics]:
        """Score one caption per image: by references, by the judge, and exactly if known.

        Exact scores (`object_precision`, `object_recall`, `object_f1`, ...) need scenes.
        `bootstrap` and `paired_bootstrap` of `vizer_core.metrics.stats` give intervals.
        """
        if len(captions) != len(self):
            raise ValueError(f"got {len(captions)} captions for {len(self)} images")
        inputs = Inputs(
            image_features=self._judged_images,
            text_features=self.judge.encode_text(list(captions)),
            encoder_name=self.judge.name,
        )
        found = evaluate(
            dict(zip(self.images.ids, captions)),
            self._references,
            metrics=FAMILIES,
            inputs=inputs,
            missing_captions="empty",
            resamples=1,
        ).statistics
        return found | self.ground([[caption] for caption in captions])

    def score_candidates(self, texts: Sequence[Sequence[str]]) -> Float64[np.ndarray, "n k"]:
        """Score k captions of each image one by one: object F1, or CIDEr where it is unknown.

        For galleries and for choosing among candidates after the fact; a method may not read it.
        """
        metric, columns = "object_f1" if self.is_micro else "cider", []
        for column in zip(*texts, strict=True):
            found = self.ground([[text] for text in column]) or self.score(column)
            columns.append(found[metric].per_image)
        return np.stack(columns, axis=1)

    def ground(self, captions: Sequence[Sequence[str]]) -> dict[str, Statistics]:
        """Check the captions of each image against its exact content; nothing if unknown."""
        if not self.is_micro:
            return {}
        truths = [scene.truth for scene in self.images.scenes]
        return grounding_statistics(captions, truths, lexicon=drawn_lexicon("second"))


def named_things(captions: Sequence[str], count: int = 300) -> tuple[str, ...]:
    """Return the words that follow "a" or "an" most often: things that captions are about.

    >>> named_things(["A dog and a cat.", "a dog sits on an old sofa"], count=2)
    ('dog', 'cat')
    """
    words = Counter(word for text in captions for word in re.findall(r"\ban? (\w+)", text.lower()))
    if not words:
        raise ValueError(f"none of {len(captions)} captions names a thing after 'a' or 'an'")
    return tuple(word for word, _ in words.most_common(count))


def open_caption_study(n: int = 100, *, memory: int = 4_000) -> CaptionStudy:
    """Open n images, and a corpus of `memory` captions, on the profile in force.

    >>> study = open_caption_study(2, memory=10)
    >>> study.images.ids, len(study.corpus), len(study.prefix_networks)
    (('second_test-00000', 'second_test-00001'), 10, 4)
    """
    if n < 1 or memory < 1:
        raise ValueError(f"n={n}, memory={memory}: wanted at least 1 of each")
    return _open_drawn(n, memory) if profile().is_micro else _open_full(n, memory)


def _open_drawn(n: int, memory: int) -> CaptionStudy:
    unpaired = DrawnSplit("second_validation", UNPAIRED).images
    return CaptionStudy(
        images=open_study(DRAWN_CLIP, n),
        corpus=drawn_corpus("home", memory).captions,
        unpaired=[Image.fromarray(pixels) for pixels in unpaired],
        prefix_networks={
            name: drawn_prefix_network_path(f"drawn-{name}") for name in PREFIX_NETWORKS
        },
    )


def _open_full(n: int, memory: int) -> CaptionStudy:
    folder = env.PREFIX_NETWORKS.get()
    if not folder:
        raise FileNotFoundError(
            f"the full profile needs prefix networks, and VIZER_PREFIX_NETWORKS is not set.\n"
            f"{TRAINING_ADVICE}"
        )
    n, unpaired = at_most(n), at_most(UNPAIRED)
    both = open_full(full_models()[0], n + unpaired)
    first = Study(
        encoder=both.encoder,
        ids=both.ids[:n],
        images=both.images[:n],
        captions=both.captions[:n],
        note=f"full profile: {full_models()[0]} on the first {n:,} images of COCO val2017",
    )
    corpus = corpus_of_records("coco2014-train", coco2014("train")).deduplicate()
    if len(corpus) > memory:
        corpus = corpus.sample(memory, generator=seeded(0))
    return CaptionStudy(
        images=first,
        corpus=corpus.captions,
        unpaired=both.images[n:],
        prefix_networks={
            name: Path(folder).expanduser() / f"{name}.safetensors" for name in PREFIX_NETWORKS
        },
    )
