"""The shipped micro VLMs: how each is made, where it lies, and how to make it again.

===============  =================================================================================
micro-vlm        writes like SmolVLM-Base (alt text, "itap of a gift") and could do far better
micro-vlm-hard   the same tower and diet, but more web captions tell of another picture: what it
                 writes when sampled is wrong more often than right, a poor teacher
===============  =================================================================================

Each is trained in three stages (`vlm_vision`, then `vlm_train` twice) and saved after each, so a
killed run repeats at most one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vizer_core.runtime import git_commit
from vizer_core.store import load_manifest, load_tensors, save_tensors
from vizer_core.vlm import SmolVlm
from vizer_core.vlm.likelihood import first_word_mass
from vizer_lab.world.data import MicroSplit
from vizer_lab.world.sprites import check_art
from vizer_lab.zoo.lab import CHECK_TOLERANCE, WEIGHTS
from vizer_lab.zoo.vlm_images import encode_pictures
from vizer_lab.zoo.vlm_model import MicroVlmConfig, build_micro_vlm
from vizer_lab.zoo.vlm_processor import PROMPT, micro_vlm_processor
from vizer_lab.zoo.vlm_recipe import VlmRecipe, VlmStage
from vizer_lab.zoo.vlm_run import VlmRun, run_stages
from vizer_lab.zoo.vlm_scores import score_micro_vlm
from vizer_lab.zoo.vlm_web import WebMix

TOWER_KEYS = "model.vision_model."
SAMPLES_PER_CPU_SECOND = {"tower": 180, "exact": 280, "web": 320}  # measured

_HARD = VlmRecipe(
    MicroVlmConfig(),
    tower=VlmStage("tower", steps=900, batch=64, learning_rate=7e-4),
    exact=VlmStage("exact", steps=1400, batch=64, learning_rate=2e-3),
    web=VlmStage("web", steps=300, batch=64, learning_rate=1e-3),
    mix=WebMix(generic=0.30, partial=0.28, wrong=0.22),
)
VLM_RECIPES: dict[str, VlmRecipe] = {
    "micro-vlm-hard": _HARD,
    "micro-vlm": replace(
        _HARD,
        mix=WebMix(generic=0.34, partial=0.30, wrong=0.10),
        seed=1,
        parent="micro-vlm-hard",
    ),
}


def vlm_weights_path(name: str, folder: Path = WEIGHTS) -> Path:
    """Return where a micro VLM's weights lie."""
    if name not in VLM_RECIPES:
        raise ValueError(f"no micro VLM {name!r}: wanted one of {sorted(VLM_RECIPES)}")
    return Path(folder) / f"{name}.safetensors"


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


def load_micro_vlm(name: str = "micro-vlm", device: str | torch.device = "cpu") -> SmolVlm:
    """Load a shipped micro VLM: a fresh model at each call, because LoRA changes it in place."""
    state, manifest = load_tensors(vlm_weights_path(name))
    return vlm_from_state(name, MicroVlmConfig(**manifest["recipe"]["model"]), state, device)


def build_micro_vlm_weights(
    name: str, *, folder: Path = WEIGHTS, progress: bool = False
) -> dict[str, Any]:
    """Train one shipped model by its recipe, score it, and write weights and manifest.

    A killed run goes on after its last finished stage, from `folder/name.run.safetensors`. A model
    with a parent needs the parent's weights in `folder`. Returns the manifest.
    """
    path, recipe = vlm_weights_path(name, folder), VLM_RECIPES[name]
    run = VlmRun.open(path.with_name(f"{name}.run.safetensors"), recipe)
    model = run_stages(run, _parent_tower(recipe, folder), progress=progress)
    state = {key: value.half() for key, value in model.state_dict().items()}
    vlm = vlm_from_state(name, recipe.model, state)
    manifest = {
        "name": name,
        "command": f"vizer lab --rebuild --only {name}",
        "recipe": recipe.to_dict(),
        "parameters": sum(value.numel() for value in state.values()),
        "scores": score_micro_vlm(vlm),
        "first_words": first_words(vlm),
        "loss": run.thinned_losses(),
        "cpu_seconds": run.seconds,
        "hardware": f"CPU, 1 thread, torch {torch.__version__}",
        "commit": git_commit(),
        "art": "OpenMoji, https://openmoji.org, CC BY-SA 4.0",
    }
    save_tensors(path, state, manifest)
    run.remove()
    return load_manifest(path)


def _parent_tower(recipe: VlmRecipe, folder: Path) -> dict[str, Tensor]:
    """Read the tower of the recipe's parent; empty when it has none."""
    if recipe.parent is None:
        return {}
    state, _ = load_tensors(vlm_weights_path(recipe.parent, folder))
    stem = len(TOWER_KEYS)
    return {key[stem:]: value.float() for key, value in state.items() if key.startswith(TOWER_KEYS)}


def first_words(vlm: SmolVlm, *, split: str = "test", n: int = 500) -> dict[str, float]:
    """Return the likeliest first words of a micro VLM's captions, with their mean probability."""
    mass = first_word_mass(vlm, [encode_pictures(vlm, MicroSplit(split, n).images)], top=8)
    return {word: round(value, 4) for word, value in mass.items()}


def vlm_build_cost(names: Sequence[str]) -> str:
    """Say what training these models will cost, before it starts.

    >>> vlm_build_cost(["micro-vlm-hard"]).split(":")[0]
    'micro-vlm-hard'
    """
    stages = [stage for name in names for stage in VLM_RECIPES[name].stages]
    seconds = sum(stage.samples / SAMPLES_PER_CPU_SECOND[stage.name] for stage in stages)
    return (
        f"{', '.join(names)}: {sum(stage.samples for stage in stages):,} pictures, about "
        f"{seconds / 60:.0f} minutes of one CPU core, 2 GiB of memory. A stopped run goes on after "
        "its last finished stage."
    )


def check_vlm_lab(names: Sequence[str], folder: Path = WEIGHTS) -> dict[str, dict[str, float]]:
    """Score shipped models again and compare with their manifests.

    Raises `ValueError` naming the model and the score when one is off by more than rounding.
    """
    check_art()
    found = {}
    for name in names:
        state, manifest = load_tensors(vlm_weights_path(name, folder))
        scores = score_micro_vlm(vlm_from_state(name, VLM_RECIPES[name].model, state))
        for metric, stored in manifest["scores"].items():
            off = abs(scores[metric] - stored)
            if off > CHECK_TOLERANCE * (10 if "length" in metric else 1):
                raise ValueError(
                    f"{name}: {metric} is {scores[metric]:.4f} here, but {stored:.4f} in its "
                    "manifest. The drawings or a library changed; `vizer lab --rebuild` trains it "
                    "again."
                )
        found[name] = scores
    return found
