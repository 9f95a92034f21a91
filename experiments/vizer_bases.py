"""The base models of the ViZer study: how good each is, from which seed, and how it is made again.

=========  ==========  ===========================================================================
base       seed of LM  what it is
=========  ==========  ===========================================================================
weak       4           a third of the careful captions, then the hard mix: it hardly sees
hard       0           `micro-vlm-hard`, shipped: a quarter of its web captions are wrong
middling   1           `micro-vlm`, shipped: a tenth is wrong
easy       2           one in twenty is wrong, and nearly half are decent
qwen       3           a Qwen2-VL of the same size: own tower, merger and positions; middling mix,
                       half of the careful captions
other_a    5           of the other world (other objects, other places, other words), hard mix
other_b    6           the same, middling mix; the tower of other_a
=========  ==========  ===========================================================================

Seeds draw the weights and the order of the scenes. The first four share one vision tower, as the
models of a family share theirs; that of `qwen` starts from it and is trained on; that of
`other_a` starts from the micro CLIP, as theirs did, and learns the other world's objects. What is
not shipped is trained when it is first asked for, and lies in the study's folder: a killed training
goes on after its last finished stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from vizer_core.files import load_tensors, save_tensors
from vizer_core.vlm import Qwen2Vl, SmolVlm, VisionBatch
from vizer_lab.zoo.noisy_captions import CaptionNoise
from vizer_lab.zoo.qwen_model import encode_qwen_images, qwen_from_state
from vizer_lab.zoo.qwen_train import run_qwen_stages
from vizer_lab.zoo.shipped_model import fp16
from vizer_lab.zoo.vlm_images import encode_images
from vizer_lab.zoo.vlm_recipe import VlmRecipe
from vizer_lab.zoo.vlm_run import VlmRun, run_stages
from vizer_lab.zoo.vlms import (
    SAMPLES_PER_CPU_SECOND,
    VLMS,
    load_micro_vlm,
    tower_in,
    vlm_from_state,
)

SHIPPED = {"hard": "micro-vlm-hard", "middling": "micro-vlm"}
_HARD, _MIDDLING = (VLMS[name].recipe for name in SHIPPED.values())
MADE: dict[str, VlmRecipe] = {
    "weak": replace(
        _HARD,
        exact=replace(_HARD.exact, steps=500),
        web=replace(_HARD.web, steps=200),
        seed=4,
        scenes=12_000,
        parent=SHIPPED["hard"],
    ),
    "easy": replace(_MIDDLING, mix=CaptionNoise(generic=0.30, partial=0.20, wrong=0.05), seed=2),
    "qwen": replace(
        _MIDDLING,
        tower=replace(_HARD.tower, steps=150),
        exact=replace(_HARD.exact, steps=700),
        web=replace(_HARD.web, steps=150),
        seed=3,
        scenes=12_000,
        parent=None,  # its tower is trained, only not from nothing
    ),
    "other_a": replace(
        _HARD,
        model=replace(_HARD.model, world="other"),
        tower=replace(_HARD.tower, steps=700),
        exact=replace(_HARD.exact, steps=1100),
        seed=5,
        scenes=16_000,
    ),
}
MADE["other_b"] = replace(MADE["other_a"], mix=_MIDDLING.mix, seed=6, parent="other_a")
BASES = ("weak", "hard", "middling", "easy", "qwen")
OTHER_BASES = ("other_a", "other_b")
MODEL = Qwen2Vl | SmolVlm


def base_path(runs: Path | str, name: str) -> Path:
    """Return where the weights of a base lie that the study makes itself."""
    return Path(runs) / "bases" / f"{name}.safetensors"


def make_base(runs: Path | str, name: str, *, progress: bool = False) -> None:
    """Train a base by its recipe, unless it is shipped or finished."""
    path = base_path(runs, name)
    if name in SHIPPED or path.is_file():
        return
    recipe, tower = _recipe(name), first_tower(runs, name)
    run = VlmRun.open(path.with_name(f"{name}.run.safetensors"), recipe)
    train = run_qwen_stages if name == "qwen" else run_stages
    state = fp16(train(run, tower, progress=progress).state_dict())
    manifest = {"recipe": recipe.to_dict(), "losses": run.thinned_losses()}
    save_tensors(path, state, manifest | {"cpu_seconds": run.seconds})
    run.remove()


def load_base(runs: Path | str, name: str) -> MODEL:
    """Load a base: a fresh model at each call, because LoRA changes it in place."""
    if name in SHIPPED:
        return load_micro_vlm(SHIPPED[name])
    state, _ = load_tensors(base_path(runs, name), verify=False)
    make = qwen_from_state if name == "qwen" else vlm_from_state
    return make(name, _recipe(name).model, state)


def see(vlm: MODEL, images: np.ndarray) -> VisionBatch:
    """Run a base's frozen vision side on images as the micro world draws them."""
    if isinstance(vlm, Qwen2Vl):
        return encode_qwen_images(vlm, images)
    return encode_images(vlm, images)


def home_of(base: str) -> str:
    """Return the place that a base was trained in: `other` for the bases of the other world."""
    return "other" if base in OTHER_BASES else "home"


def first_tower(runs: Path | str, name: str) -> dict[str, Tensor]:
    """Return the vision tower that a base starts with; empty where it trains its own."""
    parent = SHIPPED["hard"] if name == "qwen" else _recipe(name).parent
    if parent is None:
        return {}
    if parent in SHIPPED.values():
        return shipped_tower(parent)
    if not base_path(runs, parent).is_file():
        raise FileNotFoundError(f"{name} sees with the tower of {parent}: make that base first")
    state, _ = load_tensors(base_path(runs, parent), verify=False)
    return tower_in(state)


def shipped_tower(name: str) -> dict[str, Tensor]:
    """Read the vision tower of a shipped model."""
    state, _ = load_tensors(VLMS[name].path())
    return tower_in(state)


def bases_cost(runs: Path | str, names: Sequence[str]) -> float:
    """Return the CPU seconds of the bases that are still to be trained."""
    left = [n for n in names if n not in SHIPPED and not base_path(runs, n).is_file()]
    stages = [stage for name in left for stage in _recipe(name).stages]
    return sum(stage.samples / SAMPLES_PER_CPU_SECOND[stage.name] for stage in stages)


def _recipe(name: str) -> VlmRecipe:
    if name not in MADE:
        raise ValueError(f"no base {name!r}: wanted one of {sorted([*MADE, *SHIPPED])}")
    return MADE[name]
