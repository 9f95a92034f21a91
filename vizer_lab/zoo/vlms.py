"""The shipped vision-language models.

`drawn_recipes` lists them by what they lack. Each is trained in stages (`vlm_vision`, then
`vlm_train` once or twice) and saved as it goes, so a killed run goes on where it was. Who sees with
the tower of another stores its own half only; `load` reads the tower from the other's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from vizer_core.files import load_tensors, save_tensors, sha256_file
from vizer_core.vlm import Qwen2Vl, SmolVlm
from vizer_core.vlm.first_words import first_word_mass
from vizer_lab.world.data import DrawnSplit
from vizer_lab.world.world import split_in
from vizer_lab.zoo.drawn_recipes import QWEN_RECIPE, VLM_RECIPES
from vizer_lab.zoo.drawn_scores import (
    SCORED_SCENES,
    encode_drawn,
    greedy_captions,
    score_drawn_vlm,
    score_intervals,
)
from vizer_lab.zoo.qwen_model import qwen_from_state
from vizer_lab.zoo.qwen_train import run_qwen_stages
from vizer_lab.zoo.shipped_model import ART, ShippedModel, Trained, by_name, fp16, named
from vizer_lab.zoo.vlm_model import DrawnVlmConfig, build_drawn_vlm
from vizer_lab.zoo.vlm_processor import PROMPT, drawn_vlm_processor
from vizer_lab.zoo.vlm_run import VlmRun, run_stages

TOWER_KEYS = "model.vision_model."
SAMPLES_PER_CPU_SECOND = {"tower": 180, "exact": 280, "web": 320}  # measured


@dataclass(frozen=True)
class ShippedVlm(ShippedModel):
    """A shipped vision-language model; `recipe` is a `VlmRecipe`. Always trained on the CPU."""

    kind: ClassVar[str] = "vlm"

    @property
    def work(self) -> str:
        return f"{sum(stage.samples for stage in self.recipe.stages):,} images"

    @property
    def cpu_seconds(self) -> float:
        return sum(
            stage.samples / SAMPLES_PER_CPU_SECOND[stage.name] for stage in self.recipe.stages
        )

    def train(self, folder: Path, *, device: str, progress: bool) -> Trained:
        """Train by the recipe, on the parent's tower if it has one."""
        run = VlmRun.open(self.run_file(folder), self.recipe)
        model = self.run_stages(run, self.parent_tower(folder), progress=progress)
        state = fp16(model.state_dict())
        vlm = self.wrap(state, "cpu")
        facts = {
            "parameters": sum(value.numel() for value in state.values()),
            "first_words": first_words(vlm, split=self.test_split),
            **self.intervals(vlm),
            "loss": run.thinned_losses(),
            "cpu_seconds": run.seconds,
            "hardware": f"CPU, 1 thread, torch {torch.__version__}",
            "art": ART,
        }
        return Trained(vlm, facts, state)

    run_stages = staticmethod(run_stages)

    def intervals(self, vlm: SmolVlm | Qwen2Vl) -> dict[str, Any]:
        """Return 95% intervals of the greedy scores."""
        data = DrawnSplit(self.test_split, SCORED_SCENES)
        return {"intervals": score_intervals(greedy_captions(vlm, data), data.scenes)}

    def parent_tower(self, folder: Path | None) -> dict[str, Tensor]:
        """Read the tower of the recipe's parent; empty when it has none."""
        if self.recipe.parent is None:
            return {}
        return tower_in(load_tensors(self._parent_file(folder))[0])

    def _parent_file(self, folder: Path | None) -> Path:
        return replace(self, name=self.recipe.parent).path(folder)

    def load(self, device: Any = "cpu", folder: Path | None = None) -> SmolVlm | Qwen2Vl:
        """Load the model, a fresh one: its own weights, and the tower of its parent if it has one.

        Both are checked against their manifests.
        """
        state, _ = load_tensors(self.path(folder))
        if self.recipe.parent is not None and not any(k.startswith(TOWER_KEYS) for k in state):
            tower = self.parent_tower(folder)
            state |= {f"{TOWER_KEYS}{key}": value for key, value in tower.items()}
        return self.wrap(state, device)

    def write(self, trained: Trained, folder: Path, metadata: Mapping[str, Any]) -> None:
        """Write weights and manifest: without the tower where it is the parent's, which is named.

        A run on a folder of its own may have a parent of its own there, so that one is meant.
        """
        state = dict(trained.state)
        if self.recipe.parent is not None:
            file, ours = self._parent_file(folder), tower_in(state)
            theirs = tower_in(load_tensors(file)[0])
            if all(torch.equal(value, theirs[key]) for key, value in ours.items()):
                state = {k: v for k, v in state.items() if not k.startswith(TOWER_KEYS)}
                metadata = {**metadata, "tower": {"of": file.stem, "sha256": sha256_file(file)}}
        save_tensors(self.path(folder), state, metadata)

    def fault(self, folder: Path | None = None) -> str | None:
        """Say what is wrong with the files; a tower that is no longer the parent's is, too."""
        found = super().fault(folder)
        tower = None if found else self.manifest(folder).get("tower")
        if tower is None:
            return found
        file = self._parent_file(folder)
        if not file.is_file():
            return f"without {tower['of']}, whose tower it sees with"
        if sha256_file(file) != tower["sha256"]:
            return f"made with another {tower['of']}, whose tower it sees with"
        return None

    def wrap(self, state: Mapping[str, Tensor], device: str | torch.device) -> SmolVlm | Qwen2Vl:
        return vlm_from_state(self.name, self.recipe.model, state, device)

    def score(self, model: SmolVlm | Qwen2Vl) -> dict[str, float]:
        """Measure greedy and sampled captions of its world's test scenes, and claims in them."""
        return score_drawn_vlm(model, split=self.test_split)

    @property
    def test_split(self) -> str:
        """The scenes that its scores are taken on."""
        return split_in(self.recipe.model.world, "test")


