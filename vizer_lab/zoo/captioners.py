"""The shipped captioners: prefix networks that were trained on captions alone.

They stand in the place of what MacCap trains for hours, read drawn-clip-50 and generate through
drawn-lm.

====================  ======  ========  ========================================================
prefix network        tokens  variance  captioners that read it
====================  ======  ========  ========================================================
drawn-maccap          10      .05952    MacCap: three times the variance below, the study's choice
drawn-maccap-clean    10      none      MacCap's ablation: no noise in training (Table 5)
drawn-capdec          1       .01984    CapDec: turns a text as far as its image is away
drawn-decap           1       none      Baseline, DeCap, and the controls and bounds around them
====================  ======  ========  ========================================================

Where we differ: nothing here is the paper's size; every row is one decoder, `DRAWN_NETWORK` with
its 8 prefix positions and a reader of words beside it, the single-token rows too, so that rows
differ in tokens and noise only. The paper's own rows are a `SingleTokenMLP`. See
`vizer_core.textonly.presets`.
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
from vizer_core.language import CausalLM
from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.runtime import seeded
from vizer_core.textonly import (
    Checkpoint,
    GaussianNoise,
    NoNoise,
    PrefixGenerator,
    TextOnlyConfig,
    TrainingPairs,
    fit_text_only,
    load_prefix_network,
    region_noise,
    save_prefix_network,
)
from vizer_core.textonly.prefix_network import PrefixNetwork
from vizer_lab.world import DrawnSplit
from vizer_lab.world.corpora import drawn_corpus
from vizer_lab.zoo.clips import load_drawn_clip, pixels_of
from vizer_lab.zoo.drawn_captioners import (
    DRAWN_CAPDEC,
    DRAWN_DECAP,
    DRAWN_DECODING,
    DRAWN_MACCAP,
    word_reader,
)
from vizer_lab.zoo.language_models import load_drawn_lm
from vizer_lab.zoo.shipped_model import WEIGHTS, ShippedModel, Trained, by_name, named
from vizer_lab.zoo.vlm_scores import caption_scores

CLIP, LANGUAGE_MODEL = "drawn-clip-50", "drawn-lm"
CORPUS, CAPTIONS, SEED = "home", 36_203, 0  # all captions of 8,000 training scenes, as in the study
SCORED_ON, HELD_OUT = "second_test", 100  # scenes that a score is taken on
SECONDS = 100.0  # one prefix network on one core, with nothing beside it
NOTE = (
    "Where there is noise, its variance is the one that experiments.maccap_drawn chose on "
    "validation images. Weights are fp16."
)


@dataclass(frozen=True, eq=False)
class DrawnPrefixNetwork:
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

    def encoder(self) -> OpenClipEncoder:
        """Return the CLIP that it reads."""
        return load_drawn_clip(CLIP)

    def language_model(self, device: str = "cpu") -> CausalLM:
        """Return the language model that it generates through."""
        return load_drawn_lm(device, LANGUAGE_MODEL)

    def generator(self, prefix_network: PrefixNetwork, lm: PrefixLanguageModel) -> PrefixGenerator:
        """Put a prefix network in front of a language model."""
        return PrefixGenerator(prefix_network, lm, DRAWN_DECODING)

    def train(self, folder: Path, *, device: str, progress: bool) -> Trained:
        """Train on captions of the drawn world, without an image."""
        encoder, lm = self.encoder(), self.language_model(device)
        corpus = drawn_corpus(CORPUS, CAPTIONS)
        pairs = TrainingPairs(encoder.encode_text(list(corpus.captions)), corpus.captions)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            prefix_network = word_reader(pairs, self.recipe, lm, generator=seeded(SEED))
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
        prefix_generator = self.generator(prefix_network.to(lm.device).eval(), lm)
        return Trained(DrawnPrefixNetwork(prefix_generator, self.recipe), metadata)

    def write(self, trained: Trained, folder: Path, metadata: Mapping[str, Any]) -> None:
        """Write the prefix network in fp16, with the pair of models that it fits."""
        prefix_generator = trained.model.prefix_generator
        halves = deepcopy(prefix_generator.prefix_network).cpu().half()
        save_prefix_network(
            self.path(folder),
            halves,
            encoder=self.encoder(),
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
    ) -> DrawnPrefixNetwork:
        """Load the prefix network in front of its language model, with its training's settings.

        Models that are not given are the shipped ones; any other CLIP or language model is an
        error, because the prefix network would generate fluent nonsense with it.
        """
        lm = language_model if language_model is not None else self.language_model(device)
        prefix_network = load_prefix_network(
            self.path(folder), encoder=encoder or self.encoder(), language_model=lm
        )
        return DrawnPrefixNetwork(self.generator(prefix_network, lm), self.recipe)

    def score(self, model: DrawnPrefixNetwork) -> dict[str, float]:
        """Measure what the prefix network generates for test scenes, from texts and from images."""
        return score_drawn_prefix_network(model, self.encoder(), scenes=HELD_OUT)


CAPTIONERS: dict[str, ShippedCaptioner] = by_name(
    ShippedCaptioner("drawn-maccap", DRAWN_MACCAP),
    ShippedCaptioner("drawn-maccap-clean", replace(DRAWN_MACCAP, noise=NoNoise())),
    ShippedCaptioner("drawn-capdec", DRAWN_CAPDEC),
    ShippedCaptioner("drawn-decap", DRAWN_DECAP),
)


def drawn_prefix_network_path(name: str) -> Path:
    """Return where a shipped prefix network's weights lie."""
    return named(CAPTIONERS, name).path()


def load_drawn_prefix_network(
    name: str = "drawn-maccap",
    *,
    encoder: ImageTextEncoder | None = None,
    language_model: PrefixLanguageModel | None = None,
) -> DrawnPrefixNetwork:
    """Load a shipped prefix network in front of the drawn LM; see `ShippedCaptioner.load`."""
    return named(CAPTIONERS, name).load(encoder=encoder, language_model=language_model)


def score_drawn_prefix_network(
    prefix_network: DrawnPrefixNetwork,
    encoder: OpenClipEncoder,
    *,
    scenes: int = HELD_OUT,
    split: str = SCORED_ON,
) -> dict[str, float]:
    """Measure a prefix network on test scenes, from texts and from images.

    `text_same`: share of captions generated word for word from their own clean feature;
    `text_precision`, `text_recall`: the objects of what is generated from it, against the scene;
    `image_precision`, `image_recall`: the same from the image, in one pass of the captioner that
    the prefix network is for.
    """
    data, prefix_generator, config = (
        DrawnSplit(split, scenes),
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


def _captioner(prefix_network: DrawnPrefixNetwork) -> MacCap | Baseline:
    config = prefix_network.config
    if config.tokens == 1:
        return Baseline(prefix_network.prefix_generator)
    noisy = isinstance(config.noise, GaussianNoise)
    return MacCap(
        prefix_network.prefix_generator, RegionTokens() if noisy else GlobalTokens(), config.noise
    )
