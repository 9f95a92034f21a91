"""The cells of the captioning study: train one prefix network, or caption one domain's images.

A prefix network is named by its recipe, the domain of its texts and its seed. The recipes cross
what MacCap's Table 5 crosses, tokens and noise, at equal steps; one reads images. `_mlp` is the
trained part of the paper's single-token rows, the others are MacCap's decoder.

=====================  =======  =====  ==============================================
recipe                 tokens   noise  systems that read it
=====================  =======  =====  ==============================================
single_clean           1        no     baseline, decap, mean_shift, blind, oracle_text
single_noise           1        yes    capdec
single_clean_mlp       1        no     baseline_mlp, decap_mlp
single_noise_mlp       1        yes    capdec_mlp
multi_clean            10       no     ablation
multi_noise            10       yes    every maccap row
supervised             1        no     clipcap: image features, the upper bound
supervised_mlp         1        no     clipcap_mlp: that of the perceptrons
=====================  =======  =====  ==============================================

A recipe with `_short` at its end reads an eighth of the texts. Noise and patch number are chosen
with such networks, on validation images; what the table shows is trained in full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from experiments import maccap_world as world
from vizer_core.captioners import (
    Baseline,
    Blind,
    CapDec,
    Captioner,
    ClipCap,
    ClipRe,
    DeCap,
    GlobalTokens,
    MacCap,
    Magic,
    MeanShift,
    MemoryBank,
    OracleText,
    RegionTokens,
    SampledMacCap,
    Socratic,
    WordList,
    ZeroCap,
)
from vizer_core.captioners.magic import MAGIC_SMALL
from vizer_core.captioners.socratic import TagPrefix
from vizer_core.captioners.zerocap import ZEROCAP_SMALL, ZEROCAP_SMALL_PROMPT
from vizer_core.clip import (
    MACCAP_REGIONS,
    ImageStates,
    OpenClipEncoder,
    PairedFeatures,
    regions_counterfactual,
    regions_mean,
    regions_other_image,
    regions_paper,
    regions_random,
    regions_release,
)
from vizer_core.language import CausalLM
from vizer_core.runtime import seeded
from vizer_core.textonly import (
    GaussianNoise,
    NoNoise,
    PrefixGenerator,
    TextOnlyConfig,
    TrainingPairs,
    fit_text_only,
    load_prefix_network,
    save_prefix_network,
)
from vizer_core.textonly.prefix_network import PrefixNetwork, new_prefix_network
from vizer_lab.world.lexicon import OBJECTS
from vizer_lab.world.world import places_of
from vizer_lab.zoo import load_drawn_clip
from vizer_lab.zoo.drawn_captioners import (
    DRAWN_DECODING,
    DRAWN_MACCAP,
    SINGLE_TOKEN,
    word_reader,
)
from vizer_lab.zoo.language_models import load_drawn_lm

MEMORY = 20_000
SAMPLES = 20
SHORT, SHORTER = "_short", 8  # for choices on validation images: an eighth of the texts, once
PATCHES = (1, 5, 10, 20, 64)  # of 64


@dataclass(frozen=True)
class Run:
    """Where a cell finds its prefix network, texts and images.

    `variance` is MacCap's noise, `single` that of the rows that read one token.
    """

    runs: str
    clip: str = world.CLIP
    texts: str = "home"
    images: str = "home"
    part: str = "test"
    n: int = 500
    scenes: int = world.FIRST_TRAINING_SCENES
    seed: int = 0
    variance: float = 0.0
    single: float = 0.0
    patches: int = MACCAP_REGIONS

    def variance_of(self, recipe: str) -> float:
        """Return the variance that a recipe is trained with; 0 is no noise."""
        if "noise" not in recipe:
            return 0.0
        return self.single if recipe.startswith("single") else self.variance

    def prefix_network_path(self, recipe: str) -> Path:
        """Where a trained prefix network lies; its variance is in its name where it has noise."""
        variance = self.variance_of(recipe)
        noisy = f"-{variance:.5f}" if variance else ""
        name = f"{self.clip}-{self.texts}-{recipe}{noisy}-{self.seed}.safetensors"
        return Path(self.runs) / "prefix networks" / name

    @property
    def encoder(self) -> OpenClipEncoder:
        """The CLIP of every method in this cell."""
        return load_drawn_clip(self.clip)

    @property
    def corpus(self) -> TrainingPairs:
        """The captions of the cell's text domain, with their features."""
        return world.text_pairs(self.runs, self.clip, self.texts, self.scenes)

    def states(self, part: str) -> ImageStates:
        """The encoded images of the cell's image domain."""
        return world.states(self.runs, self.clip, self.images, part, self.n)


