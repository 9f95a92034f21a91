"""The cells of the captioning study: train one prefix network, or caption one domain's images.

A prefix network is named by its recipe, the domain of its texts and its seed. The recipes cross
what MacCap's Table 5 crosses, tokens and noise; two train the language model as well, one reads
images.

=====================  =======  =====  ==============================================
recipe                 tokens   noise  systems that read it
=====================  =======  =====  ==============================================
single_clean           1        no     baseline, decap, mean_shift, blind, oracle_text
single_noise           1        yes    capdec
multi_clean            10       no     ablation
multi_noise            10       yes    every maccap row
supervised             1        no     clipcap: image features, the upper bound
single_clean_tuned     1        no     decap_tuned (language model trained too)
single_noise_tuned     1        yes    capdec_tuned
=====================  =======  =====  ==============================================

A recipe with `_long` at its end is trained four times as long, until an epoch hardly lowers the
loss: whoever compares noise with no noise has to know that both had learned what they could.
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
from vizer_core.captioners.magic import MAGIC_MICRO
from vizer_core.captioners.socratic import TagPrefix
from vizer_core.captioners.zerocap import ZEROCAP_MICRO, ZEROCAP_MICRO_PROMPT
from vizer_core.clip import (
    ImageStates,
    OpenClipEncoder,
    PairedFeatures,
    regions_counterfactual,
    regions_mean,
    regions_paper,
    regions_random,
    regions_release,
)
from vizer_core.files import load_tensors, save_tensors
from vizer_core.language import CausalLM
from vizer_core.runtime import seeded
from vizer_core.textonly import (
    MICRO_MACCAP,
    MICRO_NETWORK,
    GaussianNoise,
    Noise,
    NoNoise,
    PrefixDecoder,
    PrefixGenerator,
    TextOnlyConfig,
    TrainingPairs,
    average_mix,
    fit_text_only,
    load_prefix_network,
    save_prefix_network,
)
from vizer_lab.world.lexicon import HOME_PLACES, OBJECTS
from vizer_lab.zoo import load_micro_clip
from vizer_lab.zoo.language_models import load_micro_lm

MEMORY = 20_000
SAMPLES = 20
TUNED = ("single_clean_tuned", "single_noise_tuned")
LONG, LONGER = "_long", 4


@dataclass(frozen=True)
class Run:
    """Where a cell finds its prefix network, texts and images."""

    runs: str
    clip: str = world.CLIP
    texts: str = "home"
    images: str = "home"
    part: str = "test"
    n: int = 500
    scenes: int = world.FIRST_TRAINING_SCENES
    seed: int = 0
    variance: float = 0.0

    @property
    def noise(self) -> Noise:
        """The noise of the recipes that have one."""
        return GaussianNoise(self.variance)

    def prefix_network_path(self, recipe: str) -> Path:
        """Where a trained prefix network lies; its variance is in its name where it has noise."""
        noisy = f"-{self.variance:.5f}" if "noise" in recipe else ""
        name = f"{self.clip}-{self.texts}-{recipe}{noisy}-{self.seed}.safetensors"
        return Path(self.runs) / "prefix networks" / name

    @property
    def encoder(self) -> OpenClipEncoder:
        """The CLIP of every method in this cell."""
        return load_micro_clip(self.clip)

    @property
    def corpus(self) -> TrainingPairs:
        """The captions of the cell's text domain, with their features."""
        return world.text_pairs(self.runs, self.clip, self.texts, self.scenes)

    def states(self, part: str) -> ImageStates:
        """The encoded images of the cell's image domain."""
        return world.states(self.runs, self.clip, self.images, part, self.n)


def config_of(recipe: str, noise: Noise) -> TextOnlyConfig:
    """Return a recipe's training settings: MicroMacCap's, with tokens and noise changed."""
    tokens = 10 if recipe.startswith("multi") else 1
    return replace(
        MICRO_MACCAP,
        tokens=tokens,
        noise=noise if "noise" in recipe else NoNoise(),
        train_language_model=recipe in TUNED,
        epochs=MICRO_MACCAP.epochs * (LONGER if recipe.endswith(LONG) else 1),
    )


