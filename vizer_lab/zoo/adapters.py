"""The shipped adapters: how they were made, where they lie, and how to make them again.

=====================  ===========================================================================
micro-vlm-information  RLOO on what a picture adds to a caption's likelihood
                       (`InformationReward`): the recommended one
micro-vlm-read-back    RLOO on ViZer's own read-back score (`ReadBackReward`)
=====================  ===========================================================================

Both were trained on pictures without captions, as seed 0 of `experiments/vizer_micro.py`. A folder
is a plain PEFT folder with `vizer.json`, which holds recipe and scores. That of the read-back has
two mappers as well, both from the model's own captions of other pictures of the stream; no caption
written by a person took part.

===================  =============================================================================
mapper               reads captions drawn at T = 1 as text alone: it gave the rewards
context_mapper       reads greedy captions after their picture: the paper's, and the study's
                     `vizer_g`
===================  =============================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vizer_core.decoding import Greedy, Sample
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.store import read_json
from vizer_core.vizer.advantages import PolicyGradient
from vizer_core.vizer.checkpoint import load_mapper, save_mapper
from vizer_core.vizer.listener import InformationReward
from vizer_core.vizer.lora import MANIFEST, LoraSettings, add_lora, load_adapter, save_adapter
from vizer_core.vizer.lora import settings_dict as lora_dict
from vizer_core.vizer.mapper import FittedMapper, MapperConfig
from vizer_core.vizer.rewards import ReadBackReward, Reward
from vizer_core.vizer.targets import VisionSource
from vizer_core.vizer.text_states import CaptionStates, generated_states, read_back_states
from vizer_core.vizer.train import train_adapter
from vizer_core.vizer.train_config import POLICY_GRADIENT, TrainConfig
from vizer_core.vizer.train_mapper import MAPPER_FIT, fit_mapper
from vizer_core.vlm.protocol import VisionBatch, VisionLanguageModel
from vizer_lab.world.data import unlabelled_stream
from vizer_lab.zoo.lab import CHECK_TOLERANCE
from vizer_lab.zoo.vlm_images import encode_pictures
from vizer_lab.zoo.vlm_lab import load_micro_vlm
from vizer_lab.zoo.vlm_scores import MAX_TOKENS, score_micro_vlm

FOLDER = Path(__file__).parent / "weights" / "adapters"
MAPPER, CONTEXT_MAPPER = "mapper.safetensors", "context_mapper.safetensors"
READ_BACK_RL = replace(POLICY_GRADIENT, decoding=Sample(max_tokens=MAX_TOKENS), max_kl=0.5)
INFORMATION_RL = replace(READ_BACK_RL, learning_rate=5e-4, max_kl=1.5)

Prepared = tuple[VisionSource, Reward, dict[str, FittedMapper]]  # pictures, reward, its mappers


def _rl_dict(config: TrainConfig) -> dict[str, Any]:
    """The settings of a policy gradient under the names that shipped manifests have."""
    kept = {key: v for key, v in config.to_dict().items() if key not in ("epochs", "kl_every")}
    return kept | {"advantage": PolicyGradient.advantage.__name__}


@dataclass(frozen=True)
class AdapterRecipe:
    """Read-back training; pictures come from the stream without captions."""

    base: str = "micro-vlm"
    captions: int = 10_000  # the model's own, drawn at T = 1, that the mapper reads
    pictures: int = 1_000  # the next ones of the stream, for phase 2
    lora: LoraSettings = field(default_factory=LoraSettings)
    rl: TrainConfig = READ_BACK_RL
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, for a manifest."""
        return asdict(self) | {"lora": lora_dict(self.lora), "rl": _rl_dict(self.rl)}

    @property
    def cpu_seconds(self) -> int:
        """Of one core: 11,000 pictures drawn and seen, 20,000 captions, 32 steps, the scores."""
        return 110