def config_of(recipe: str, variance: float) -> TextOnlyConfig:
    """Return a recipe's training settings: MacCap's, with tokens and noise changed."""
    return replace(
        DRAWN_MACCAP,
        tokens=MACCAP_REGIONS if recipe.startswith("multi") else 1,
        noise=GaussianNoise(variance) if variance else NoNoise(),
    )


def train_cell(recipe: str, **where: Any) -> dict[str, Any]:
    """Train one prefix network and store it; return what the run recorded."""
    run = Run(**where)
    pairs, config = run.corpus, config_of(recipe, run.variance_of(recipe))
    if recipe.startswith("supervised"):
        pairs = world.image_pairs(run.runs, run.clip, run.texts, run.scenes)
    if recipe.endswith(SHORT):
        pairs = TrainingPairs(pairs.features[::SHORTER], pairs.captions[::SHORTER])
    language_model = _language_model()
    torch.manual_seed(run.seed)  # the prefix network's first weights
    if recipe.endswith("_mlp"):
        prefix_network: PrefixNetwork = new_prefix_network(SINGLE_TOKEN)
    else:
        prefix_network = word_reader(pairs, config, language_model, generator=seeded(run.seed))
    history = fit_text_only(
        prefix_network,
        language_model,
        pairs,
        config,
        generator=seeded(run.seed),
    )
    save_prefix_network(
        run.prefix_network_path(recipe),
        prefix_network,
        encoder=run.encoder,
        language_model=language_model,
        metadata={
            "recipe": recipe,
            "config": config.to_dict(),
            "seed": run.seed,
            "pairs": pairs.digest,
        },
    )
    return {
        "loss": round(history.mean_loss(), 4),
        "steps": len(history.loss),
        "epochs": by_parts(history.loss, config.epochs),
        "quarters": by_parts(history.loss, 4),
        "captions_per_second": round(history.captions_per_second),
    }


def by_parts(losses: Sequence[float], parts: int) -> list[float]:
    """Return the mean loss of each of equal parts of a training, in its order.

    A corpus is read once, so no step has seen its captions before: these are held-out losses, of
    a network that is still learning.

    >>> by_parts([4.0, 2.0, 2.0, 1.0], 2)
    [3.0, 1.5]
    """
    parts = min(parts, len(losses))
    per = len(losses) // max(parts, 1)
    return [round(sum(losses[i * per : (i + 1) * per]) / per, 4) for i in range(parts)]


def _language_model() -> CausalLM:
    return load_drawn_lm(name=world.LANGUAGE_MODEL)


def _prefix_generator(run: Run, recipe: str) -> PrefixGenerator:
    lm = _language_model()
    prefix_network = load_prefix_network(
        run.prefix_network_path(recipe), encoder=run.encoder, language_model=lm
    )
    return PrefixGenerator(prefix_network, lm, DRAWN_DECODING)


def _memory(run: Run) -> MemoryBank:
    pairs = run.corpus
    chosen = torch.randperm(len(pairs), generator=seeded(run.seed))[:MEMORY]
    texts = tuple(pairs.captions[i] for i in chosen.tolist())
    return MemoryBank(texts, pairs.features[chosen], run.encoder.fingerprint)


def _maccap(run: Run, tokens: Any, *, noisy: bool = True, recipe: str = "multi_noise") -> MacCap:
    noise = GaussianNoise(run.variance) if noisy else NoNoise()
    return MacCap(_prefix_generator(run, recipe), tokens, noise)


def _regions(run: Run, regions: Any = regions_paper) -> RegionTokens:
    return RegionTokens(regions, run.patches)


def _sampled(run: Run, tokens: Any) -> Captioner:
    return SampledMacCap(_maccap(run, tokens), run.encoder, samples=SAMPLES)


def _shifted(run: Run, inner: Captioner) -> Captioner:
    images = run.states("validation").image_features
    return MeanShift.measured(inner, images, run.corpus.features)


def _blind(run: Run) -> Captioner:
    texts = run.corpus.features
    return Blind.mean_of(Baseline(_prefix_generator(run, "single_clean")), texts)


def _oracle(run: Run) -> Captioner:
    split = world.split_of(run.images, run.part, run.n)
    pairs = PairedFeatures(
        ids=split.ids,
        image_features=run.states(run.part).image_features,
        text_features=run.encoder.encode_text([texts[0] for texts in split.captions]),
        image_index=torch.arange(run.n),
    )
    return OracleText(Baseline(_prefix_generator(run, "single_clean")), pairs)


