"""The shipped LoRA adapters.

=====================  ===========================================================================
micro-vlm-information  RLOO on what an image adds to a caption's likelihood
                       (`InformationReward`): the recommended one
micro-vlm-read-back    RLOO on ViZer's own read-back score (`ReadBackReward`)
=====================  ===========================================================================

Both were trained on images without captions, as seed 0 of `experiments/vizer_micro.py`. A folder
is a plain PEFT folder with `vizer.json`, which holds recipe and scores. That of the read-back has
two mappers as well, both from the model's own captions of other images of the stream; no caption
written by a person took part.

===================  =============================================================================
mapper               reads captions drawn at T = 1 as text alone: it gave the rewards
context_mapper       reads greedy captions after their image: the paper's, and the study's
                     `vizer_g`
===================  =============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from vizer_core.decoding import Greedy, Sample
from vizer_core.files import METADATA, read_json
from vizer_core.runtime import hardware, seeded
from vizer_core.vizer.adapter_run import POLICY_GRADIENT, TrainConfig
from vizer_core.vizer.checkpoint import load_mapper, save_mapper
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.lora import MANIFEST, LoraSettings, add_lora, load_adapter, save_adapter
from vizer_core.vizer.lora import WEIGHTS as LORA_WEIGHTS
from vizer_core.vizer.lora import settings_dict as lora_dict
from vizer_core.vizer.mapper import FittedMapper, MapperConfig
from vizer_core.vizer.policy_gradient import PolicyGradient, Reward
from vizer_core.vizer.rewards import ReadBackReward
from vizer_core.vizer.targets import VisionSource
from vizer_core.vizer.text_states import CaptionStates, generated_states, read_back_states
from vizer_core.vizer.train import train_adapter
from vizer_core.vizer.train_mapper import MAPPER_FIT, fit_mapper
from vizer_core.vlm import SmolVlm
from vizer_core.vlm.protocol import VisionBatch, VisionLanguageModel
from vizer_lab.world.data import unlabelled_stream
from vizer_lab.zoo.shipped_model import WEIGHTS, ShippedModel, Trained, by_name, named
from vizer_lab.zoo.vlm_images import encode_images
from vizer_lab.zoo.vlm_scores import MAX_TOKENS, score_micro_vlm
from vizer_lab.zoo.vlms import load_micro_vlm

MAPPER, CONTEXT_MAPPER = "mapper.safetensors", "context_mapper.safetensors"
READ_BACK_RL = replace(POLICY_GRADIENT, decoding=Sample(max_tokens=MAX_TOKENS), max_kl=0.5)
INFORMATION_RL = replace(READ_BACK_RL, learning_rate=5e-4, max_kl=1.5)

Prepared = tuple[VisionSource, Reward, dict[str, FittedMapper]]  # images, reward, its mappers


def _rl_dict(config: TrainConfig) -> dict[str, Any]:
    """The settings of a policy gradient under the names that shipped manifests have."""
    kept = {key: v for key, v in config.to_dict().items() if key not in ("epochs", "kl_every")}
    return kept | {"advantage": PolicyGradient.advantage.__name__}


@dataclass(frozen=True)
class ReadBackRecipe:
    """Read-back training; images come from the stream without captions."""

    base: str = "micro-vlm"
    captions: int = 10_000  # the model's own, drawn at T = 1, that the mapper reads
    images: int = 1_000  # the next ones of the stream, for phase 2
    lora: LoraSettings = field(default_factory=LoraSettings)
    rl: TrainConfig = READ_BACK_RL
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, for a manifest."""
        return asdict(self) | {"lora": lora_dict(self.lora), "rl": _rl_dict(self.rl)}

    @property
    def work(self) -> str:
        """What training reads, in words."""
        return f"{self.captions + self.images:,} images, {2 * self.captions:,} captions"

    @property
    def cpu_seconds(self) -> float:
        """Of one core: 11,000 images drawn and seen, 20,000 captions, 32 steps, the scores."""
        return 110.0

    def prepare(self, vlm: VisionLanguageModel, *, progress: bool) -> Prepared:
        """Fit mappers on the model's own captions; return images, a cosine, and the mappers."""
        seen = _stream(vlm, self.captions + self.images)
        rule = self.rl.decoding
        first, seed = seen.select(range(self.captions)), seeded(self.seed)
        drawn = read_back_states(vlm, first, decoding=rule, generator=seed, progress=progress)
        greedy = generated_states(vlm, first, decoding=Greedy(rule.max_tokens), progress=progress)
        fitted, in_context = (
            _fit(found, seeded(1000 + self.seed), held_out=MAPPER_FIT.held_out)
            for found in (drawn, greedy)
        )
        source = seen.select(range(self.captions, self.captions + self.images))
        return source, ReadBackReward(vlm, fitted), {MAPPER: fitted, CONTEXT_MAPPER: in_context}


