"""The shipped LoRA adapter, and mappers of captions that chapters read.

drawn-vlm-web-information is RLOO on what an image adds to a caption's likelihood
(`InformationReward`, its prior from other images), in `experiments/improvement.py` the trainer with
the highest F1 on validation scenes: its seed 0, on 640 images without captions.
Its folder is a plain PEFT folder with
`vizer.json`, which contains recipe and scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from vizer_core.decoding import Sample
from vizer_core.files import METADATA, read_json
from vizer_core.runtime import hardware, seeded
from vizer_core.vizer.adapter_run import POLICY_GRADIENT, TrainConfig
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.lora import MANIFEST, LoraSettings, add_lora, load_adapter, save_adapter
from vizer_core.vizer.lora import WEIGHTS as LORA_WEIGHTS
from vizer_core.vizer.lora import settings_dict as lora_dict
from vizer_core.vizer.mapper import FittedMapper, MapperConfig
from vizer_core.vizer.policy_gradient import PolicyGradient, Reward
from vizer_core.vizer.targets import VisionSource
from vizer_core.vizer.text_states import CaptionStates, generated_states, read_back_states
from vizer_core.vizer.train import train_adapter
from vizer_core.vizer.train_mapper import MAPPER_FIT, fit_mapper
from vizer_core.vlm import SmolVlm
from vizer_core.vlm.protocol import VisionBatch, VisionLanguageModel
from vizer_lab.world.data import unlabelled_stream
from vizer_lab.zoo.drawn_scores import score_drawn_vlm
from vizer_lab.zoo.shipped_model import WEIGHTS, ShippedModel, Trained, by_name, named
from vizer_lab.zoo.vlm_images import encode_images
from vizer_lab.zoo.vlms import VLMS, load_drawn_vlm

INFORMATION_RL = replace(
    POLICY_GRADIENT, learning_rate=5e-4, decoding=Sample(max_tokens=32), max_kl=3.0
)


def _rl_dict(config: TrainConfig) -> dict[str, Any]:
    """The settings of a policy gradient under the names that shipped manifests have."""
    kept = {key: v for key, v in config.to_dict().items() if key not in ("epochs", "kl_every")}
    return kept | {"advantage": PolicyGradient.advantage.__name__}


@dataclass(frozen=True)
class InformationRecipe:
    """Training on what an image adds to a caption's likelihood, on images of the stream.

    The prior of a caption is its likelihood under `others` other images of the step.
    """

    base: str = "drawn-vlm-web"
    images: int = 640
    weight: float = 0.6
    others: int = 8
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
        return 90.0

    def prepare(self, vlm: VisionLanguageModel) -> tuple[VisionSource, Reward]:
        """Return images, and the frozen base that listens."""
        return _stream(vlm, self.images), InformationReward(vlm, self.weight, others=self.others)


@dataclass(frozen=True)
class ShippedAdapter(ShippedModel):
    """A shipped LoRA adapter in a folder; made on the CPU or the current GPU."""

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
        """Train the base's adapter on images without captions."""
        recipe, vlm = self.recipe, load_drawn_vlm(self.recipe.base)
        source, reward = recipe.prepare(vlm)
        add_lora(vlm, recipe.lora, generator=seeded(2000 + recipe.seed))
        history = train_adapter(
            vlm, source, reward, recipe.rl, generator=seeded(4000 + recipe.seed), progress=progress
        )
        metadata = {
            "reward": [round(value, 4) for value in history.reward],
            "kl": [round(value, 4) for value in history.kl],
            "hardware": hardware(),
        }
        return Trained(vlm, metadata)

    def write(self, trained: Trained, folder: Path, metadata: Mapping[str, Any]) -> None:
        """Write a plain PEFT folder; where it contains a whole adapter, that is replaced."""
        save_adapter(trained.model, self.path(folder), metadata=metadata)

    def load(self, device: str = "cpu", folder: Path | None = None) -> SmolVlm:
        """Load a fresh base with the adapter on it."""
        vlm = load_drawn_vlm(self.recipe.base, device)
        load_adapter(vlm, self.path(folder))
        return vlm

    def score(self, model: SmolVlm) -> dict[str, float]:
        """Measure the same as of the base."""
        return score_drawn_vlm(model, split=VLMS[self.recipe.base].test_split)


ADAPTERS: dict[str, ShippedAdapter] = by_name(
    ShippedAdapter("drawn-vlm-web-information", InformationRecipe()),
)


def shipped_adapter(name: str) -> Path:
    """Return the folder of a shipped adapter.

    >>> shipped_adapter("drawn-vlm-web-information").name
    'drawn-vlm-web-information'
    """
    return named(ADAPTERS, name).path()


def read_back_mapper(
    vlm: VisionLanguageModel, source: VisionSource, *, generator: torch.Generator
) -> FittedMapper:
    """Fit a mapper of captions read as text alone, drawn of the images of `source`.

    The last fifth of them is held out.
    """
    return _fit(read_back_states(vlm, source, generator=generator), generator)


def context_mapper(
    vlm: VisionLanguageModel, source: VisionSource, *, generator: torch.Generator
) -> FittedMapper:
    """Fit a mapper of greedy captions read after their image, in the same way."""
    return _fit(generated_states(vlm, source), generator)


def _stream(vlm: Any, count: int) -> VisionBatch:
    """Let the frozen tower see the first images of the stream."""
    parts, pixels = [], []
    for image in unlabelled_stream(count):
        pixels.append(image.pixels)
        if len(pixels) == 1000:
            parts.append(encode_images(vlm, np.stack(pixels)))
            pixels = []
    return VisionBatch.concatenate(
        parts + ([encode_images(vlm, np.stack(pixels))] if pixels else [])
    )


def _fit(found: CaptionStates, generator: torch.Generator) -> FittedMapper:
    shape = MapperConfig(found.states.shape[1], found.image_features.shape[1], layer_norm=True)
    config = replace(MAPPER_FIT, held_out=max(2, len(found) // 5))
    return fit_mapper(
        found.states, found.image_features, shape=shape, config=config, generator=generator
    )