def _socratic(run: Run) -> Captioner:
    places = places_of(world.IMAGES[run.images, run.part])
    lists = (
        WordList.from_template("objects", [kind.name for kind in OBJECTS], "a {}", top=2),
        WordList.from_template("place", [place.name for place in places], "a photo of {}"),
    )
    return Socratic(run.encoder, _language_model(), lists, prompting=TagPrefix())


def _random_regions(run: Run) -> RegionTokens:
    return _regions(run, partial(regions_random, generator=seeded(run.seed)))


def _patches(run: Run, *, count: int, recipe: str) -> Captioner:
    return _maccap(run, RegionTokens(regions_paper, count), recipe=recipe)


SYSTEMS: dict[str, Callable[[Run], Captioner]] = {
    "clipre": lambda run: ClipRe(_memory(run)),
    "magic": lambda run: Magic(_language_model(), run.encoder, MAGIC_SMALL),
    "zerocap": lambda run: ZeroCap(
        _language_model(), run.encoder, ZEROCAP_SMALL, prompt=ZEROCAP_SMALL_PROMPT
    ),
    "socratic": _socratic,
    "baseline": lambda run: Baseline(_prefix_generator(run, "single_clean")),
    "capdec": lambda run: CapDec(_prefix_generator(run, "single_noise")),
    "decap": lambda run: DeCap(_prefix_generator(run, "single_clean"), _memory(run)),
    # the paper's single-token rows: a perceptron and one prefix position
    "baseline_mlp": lambda run: Baseline(_prefix_generator(run, "single_clean_mlp")),
    "capdec_mlp": lambda run: CapDec(_prefix_generator(run, "single_noise_mlp")),
    "decap_mlp": lambda run: DeCap(_prefix_generator(run, "single_clean_mlp"), _memory(run)),
    "mean_shift": lambda run: _shifted(run, Baseline(_prefix_generator(run, "single_clean"))),
    "mean_shift_noise": lambda run: _shifted(run, CapDec(_prefix_generator(run, "single_noise"))),
    "blind": _blind,
    "oracle_text": _oracle,
    "clipcap": lambda run: ClipCap(_prefix_generator(run, "supervised")),
    "clipcap_mlp": lambda run: ClipCap(_prefix_generator(run, "supervised_mlp")),
    # MacCap: one noisy pass, by what is read of the image
    "maccap_pass": lambda run: _maccap(run, _regions(run)),
    "maccap_pass_still": lambda run: _maccap(run, _regions(run), noisy=False),
    "maccap_pass_global": lambda run: _maccap(run, GlobalTokens()),
    "maccap_pass_global_still": lambda run: _maccap(run, GlobalTokens(), noisy=False),
    "maccap_pass_global_shifted": lambda run: _shifted(run, _maccap(run, GlobalTokens())),
    "maccap_pass_release": lambda run: _maccap(run, _regions(run, regions_release)),
    "maccap_pass_mean": lambda run: _maccap(run, _regions(run, regions_mean)),
    "maccap_pass_counterfactual": lambda run: _maccap(run, _regions(run, regions_counterfactual)),
    "maccap_pass_random": lambda run: _maccap(run, _random_regions(run)),
    "maccap_pass_other_image": lambda run: _maccap(run, _regions(run, regions_other_image)),
    # and S samples, the best by CLIP: MacCap as published, and its controls
    "maccap": lambda run: _sampled(run, _regions(run)),
    "maccap_global": lambda run: _sampled(run, GlobalTokens()),
    # Table 5, the training rows
    "multi_clean": lambda run: _maccap(run, GlobalTokens(), noisy=False, recipe="multi_clean"),
    "multi_clean_regions": lambda run: _maccap(
        run, _regions(run), noisy=False, recipe="multi_clean"
    ),
    # for choices
    f"capdec{SHORT}": lambda run: CapDec(_prefix_generator(run, f"single_noise{SHORT}")),
    f"maccap_pass{SHORT}": lambda run: _maccap(run, _regions(run), recipe=f"multi_noise{SHORT}"),
} | {  # N patches of Figure 5, and short runs to choose one
    f"patches_{count}{length}": partial(_patches, count=count, recipe=f"multi_noise{length}")
    for count in PATCHES
    for length in ("", SHORT)
}


def caption_cell(system: str, **where: Any) -> list[str]:
    """Caption the images of a domain with one system."""
    run = Run(**where)
    images = run.states(run.part)
    return SYSTEMS[system](run).caption(images, generator=seeded(run.seed))
