"""The shipped vision-language models.

===============  =================================================================================
micro-vlm        writes like SmolVLM-Base (alt text, "itap of a gift") and could do far better
micro-vlm-hard   the same tower and diet, but more web captions tell of another image: what it
                 writes when sampled is wrong more often than right, a poor teacher
===============  =================================================================================

Each is trained in three stages (`vlm_vision`, then `vlm_train` twice) and saved as it goes, so a
killed run goes on where it was. Those of the second edition are listed in `drawn_recipes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from vizer_core.files import load_tensors
from vizer_core.vlm import Qwen2Vl, SmolVlm
from vizer_core.vlm.first_words import first_word_mass
from vizer_lab.world.data import MicroSplit
from vizer_lab.world.editions import FIRST, edition_of
from vizer_lab.world.world import split_in
from vizer_lab.zoo.drawn_recipes import QWEN_RECIPE, UNTRAINED, VLM_RECIPES
from vizer_lab.zoo.drawn_scores import (
    SCORED_SCENES,
    encode_drawn,
    greedy_captions,
    score_drawn_vlm,
    score_intervals,
)
from vizer_lab.zoo.noisy_captions import CaptionNoise
from vizer_lab.zoo.qwen_model import qwen_from_state
from vizer_lab.zoo.qwen_train import run_qwen_stages
from vizer_lab.zoo.shipped_model import ART, ShippedModel, Trained, by_name, fp16, named
from vizer_lab.zoo.vlm_model import MicroVlmConfig, build_micro_vlm
from vizer_lab.zoo.vlm_processor import PROMPT, micro_vlm_processor
from vizer_lab.zoo.vlm_recipe import VlmRecipe, VlmStage
from vizer_lab.zoo.vlm_run import VlmRun, run_stages
from vizer_lab.zoo.vlm_scores import score_micro_vlm

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
        """Return 95% intervals of the greedy scores; the first edition's manifests have none."""
        if edition_of(self.recipe.model.world) is FIRST:
            return {}
        data = MicroSplit(self.test_split, SCORED_SCENES)
        return {"intervals": score_intervals(greedy_captions(vlm, data), data.scenes)}

    def parent_tower(self, folder: Path) -> dict[str, Tensor]:
        """Read the tower of the recipe's parent; empty when it has none."""
        if self.recipe.parent is None:
            return {}
        state, _ = load_tensors(replace(self, name=self.recipe.parent).path(folder))
        return tower_in(state)

    def wrap(self, state: Mapping[str, Tensor], device: str | torch.device) -> SmolVlm | Qwen2Vl:
        return vlm_from_state(self.name, self.recipe.model, state, device)

    def score(self, model: SmolVlm | Qwen2Vl) -> dict[str, float]:
        """Measure greedy and sampled captions of its world's test scenes, and claims in them.

        In the first edition greedy ones with their first word banned, and no claims.
        """
        first = edition_of(self.recipe.model.world) is FIRST
        return (score_micro_vlm if first else score_drawn_vlm)(model, split=self.test_split)

    @property
    def test_split(self) -> str:
        """The scenes that its scores are taken on."""
        return split_in(self.recipe.model.world, "test")


@dataclass(frozen=True)
class ShippedQwen(ShippedVlm):
    """A shipped Qwen2-VL. Its tower starts from that of the VLM `tower_of` and is trained on."""

    tower_of: str = ""
    run_stages = staticmethod(run_qwen_stages)

    def parent_tower(self, folder: Path) -> dict[str, Tensor]:
        """Read the tower that it starts from."""
        return tower_in(load_tensors(replace(self, name=self.tower_of).path(folder))[0])

    def wrap(self, state: Mapping[str, Tensor], device: str | torch.device) -> Qwen2Vl:
        return qwen_from_state(self.name, self.recipe.model, state, device)


_HARD = VlmRecipe(
    MicroVlmConfig(),
    tower=VlmStage("tower", steps=900, batch=64, learning_rate=7e-4),
    exact=VlmStage("exact", steps=1400, batch=64, learning_rate=2e-3),
    web=VlmStage("web", steps=300, batch=64, learning_rate=1e-3),
    mix=CaptionNoise(generic=0.30, partial=0.28, wrong=0.22),
)
VLMS: dict[str, ShippedVlm] = by_name(
    ShippedVlm("micro-vlm-hard", _HARD),
    ShippedVlm(
        "micro-vlm",
        replace(
            _HARD,
            mix=CaptionNoise(generic=0.34, partial=0.30, wrong=0.10),
            seed=1,
            parent="micro-vlm-hard",
        ),
    ),
    *(ShippedVlm(name, VLM_RECIPES[name]) for name in VLM_RECIPES if name not in UNTRAINED),
    ShippedQwen("drawn-vlm-qwen", QWEN_RECIPE, tower_of="drawn-vlm-plain"),
)


def load_micro_vlm(name: str = "micro-vlm", device: str | torch.device = "cpu") -> Any:
    """Load a shipped VLM: a fresh model at each call, because LoRA changes it in place."""
    return named(VLMS, name).load(device)


def vlm_from_state(
    name: str,
    config: MicroVlmConfig,
    state: Mapping[str, Tensor],
    device: str | torch.device = "cpu",
) -> SmolVlm:
    """Wrap a micro VLM's weights in the adapter that SmolVLM has."""
    model = build_micro_vlm(config)
    model.load_state_dict({key: value.float() for key, value in state.items()})
    processor = micro_vlm_processor(config.image_tokens, config.image_size, world=config.world)
    return SmolVlm(model.to(device), processor, name, default_prompt=PROMPT)


def tower_in(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the vision tower of a VLM's stored weights, in float32."""
    stem = len(TOWER_KEYS)
    return {key[stem:]: value.float() for key, value in state.items() if key.startswith(TOWER_KEYS)}


def first_words(vlm: SmolVlm | Qwen2Vl, *, split: str = "test", n: int = 500) -> dict[str, float]:
    """Return the likeliest first words of a micro VLM's captions, with their mean probability."""
    mass = first_word_mass(vlm, [encode_drawn(vlm, MicroSplit(split, n).images)], top=8)
    return {word: round(value, 4) for word, value in mass.items()}