@dataclass(frozen=True)
class InformationRecipe:
    """Training on what a picture adds to a caption's likelihood; the same stream, no mapper."""

    base: str = "micro-vlm"
    first: int = 10_000  # the stream's pictures before it are those that mappers read
    pictures: int = 640
    weight: float = 0.7
    lora: LoraSettings = field(default_factory=LoraSettings)
    rl: TrainConfig = INFORMATION_RL
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, for a manifest."""
        return asdict(self) | {"lora": lora_dict(self.lora), "rl": _rl_dict(self.rl)}

    @property
    def cpu_seconds(self) -> int:
        """Of one core: 640 pictures drawn and seen, 20 steps, the scores."""
        return 60


ADAPTER_RECIPES: dict[str, AdapterRecipe | InformationRecipe] = {
    "micro-vlm-information": InformationRecipe(),
    "micro-vlm-read-back": AdapterRecipe(),
}


def shipped_adapter(name: str, folder: Path = FOLDER) -> Path:
    """Return the folder of a shipped adapter.

    >>> shipped_adapter("micro-vlm-read-back").name
    'micro-vlm-read-back'
    """
    if name not in ADAPTER_RECIPES:
        raise ValueError(f"no shipped adapter {name!r}: wanted one of {sorted(ADAPTER_RECIPES)}")
    return Path(folder) / name


def shipped_mapper(name: str, vlm: VisionLanguageModel, folder: Path = FOLDER) -> FittedMapper:
    """Load the mapper whose score a shipped adapter was trained on; `vlm` is its base."""
    if isinstance(ADAPTER_RECIPES.get(name), InformationRecipe):
        raise ValueError(f"{name} was trained without a mapper: ask for micro-vlm-read-back's")
    return load_mapper(shipped_adapter(name, folder) / MAPPER, vlm)


def read_back_mapper(
    vlm: VisionLanguageModel, source: VisionSource, *, generator: torch.Generator
) -> FittedMapper:
    """Return a mapper of captions read as text alone: the shipped one of this base, if any.

    For other models it is fitted on their own drawn captions of the pictures of `source`, the last
    fifth of them held out.
    """
    if name := _shipped_for(vlm):
        return shipped_mapper(name, vlm)
    return _fit(read_back_states(vlm, source, generator=generator), generator)


def context_mapper(
    vlm: VisionLanguageModel, source: VisionSource, *, generator: torch.Generator
) -> FittedMapper:
    """Return a mapper of greedy captions read after their picture, in the same way."""
    if name := _shipped_for(vlm):
        return load_mapper(shipped_adapter(name) / CONTEXT_MAPPER, vlm)
    return _fit(generated_states(vlm, source), generator)


def adapter_cost(names: Sequence[str]) -> str:
    """Say what training these adapters will cost, before it starts.

    >>> adapter_cost(["micro-vlm-read-back"]).split(":")[0]
    'micro-vlm-read-back'
    """
    minutes = sum(ADAPTER_RECIPES[name].cpu_seconds for name in names) / 60
    return f"{', '.join(names)}: about {minutes:.0f} minutes of one CPU core, 2 GiB of memory."


def build_adapter(name: str, *, folder: Path = FOLDER, progress: bool = False) -> dict[str, Any]:
    """Train one shipped adapter by its recipe, score it on test scenes, and write its folder.

    Where the folder holds a whole adapter it is replaced. Returns the manifest.
    """
    recipe, place = ADAPTER_RECIPES[name], shipped_adapter(name, folder)
    vlm = load_micro_vlm(recipe.base)
    by_information = isinstance(recipe, InformationRecipe)
    prepare = _listen if by_information else _read_back
    source, reward, mappers = prepare(vlm, recipe, progress=progress)
    add_lora(vlm, recipe.lora, generator=seeded(2000 + recipe.seed))
    history = train_adapter(
        vlm, source, reward, recipe.rl, generator=seeded(4000 + recipe.seed), progress=progress
    )
    made_by = {
        "command": f"vizer lab --rebuild --only {name}",
        "recipe": recipe.to_dict(),
        "scores": score_micro_vlm(vlm),
        "reward": [round(value, 4) for value in history.reward],
        "kl": [round(value, 4) for value in history.kl],
        "commit": git_commit(),
        "hardware": hardware(),
    }
    for file, fitted in mappers.items():
        save_mapper(place / file, fitted, vlm)
    save_adapter(vlm, place, made_by=made_by)
    return read_json(place / MANIFEST)


def _listen(vlm: VisionLanguageModel, recipe: InformationRecipe, *, progress: bool) -> Prepared:
    """Return pictures, and the frozen base that listens."""
    seen = _stream(vlm, recipe.pictures, first=recipe.first)
    return seen, InformationReward(vlm, recipe.weight), {}


def _read_back(vlm: VisionLanguageModel, recipe: AdapterRecipe, *, progress: bool) -> Prepared:
    """Fit mappers on the model's own captions; return pictures, a cosine, and the mappers."""
    seen = _stream(vlm, recipe.captions + recipe.pictures)
    rule = recipe.rl.decoding
    first, seed = seen.select(range(recipe.captions)), seeded(recipe.seed)
    drawn = read_back_states(vlm, first, decoding=rule, generator=seed, progress=progress)
    greedy = generated_states(vlm, first, decoding=Greedy(rule.max_tokens), progress=progress)
    fitted, in_context = (
        _fit(found, seeded(1000 + recipe.seed), held_out=MAPPER_FIT.held_out)
        for found in (drawn, greedy)
    )
    source = seen.select(range(recipe.captions, recipe.captions + recipe.pictures))
    return source, ReadBackReward(vlm, fitted), {MAPPER: fitted, CONTEXT_MAPPER: in_context}


