"""The shipped captioners: prefix networks that were trained on captions alone.

All read micro-clip-100, generate through micro-lm and were trained on captions alone, in the place
of what MacCap trains for hours.

====================  ======  ========  ====================================================
prefix network        tokens  variance  captioners that read it
====================  ======  ========  ====================================================
micro-maccap          10      .01       MacCap, with or without sampling
micro-maccap-clean    10      none      MacCap's ablation: no noise in training (Table 5)
micro-maccap-weak     10      .0035     MacCap: a tenth of the variance below, the study's choice
micro-maccap-strong   10      .03505    MacCap: turns a text as far as its image is away
micro-capdec          1       .01       CapDec
micro-decap           1       none      Baseline, DeCap, and the controls and bounds around them
====================  ======  ========  ====================================================

Where we differ: nothing here is the paper's size; every row is the decoder of `MICRO_NETWORK` with
its 4 prefix positions, the single-token rows too, so that rows differ in tokens and noise only. So
micro-capdec and micro-decap are what `vizer train-captioner` calls capdec_same_decoder and
decap_same_decoder; the paper's own rows are a `SingleTokenMLP`. See `vizer_core.textonly.presets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from vizer_core.captioners.maccap import GlobalTokens, MacCap, RegionTokens
from vizer_core.captioners.single_token import Baseline
from vizer_core.clip import OpenClipEncoder
from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.runtime import seeded
from vizer_core.textonly import (
    MICRO_MACCAP,
    MICRO_NETWORK,
    Checkpoint,
    GaussianNoise,
    NoNoise,
    PrefixDecoder,
    PrefixGenerator,
    TextOnlyConfig,
    TrainingPairs,
    fit_text_only,
    load_prefix_network,
    region_noise,
    save_prefix_network,
)
from vizer_core.textonly.presets import MICRO_CAPDEC, MICRO_DECAP
from vizer_lab.world import MicroSplit
from vizer_lab.world.corpora import micro_corpus
from vizer_lab.zoo.clips import load_micro_clip, pixels_of
from vizer_lab.zoo.language_models import load_micro_lm
from vizer_lab.zoo.shipped_model import WEIGHTS, ShippedModel, Trained, by_name, named
from vizer_lab.zoo.vlm_scores import caption_scores

CORPUS, CAPTIONS, SEED = "home", 28_500, 0  # nearly all captions of 8,000 training scenes
# turns a text as far as its image is away: `vizer_core.gap.noise_scale` at the mean cosine of
# pairs, .426
MATCHED_VARIANCE = 0.03505
HELD_OUT = 100  # test scenes that a score is taken on
SECONDS = 100.0  # one prefix network on one core, with nothing beside it
NOTE = (
    "Where there is noise, its variance is the recipe's: .01 is the preset MICRO_VARIANCE, not a "
    "study's choice. Weights are fp16."
)


@dataclass(frozen=True, eq=False)
class MicroPrefixNetwork:
    """A shipped prefix network, ready to generate, and how it was trained."""

    prefix_generator: PrefixGenerator
    config: TextOnlyConfig


@dataclass(frozen=True)
class ShippedCaptioner(ShippedModel):
    """A shipped prefix network between CLIP and language model; `recipe` is a `TextOnlyConfig`."""

    kind: ClassVar[str] = "captioner"
    home: ClassVar[Path] = WEIGHTS / "captioners"
    recipe_key: ClassVar[str] = "config"
    tolerance: ClassVar[float] = 0.03  # three of 100 captions: a tie in the beam falls otherwise
    gibibytes: ClassVar[int] = 1

    @property
    def work(self) -> str:
        return f"{CAPTIONS:,} captions, {self.recipe.epochs} epochs"

    @property
    def cpu_seconds(self) -> float:
        return SECONDS

    def train(self, folder: Path, *, device: str, progress: bool) -> Trained:
        """Train on captions of the drawn world, without an image."""
        encoder, lm = load_micro_clip(), load_micro_lm(device)
        corpus = micro_corpus(CORPUS, CAPTIONS)
        pairs = TrainingPairs(encoder.encode_text(list(corpus.captions)), corpus.captions)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            prefix_network = PrefixDecoder(MICRO_NETWORK)
        history = fit_text_only(
            prefix_network,
            lm,
            pairs,
            self.recipe,
            generator=seeded(SEED),
            checkpoint=Checkpoint(self.run_file(folder), every=200),
            progress=progress,
        )
        prefix_network = prefix_network.half().float()  # scored as it is stored
        metadata = {
            "corpus": {"name": corpus.name, "captions": len(pairs), "sha256": corpus.sha256},
            "pairs": pairs.digest,
            "seed": SEED,
            "steps": len(history.loss),
            "final_loss": round(history.mean_loss(), 4),
            "seconds": round(history.seconds),
            "scored_on": f"the first {HELD_OUT} test scenes",
            "note": NOTE,
        }
        prefix_generator = PrefixGenerator(prefix_network.to(lm.device).eval(), lm)
        return Trained(MicroPrefixNetwork(prefix_generator, self.recipe), metadata)

    def write(self, trained: Trained, folder: Path, metadata: Mapping[str, Any]) -> None:
        """Write the prefix network in fp16, with the pair of models that it fits."""
        prefix_generator = trained.model.prefix_generator
        halves = deepcopy(prefix_generator.prefix_network).cpu().half()
        save_prefix_network(
            self.path(folder),
            halves,
            encoder=load_micro_clip(),
            language_model=prefix_generator.language_model,
            metadata=metadata,
        )

    def load(
        self,
        device: str = "cpu",
        folder: Path | None = None,
        *,
        encoder: ImageTextEncoder | None = None,
        language_model: PrefixLanguageModel | None = None,
    ) -> MicroPrefixNetwork:
        """Load the prefix network in front of the micro LM, with the settings it was trained with.

        Models that are not given are the shipped ones; any other CLIP or language model is an
        error, because the prefix network would generate fluent nonsense with it.
        """
        lm = language_model if language_model is not None else load_micro_lm(device)
        prefix_network = load_prefix_network(
            self.path(folder), encoder=encoder or load_micro_clip(), language_model=lm
        )
        return MicroPrefixNetwork(PrefixGenerator(prefix_network, lm), self.recipe)

    def score(self, model: MicroPrefixNetwork) -> dict[str, float]:
        """Measure what the prefix network generates for test scenes, from texts and from images."""
        return score_micro_prefix_network(model, load_micro_clip(), scenes=HELD_OUT)


CAPTIONERS: dict[str, ShippedCaptioner] = by_name(
    ShippedCaptioner("micro-maccap", MICRO_MACCAP),
    ShippedCaptioner("micro-maccap-clean", replace(MICRO_MACCAP, noise=NoNoise())),
    ShippedCaptioner("micro-maccap-weak", replace(MICRO_MACCAP, noise=GaussianNoise(0.0035))),
    ShippedCaptioner(
        "micro-maccap-strong", replace(MICRO_MACCAP, noise=GaussianNoise(MATCHED_VARIANCE))
    ),
    ShippedCaptioner("micro-capdec", MICRO_CAPDEC),
    ShippedCaptioner("micro-decap", MICRO_DECAP),
)


def micro_prefix_network_path(name: str) -> Path:
    """Return where a shipped prefix network's weights lie."""
    return named(CAPTIONERS, name).path()


