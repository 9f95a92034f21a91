"""The shipped micro adaptors: how each is made, where it lies, and how to make it again.

All read micro-clip-100, write through micro-lm and were trained on captions alone, in the place of
what MacCap trains for hours.

====================  ======  ========  ====================================================
adaptor               tokens  variance  captioners that read it
====================  ======  ========  ====================================================
micro-maccap          10      .01       MacCap, with or without sampling
micro-maccap-clean    10      none      MacCap's ablation: no noise in training (Table 5)
micro-maccap-weak     10      .0035     MacCap: a tenth of the variance below, the study's choice
micro-maccap-strong   10      .03505    MacCap: turns a text as far as its picture is away
micro-capdec          1       .01       CapDec
micro-decap           1       none      Baseline, DeCap, and the controls and bounds around them
====================  ======  ========  ====================================================

Where we differ: nothing here is the paper's size; every row is the decoder of `MICRO_ADAPTOR` with
its 4 prefix positions, the single-token rows too, so that rows differ in tokens and noise only. So
micro-capdec and micro-decap are what `vizer train-captioner` calls capdec_same_decoder and
decap_same_decoder; the paper's own rows are a `SingleTokenMLP`. See `vizer_core.textonly.presets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vizer_core.captioners.maccap import GlobalTokens, MacCap, RegionTokens
from vizer_core.captioners.single_token import Baseline
from vizer_core.clip import OpenClipEncoder
from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.language import CausalLM
from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.runtime import git_commit, seeded
from vizer_core.store import load_manifest, remove_tensors
from vizer_core.textonly import (
    MICRO_ADAPTOR,
    MICRO_MACCAP,
    AdaptorDecoder,
    Checkpoint,
    GaussianNoise,
    NoNoise,
    PrefixWriter,
    TextOnlyConfig,
    TrainingPairs,
    fit_text_only,
    load_adaptor,
    region_noise,
    save_adaptor,
)
from vizer_core.textonly.presets import MICRO_CAPDEC, MICRO_DECAP
from vizer_lab.world import MicroSplit
from vizer_lab.world.corpora import micro_corpus
from vizer_lab.zoo import load_micro_clip
from vizer_lab.zoo.lab import pixels_of
from vizer_lab.zoo.lm_lab import load_micro_lm
from vizer_lab.zoo.vlm_scores import caption_scores

WEIGHTS = Path(__file__).parent / "weights" / "captioners"
CORPUS, CAPTIONS, SEED = "home", 28_500, 0  # nearly all captions of 8,000 training scenes
# turns a text as far as its picture is away: `vizer_core.gap.noise_scale` at the mean cosine of
# pairs, .426
MATCHED_VARIANCE = 0.03505
HELD_OUT = 100  # test scenes that a score is taken on
CHECK_TOLERANCE = 0.03  # three of 100 captions: a tie in the beam falls otherwise elsewhere
SECONDS = 100  # one adaptor on one core, with nothing beside it

RECIPES: dict[str, TextOnlyConfig] = {
    "micro-maccap": MICRO_MACCAP,
    "micro-maccap-clean": replace(MICRO_MACCAP, noise=NoNoise()),
    "micro-maccap-weak": replace(MICRO_MACCAP, noise=GaussianNoise(0.0035)),
    "micro-maccap-strong": replace(MICRO_MACCAP, noise=GaussianNoise(MATCHED_VARIANCE)),
    "micro-capdec": MICRO_CAPDEC,
    "micro-decap": MICRO_DECAP,
}


@dataclass(frozen=True, eq=False)
class MicroAdaptor:
    """A shipped adaptor, ready to write, and how it was trained."""

    writer: PrefixWriter
    config: TextOnlyConfig


def micro_adaptor_path(name: str, folder: Path = WEIGHTS) -> Path:
    """Return where a micro adaptor's weights lie."""
    if name not in RECIPES:
        raise ValueError(f"no micro adaptor {name!r}: wanted one of {sorted(RECIPES)}")
    return Path(folder) / f"{name}.safetensors"


def load_micro_adaptor(
    name: str = "micro-maccap",
    *,
    encoder: ImageTextEncoder | None = None,
    language_model: PrefixLanguageModel | None = None,
    folder: Path = WEIGHTS,
) -> MicroAdaptor:
    """Load a shipped adaptor in front of the micro LM, with the settings it was trained with.

    Models that are not given are the shipped ones; any other CLIP or language model is an error,
    because the adaptor would write fluent nonsense with it.
    """
    path = micro_adaptor_path(name, folder)
    lm = language_model if language_model is not None else load_micro_lm()
    adaptor = load_adaptor(path, encoder=encoder or load_micro_clip(), language_model=lm)
    return MicroAdaptor(PrefixWriter(adaptor, lm), RECIPES[name])