def check_adapters(names: Sequence[str], folder: Path = FOLDER) -> dict[str, dict[str, float]]:
    """Score shipped adapters again and compare with their manifests.

    Raises `ValueError` naming the adapter and the score when one is off by more than rounding.
    """
    found = {}
    for name in names:
        vlm = load_micro_vlm(ADAPTER_RECIPES[name].base)
        stored = load_adapter(vlm, shipped_adapter(name, folder))["made_by"]["scores"]
        scores = score_micro_vlm(vlm)
        for metric, value in stored.items():
            if abs(scores[metric] - value) > CHECK_TOLERANCE * (10 if "length" in metric else 1):
                raise ValueError(
                    f"{name}: {metric} is {scores[metric]:.4f} here, but {value:.4f} in its "
                    "manifest. Its base, the drawings or a library changed: train it again with "
                    f"vizer lab --rebuild --only {name}"
                )
        found[name] = scores
    return found


def _stream(vlm: Any, count: int, *, first: int = 0) -> VisionBatch:
    """Let the frozen tower see pictures of the stream."""
    parts, pixels = [], []
    for image in unlabelled_stream(count, start=first):
        pixels.append(image.pixels)
        if len(pixels) == 1000:
            parts.append(encode_pictures(vlm, np.stack(pixels)))
            pixels = []
    return VisionBatch.concatenate(
        parts + ([encode_pictures(vlm, np.stack(pixels))] if pixels else [])
    )


def _shipped_for(vlm: VisionLanguageModel) -> str | None:
    recipes = ADAPTER_RECIPES.items()
    return next(
        (name for name, r in recipes if r.base == vlm.name and isinstance(r, AdapterRecipe)), None
    )


def _fit(
    found: CaptionStates, generator: torch.Generator, *, held_out: int | None = None
) -> FittedMapper:
    shape = MapperConfig(found.states.shape[1], found.image_features.shape[1], layer_norm=True)
    config = replace(MAPPER_FIT, held_out=held_out or max(2, len(found) // 5))
    return fit_mapper(
        found.states, found.image_features, shape=shape, config=config, generator=generator
    )