@dataclass(frozen=True)
class InformationRecipe:
    """Training on what an image adds to a caption's likelihood; the same stream, no mapper."""

    base: str = "micro-vlm"
    first: int = 10_000  # the stream's images before it are those that mappers read
    images: int = 640
    weight: float = 0.7
    lora: LoraSettings = field(default_factory=LoraSettings)
    rl: TrainConfig = INFORMATION_RL
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, for a manifest."""
        return asdict(self) | {"lora": lora_dict(self.lora), "rl": _rl_dict(self.rl)}

    @property
    def work(self) -> str:
        """What training reads, in words."""
        return f"{self.images:,} images"

    @property
    def cpu_seconds(self) -> float:
        """Of one core: 640 images drawn and seen, 20 steps, the scores."""
        return 60.0

    def prepare(self, vlm: VisionLanguageModel, *, progress: bool) -> Prepared:
        """Return images, and the frozen base that listens."""
        seen = _stream(vlm, self.images, first=self.first)
        return seen, InformationReward(vlm, self.weight), {}


@dataclass(frozen=True)
class ShippedAdapter(ShippedModel):
    """A shipped LoRA adapter and its mappers, in a folder; made on the CPU or the current GPU."""

    kind: ClassVar[str] = "adapter"
    home: ClassVar[Path] = WEIGHTS / "adapters"
    resumes: ClassVar[str] = "A stopped run begins again."

    @property
    def work(self) -> str:
        return self.recipe.work

    @property
    def cpu_seconds(self) -> float:
        return self.recipe.cpu_seconds

    def path(self, folder: Path | None = None) -> Path:
        """Return the adapter's own folder."""
        return Path(folder or self.home) / self.name

    def weights(self, folder: Path | None = None) -> Path:
        return self.path(folder) / LORA_WEIGHTS

    def manifest(self, folder: Path | None = None) -> dict[str, Any]:
        return read_json(self.path(folder) / MANIFEST)

    def record(self, folder: Path | None = None) -> dict[str, Any]:
        """Return the part of the manifest that says how the adapter was made."""
        return self.manifest(folder)[METADATA]

    def train(self, folder: Path, *, device: str, progress: bool) -> Trained:
        """Train the base's adapter on images without captions; mappers are written on the way."""
        recipe, vlm = self.recipe, load_micro_vlm(self.recipe.base)
        source, reward, mappers = recipe.prepare(vlm, progress=progress)
        add_lora(vlm, recipe.lora, generator=seeded(2000 + recipe.seed))
        history = train_adapter(
            vlm, source, reward, recipe.rl, generator=seeded(4000 + recipe.seed), progress=progress
        )
        for file, fitted in mappers.items():
            save_mapper(self.path(folder) / file, fitted, vlm)
        metadata = {
            "reward": [round(value, 4) for value in history.reward],
            "kl": [round(value, 4) for value in history.kl],
            "hardware": hardware(),
        }
        return Trained(vlm, metadata)

    def write(self, trained: Trained, folder: Path, metadata: Mapping[str, Any]) -> None:
        """Write a plain PEFT folder; where it holds a whole adapter, that is replaced."""
        save_adapter(trained.model, self.path(folder), metadata=metadata)

    def load(self, device: str = "cpu", folder: Path | None = None) -> SmolVlm:
        """Load a fresh base with the adapter on it."""
        vlm = load_micro_vlm(self.recipe.base, device)
        load_adapter(vlm, self.path(folder))
        return vlm

    def score(self, model: SmolVlm) -> dict[str, float]:
        """Measure the same as of the base."""
        return score_micro_vlm(model)


ADAPTERS: dict[str, ShippedAdapter] = by_name(
    ShippedAdapter("micro-vlm-information", InformationRecipe()),
    ShippedAdapter("micro-vlm-read-back", ReadBackRecipe()),
)


def shipped_adapter(name: str) -> Path:
    """Return the folder of a shipped adapter.

    >>> shipped_adapter("micro-vlm-read-back").name
    'micro-vlm-read-back'
    """
    return named(ADAPTERS, name).path()


def shipped_mapper(name: str, vlm: VisionLanguageModel) -> FittedMapper:
    """Load the mapper whose score a shipped adapter was trained on; `vlm` is its base."""
    if isinstance(named(ADAPTERS, name).recipe, InformationRecipe):
        raise ValueError(f"{name} was trained without a mapper: ask for micro-vlm-read-back's")
    return load_mapper(shipped_adapter(name) / MAPPER, vlm)


def read_back_mapper(
    vlm: VisionLanguageModel, source: VisionSource, *, generator: torch.Generator
) -> FittedMapper:
    """Return a mapper of captions read as text alone: the shipped one of this base, if any.

    For other models it is fitted on their own drawn captions of the images of `source`, the last
    fifth of them held out.
    """
    if name := _shipped_for(vlm):
        return shipped_mapper(name, vlm)
    return _fit(read_back_states(vlm, source, generator=generator), generator)


def context_mapper(
    vlm: VisionLanguageModel, source: VisionSource, *, generator: torch.Generator
) -> FittedMapper:
    """Return a mapper of greedy captions read after their image, in the same way."""
    if name := _shipped_for(vlm):
        return load_mapper(shipped_adapter(name) / CONTEXT_MAPPER, vlm)
    return _fit(generated_states(vlm, source), generator)


def _stream(vlm: Any, count: int, *, first: int = 0) -> VisionBatch:
    """Let the frozen tower see images of the stream."""
    parts, pixels = [], []
    for image in unlabelled_stream(count, start=first):
        pixels.append(image.pixels)
        if len(pixels) == 1000:
            parts.append(encode_images(vlm, np.stack(pixels)))
            pixels = []
    return VisionBatch.concatenate(
        parts + ([encode_images(vlm, np.stack(pixels))] if pixels else [])
    )


def _shipped_for(vlm: VisionLanguageModel) -> str | None:
    """Return the shipped adapter whose mappers read this model's captions, if there is one."""
    for name, adapter in ADAPTERS.items():
        if isinstance(adapter.recipe, ReadBackRecipe) and adapter.recipe.base == vlm.name:
            return name
    return None


def _fit(
    found: CaptionStates, generator: torch.Generator, *, held_out: int | None = None
) -> FittedMapper:
    shape = MapperConfig(found.states.shape[1], found.image_features.shape[1], layer_norm=True)
    config = replace(MAPPER_FIT, held_out=held_out or max(2, len(found) // 5))
    return fit_mapper(
        found.states, found.image_features, shape=shape, config=config, generator=generator
    )