def score_micro_adaptor(
    adaptor: MicroAdaptor, encoder: OpenClipEncoder, *, scenes: int = HELD_OUT
) -> dict[str, float]:
    """Measure an adaptor on test scenes, from texts and from pictures.

    `text_same`: share of captions written word for word from their own clean feature;
    `text_precision`, `text_recall`: the objects of what is written from it, against the scene;
    `image_precision`, `image_recall`: the same from the picture, in one pass of the captioner that
    the adaptor is for.
    """
    data, writer, config = MicroSplit("test", scenes), adaptor.writer, adaptor.config
    texts = [captions[0] for captions in data.captions]
    tokens = region_noise(
        encoder.encode_text(texts), config.tokens, noise=NoNoise(), generator=seeded(SEED)
    )
    read = {
        "text": list(writer.write(tokens)),
        "image": _captioner(adaptor).caption(
            encoder.image_states(pixels_of(data.images)), generator=seeded(SEED)
        ),
    }
    same = sum(a == b for a, b in zip(read["text"], texts)) / scenes
    scores = {"text_same": same}
    for side, captions in read.items():
        found = caption_scores(captions, data.scenes)
        scores |= {f"{side}_{part}": found[f"object_{part}"] for part in ("precision", "recall")}
    return {key: round(value, 4) for key, value in scores.items()}


def _captioner(adaptor: MicroAdaptor) -> MacCap | Baseline:
    config = adaptor.config
    if config.tokens == 1:
        return Baseline(adaptor.writer)
    noisy = isinstance(config.noise, GaussianNoise)
    return MacCap(adaptor.writer, RegionTokens() if noisy else GlobalTokens(), config.noise)


def build_micro_adaptor(
    name: str = "micro-maccap", *, folder: Path = WEIGHTS, device: str = "cpu",
    progress: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Train a shipped adaptor by its recipe, score it, and write weights and manifest.

    A killed run goes on from `folder/name.run.safetensors`. Returns the manifest.
    """
    path, config = micro_adaptor_path(name, folder), RECIPES[name]
    checkpoint = Checkpoint(path.with_name(f"{name}.run.safetensors"), every=200)
    encoder, lm = load_micro_clip(), load_micro_lm(device)
    corpus = micro_corpus(CORPUS, CAPTIONS)
    pairs = TrainingPairs(encoder.encode_text(list(corpus.captions)), corpus.captions)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        adaptor = AdaptorDecoder(MICRO_ADAPTOR)
    history = fit_text_only(
        adaptor, lm, pairs, config, generator=seeded(SEED), checkpoint=checkpoint,
        progress=progress,
    )  # fmt: skip
    adaptor = adaptor.cpu().half()  # half of the size; scored as it is read
    made_by = {
        "name": name,
        "command": f"vizer lab --rebuild --only {name}",
        "config": config.to_dict(),
        "corpus": {"name": corpus.name, "captions": len(pairs), "sha256": corpus.sha256},
        "pairs": pairs.digest,
        "seed": SEED,
        "steps": len(history.loss),
        "final_loss": round(history.mean_loss(), 4),
        "seconds": round(history.seconds),
        "hardware": f"{device}, torch {torch.__version__}",
        "commit": git_commit(),
        "scores": _scores_of_halves(adaptor, lm, encoder, config),
        "scored_on": f"the first {HELD_OUT} test scenes",
        "note": "Where there is noise, its variance is the recipe's: .01 is the preset "
        "MICRO_VARIANCE, not a study's choice. Weights are fp16.",
    }
    save_adaptor(path, adaptor, encoder=encoder, language_model=lm, made_by=made_by)
    remove_tensors(checkpoint.path)
    return load_manifest(path)


def _scores_of_halves(
    halves: AdaptorDecoder, lm: CausalLM, encoder: OpenClipEncoder, config: TextOnlyConfig
) -> dict[str, float]:
    adaptor = AdaptorDecoder(halves.config)
    adaptor.load_state_dict({key: value.float() for key, value in halves.state_dict().items()})
    writer = PrefixWriter(adaptor.to(lm.device).eval(), lm)
    return score_micro_adaptor(MicroAdaptor(writer, config), encoder, scenes=HELD_OUT)


def adaptor_build_cost(names: Sequence[str]) -> str:
    """Say what training these adaptors will cost, before it starts.

    >>> adaptor_build_cost(["micro-maccap"]).partition(":")[0]
    'micro-maccap'
    """
    return (
        f"{', '.join(names)}: {CAPTIONS:,} captions, {MICRO_MACCAP.epochs} epochs, about "
        f"{len(names) * SECONDS / 60:.0f} minutes of one CPU core, 1 GiB of memory. A stopped run "
        "goes on where it was."
    )


def check_micro_adaptors(names: Sequence[str], folder: Path = WEIGHTS) -> dict[str, dict]:
    """Score shipped adaptors again and compare with their manifests.

    Raises `ValueError` naming the adaptor and the score when one is off by more than rounding.
    """
    found, encoder, lm = {}, load_micro_clip(), load_micro_lm()
    for name in names:
        adaptor = load_micro_adaptor(name, encoder=encoder, language_model=lm, folder=folder)
        scores = score_micro_adaptor(adaptor, encoder, scenes=HELD_OUT)
        for metric, stored in load_manifest(micro_adaptor_path(name, folder))["scores"].items():
            if abs(scores[metric] - stored) > CHECK_TOLERANCE:
                raise ValueError(
                    f"{name}: {metric} is {scores[metric]:.4f} here, but {stored:.4f} in its "
                    "manifest. The scenes or a library changed; `vizer lab --rebuild` trains it "
                    "again."
                )
        found[name] = scores
    return found