@dataclass(frozen=True)
class ShippedQwen(ShippedVlm):
    """A shipped Qwen2-VL. Its tower starts from that of the VLM `tower_of` and is trained on."""

    tower_of: str = ""
    run_stages = staticmethod(run_qwen_stages)

    def parent_tower(self, folder: Path | None) -> dict[str, Tensor]:
        """Read the tower that it starts from."""
        return tower_in(load_tensors(replace(self, name=self.tower_of).path(folder))[0])

    def wrap(self, state: Mapping[str, Tensor], device: str | torch.device) -> Qwen2Vl:
        return qwen_from_state(self.name, self.recipe.model, state, device)


VLMS: dict[str, ShippedVlm] = by_name(
    *(ShippedVlm(name, VLM_RECIPES[name]) for name in VLM_RECIPES),
    ShippedQwen("drawn-vlm-qwen", QWEN_RECIPE, tower_of="drawn-vlm-plain"),
)


def load_drawn_vlm(name: str = "drawn-vlm-web", device: str | torch.device = "cpu") -> Any:
    """Load a shipped VLM: a fresh model at each call, because LoRA changes it in place."""
    return named(VLMS, name).load(device)


def vlm_from_state(
    name: str,
    config: DrawnVlmConfig,
    state: Mapping[str, Tensor],
    device: str | torch.device = "cpu",
) -> SmolVlm:
    """Wrap a drawn VLM's weights in the adapter that SmolVLM has."""
    model = build_drawn_vlm(config)
    model.load_state_dict({key: value.float() for key, value in state.items()})
    processor = drawn_vlm_processor(config.image_tokens, config.image_size, world=config.world)
    return SmolVlm(model.to(device), processor, name, default_prompt=PROMPT)


def tower_in(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the vision tower of a VLM's stored weights, in float32."""
    stem = len(TOWER_KEYS)
    return {key[stem:]: value.float() for key, value in state.items() if key.startswith(TOWER_KEYS)}


def first_words(
    vlm: SmolVlm | Qwen2Vl, *, split: str = "second_test", n: int = 500
) -> dict[str, float]:
    """Return the likeliest first words of a drawn VLM's captions, with their mean probability."""
    mass = first_word_mass(vlm, [encode_drawn(vlm, DrawnSplit(split, n).images)], top=8)
    return {word: round(value, 4) for word, value in mass.items()}