def train_cell(recipe: str, **where: Any) -> dict[str, Any]:
    """Train one prefix network and store it; return what the run recorded."""
    run = Run(**where)
    pairs, config = run.corpus, config_of(recipe, run.noise)
    if recipe == "supervised":
        pairs = world.image_pairs(run.runs, run.clip, run.texts, run.scenes)
    language_model = load_micro_lm()
    torch.manual_seed(run.seed)  # the prefix network's first weights
    prefix_network = PrefixDecoder(MICRO_NETWORK)
    history = fit_text_only(
        prefix_network, language_model, pairs, config, generator=seeded(run.seed)
    )
    path = run.prefix_network_path(recipe)
    if recipe in TUNED:
        # clones: input and output embeddings are one tensor, which safetensors refuses
        tuned = {k: v.clone() for k, v in language_model.model.state_dict().items()}
        save_tensors(_tuned_path(path), tuned, {"recipe": recipe, "seed": run.seed})
    save_prefix_network(
        path,
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
        "epochs": _by_epoch(history.loss, config.epochs),
        "captions_per_second": round(history.captions_per_second),
    }


def _by_epoch(losses: Sequence[float], epochs: int) -> list[float]:
    per = len(losses) // epochs
    return [round(sum(losses[i * per : (i + 1) * per]) / per, 4) for i in range(epochs)]


def _tuned_path(path: Path) -> Path:
    return path.with_name(path.stem + "-lm.safetensors")


def _language_model(run: Run, recipe: str) -> CausalLM:
    lm = load_micro_lm()
    if recipe in TUNED:
        tensors, _ = load_tensors(_tuned_path(run.prefix_network_path(recipe)))
        lm.model.load_state_dict(tensors)
        lm = CausalLM.from_model(lm.model, lm.tokenizer, lm.name)
    return lm


def _prefix_generator(run: Run, recipe: str) -> PrefixGenerator:
    lm = _language_model(run, recipe)
    prefix_network = load_prefix_network(
        run.prefix_network_path(recipe), encoder=run.encoder, language_model=lm
    )
    return PrefixGenerator(prefix_network, lm)


def _memory(run: Run) -> MemoryBank:
    pairs = run.corpus
    chosen = torch.randperm(len(pairs), generator=seeded(run.seed))[:MEMORY]
    texts = tuple(pairs.captions[i] for i in chosen.tolist())
    return MemoryBank(texts, pairs.features[chosen], run.encoder.fingerprint)


def _maccap(run: Run, tokens: Any, *, noise: Noise | None = None, recipe: str = "multi_noise"):
    return MacCap(_prefix_generator(run, recipe), tokens, run.noise if noise is None else noise)


def _sampled(run: Run, tokens: Any, *, recipe: str = "multi_noise") -> Captioner:
    return SampledMacCap(_maccap(run, tokens, recipe=recipe), run.encoder, samples=SAMPLES)


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
    lists = (
        WordList.from_template("objects", [kind.name for kind in OBJECTS], "a {}", top=2),
        WordList.from_template("place", [place.name for place in HOME_PLACES], "a photo of {}"),
    )
    return Socratic(run.encoder, load_micro_lm(), lists, prompting=TagPrefix())


def _random_regions(run: Run) -> Any:
    return RegionTokens(partial(regions_random, generator=seeded(run.seed)))