def load_micro_prefix_network(
    name: str = "micro-maccap",
    *,
    encoder: ImageTextEncoder | None = None,
    language_model: PrefixLanguageModel | None = None,
) -> MicroPrefixNetwork:
    """Load a shipped prefix network in front of the micro LM; see `ShippedCaptioner.load`."""
    return named(CAPTIONERS, name).load(encoder=encoder, language_model=language_model)


def score_micro_prefix_network(
    prefix_network: MicroPrefixNetwork, encoder: OpenClipEncoder, *, scenes: int = HELD_OUT
) -> dict[str, float]:
    """Measure a prefix network on test scenes, from texts and from images.

    `text_same`: share of captions generated word for word from their own clean feature;
    `text_precision`, `text_recall`: the objects of what is generated from it, against the scene;
    `image_precision`, `image_recall`: the same from the image, in one pass of the captioner that
    the prefix network is for.
    """
    data, prefix_generator, config = (
        MicroSplit("test", scenes),
        prefix_network.prefix_generator,
        prefix_network.config,
    )
    texts = [captions[0] for captions in data.captions]
    tokens = region_noise(
        encoder.encode_text(texts), config.tokens, noise=NoNoise(), generator=seeded(SEED)
    )
    read = {
        "text": list(prefix_generator.generate(tokens)),
        "image": _captioner(prefix_network).caption(
            encoder.image_states(pixels_of(data.images)), generator=seeded(SEED)
        ),
    }
    same = sum(a == b for a, b in zip(read["text"], texts)) / scenes
    scores = {"text_same": same}
    for side, captions in read.items():
        found = caption_scores(captions, data.scenes)
        scores |= {f"{side}_{part}": found[f"object_{part}"] for part in ("precision", "recall")}
    return {key: round(value, 4) for key, value in scores.items()}


def _captioner(prefix_network: MicroPrefixNetwork) -> MacCap | Baseline:
    config = prefix_network.config
    if config.tokens == 1:
        return Baseline(prefix_network.prefix_generator)
    noisy = isinstance(config.noise, GaussianNoise)
    return MacCap(
        prefix_network.prefix_generator, RegionTokens() if noisy else GlobalTokens(), config.noise
    )