SYSTEMS: dict[str, Callable[[Run], Captioner]] = {
    "clipre": lambda run: ClipRe(_memory(run)),
    "magic": lambda run: Magic(load_micro_lm(), run.encoder, MAGIC_MICRO),
    "zerocap": lambda run: ZeroCap(
        load_micro_lm(), run.encoder, ZEROCAP_MICRO, prompt=ZEROCAP_MICRO_PROMPT
    ),
    "socratic": _socratic,
    "baseline": lambda run: Baseline(_prefix_generator(run, "single_clean")),
    "capdec": lambda run: CapDec(_prefix_generator(run, "single_noise")),
    "decap": lambda run: DeCap(_prefix_generator(run, "single_clean"), _memory(run)),
    "capdec_tuned": lambda run: CapDec(_prefix_generator(run, "single_noise_tuned")),
    "decap_tuned": lambda run: DeCap(_prefix_generator(run, "single_clean_tuned"), _memory(run)),
    "mean_shift": lambda run: _shifted(run, Baseline(_prefix_generator(run, "single_clean"))),
    "mean_shift_noise": lambda run: _shifted(run, CapDec(_prefix_generator(run, "single_noise"))),
    "blind": _blind,
    "oracle_text": _oracle,
    "clipcap": lambda run: ClipCap(_prefix_generator(run, "supervised")),
    # MacCap: one noisy pass, by what is read of the image
    "maccap_pass": lambda run: _maccap(run, RegionTokens()),
    "maccap_pass_still": lambda run: _maccap(run, RegionTokens(), noise=NoNoise()),
    "maccap_pass_average": lambda run: _maccap(run, RegionTokens(mixing=average_mix)),
    "maccap_pass_global": lambda run: _maccap(run, GlobalTokens()),
    "maccap_pass_global_still": lambda run: _maccap(run, GlobalTokens(), noise=NoNoise()),
    "maccap_pass_release": lambda run: _maccap(run, RegionTokens(regions_release)),
    "maccap_pass_mean": lambda run: _maccap(run, RegionTokens(regions_mean)),
    "maccap_pass_counterfactual": lambda run: _maccap(run, RegionTokens(regions_counterfactual)),
    "maccap_pass_random": lambda run: _maccap(run, _random_regions(run)),
    # and S samples, the best by CLIP: MacCap as published, and its controls
    "maccap": lambda run: _sampled(run, RegionTokens()),
    "maccap_global": lambda run: _sampled(run, GlobalTokens()),
    "maccap_global_shifted": lambda run: _shifted(run, _sampled(run, GlobalTokens())),
    "maccap_random": lambda run: _sampled(run, _random_regions(run)),
    "maccap_counterfactual": lambda run: _sampled(run, RegionTokens(regions_counterfactual)),
    # Table 5, the training rows; and N patches of Figure 5
    "multi_clean": lambda run: _maccap(run, GlobalTokens(), noise=NoNoise(), recipe="multi_clean"),
    "multi_clean_regions": lambda run: _maccap(
        run, RegionTokens(), noise=NoNoise(), recipe="multi_clean"
    ),
    # the same, trained four times as long
    "baseline_long": lambda run: Baseline(_prefix_generator(run, "single_clean_long")),
    "decap_long": lambda run: DeCap(_prefix_generator(run, "single_clean_long"), _memory(run)),
    "capdec_long": lambda run: CapDec(_prefix_generator(run, "single_noise_long")),
    "maccap_long": lambda run: _sampled(run, RegionTokens(), recipe="multi_noise_long"),
    "maccap_pass_long": lambda run: _maccap(run, RegionTokens(), recipe="multi_noise_long"),
    "maccap_pass_global_long": lambda run: _maccap(run, GlobalTokens(), recipe="multi_noise_long"),
    "multi_clean_long": lambda run: _maccap(
        run, GlobalTokens(), noise=NoNoise(), recipe="multi_clean_long"
    ),
} | {
    f"patches_{count}": partial(
        lambda run, count: _maccap(run, RegionTokens(regions_paper, count)), count=count
    )
    for count in (1, 5, 20, 49)
}


def caption_cell(system: str, **where: Any) -> list[str]:
    """Caption the images of a domain with one system."""
    run = Run(**where)
    images = run.states(run.part)
    return SYSTEMS[system](run).caption(images, generator=seeded(run.seed))
