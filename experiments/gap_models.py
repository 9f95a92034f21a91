"""The drawn CLIPs that the gap study compares: some kinds, some seeds, trained once and kept.

A seed decides both the initial weights and the scenes that a model sees. Seed 0 is the shipped
drawn CLIPs, with those logit scales beside them that none is shipped for. Every further seed is
trained by the same recipes on half of the batches (`SHARE`): about 25 minutes of a CPU core a seed
instead of 50. Weights land in `.cache/`, each with its manifest; a model whose file is there is not
trained again, and a stopped run goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vizer_core.clip import OpenClipEncoder
from vizer_core.files import load_tensors, remove_tensors, save_tensors
from vizer_core.runtime import hardware
from vizer_core.shipped import shipped
from vizer_lab.zoo.clip_recipe import ClipRecipe
from vizer_lab.zoo.clips import CLIPS, encoder_from_state
from vizer_lab.zoo.shipped_model import fp16
from vizer_lab.zoo.train_clip import train_drawn_clip

FOLDER = Path(".cache/gap_models")
SEEDS = (0, 1)
SCALES = (100, 10, 50, 5)  # in the order of training
SCENES_PER_SEED = 10_000_000
SHARE = 0.5  # of the shipped recipes' batches that seeds from 1 on are trained with
SHIPPED = {
    "cls": "drawn-clip",
    "cls_scale50": "drawn-clip-50",
    "cls_scale100": "drawn-clip-100",
    "patch_mean": "drawn-clip-avg",
}


@dataclass(frozen=True)
class GapModel:
    """One trained model of the study: its kind, its logit scale's fate, and its seed."""

    kind: str
    scale: int | None
    seed: int

    @property
    def system(self) -> str:
        """The name that its rows carry in the results."""
        return self.kind if self.scale is None else f"{self.kind}_scale{self.scale}"

    @property
    def shipped(self) -> str | None:
        """The shipped model that it is, if it is one."""
        return SHIPPED.get(self.system) if self.seed == 0 else None

    @property
    def path(self) -> Path:
        """Where its weights lie."""
        if self.shipped:
            return CLIPS[self.shipped].path()
        return FOLDER / f"{self.system}-seed{self.seed}.safetensors"

    @property
    def parent(self) -> GapModel | None:
        """The model that it goes on from: every one but `cls` goes on from that."""
        return None if self.system == "cls" else GapModel("cls", None, self.seed)

    @property
    def recipe(self) -> ClipRecipe:
        """How it is trained: by the shipped recipes, shortened, with its own weights and scenes."""
        base = CLIPS[SHIPPED.get(self.system, "drawn-clip-100")].recipe
        if self.scale is not None:
            stage = replace(base.stages[0], name=f"scale {self.scale}", scale=float(self.scale))
            base = replace(base, stages=(stage,))
        base = base if self.seed == 0 else base.shortened(SHARE)
        offset = self.seed * SCENES_PER_SEED
        return replace(base, seed=self.seed, first_scene=base.first_scene + offset)


def grid(seeds: tuple[int, ...] = SEEDS) -> Iterator[GapModel]:
    """Yield every model of the study, parents before those that go on from them."""
    for seed in seeds:
        yield GapModel("cls", None, seed)
        yield GapModel("cls", SCALES[0], seed)
        yield GapModel("patch_mean", None, seed)
        for scale in SCALES[1:]:
            yield GapModel("cls", scale, seed)


def missing(models: Iterable[GapModel]) -> list[GapModel]:
    """Return the models whose weights are not there."""
    return [model for model in models if not model.path.is_file()]


def train(model: GapModel, *, device: str, progress: bool = True) -> None:
    """Train one model and keep it; a stopped run goes on where it was."""
    start = load_tensors(model.parent.path)[0] if model.parent else None
    checkpoint, began = model.path.with_suffix(".run.safetensors"), time.process_time()
    trained, _ = train_drawn_clip(
        model.recipe, start=start, device=device, checkpoint=checkpoint, progress=progress
    )
    manifest = {
        "recipe": model.recipe.to_dict(),
        "hardware": hardware(),
        "cpu_seconds": round(time.process_time() - began, 1),  # of the last run, if it was stopped
    }
    save_tensors(model.path, fp16(trained.state_dict()), manifest)
    remove_tensors(checkpoint)


def load(model: GapModel) -> OpenClipEncoder:
    """Load one model as an encoder."""
    if model.shipped:
        return shipped("clip", model.shipped)("cpu")
    state, manifest = load_tensors(model.path)
    if manifest["recipe"] != model.recipe.to_dict():
        raise ValueError(
            f"{model.path} was made by another recipe: delete it and let it be trained again"
        )
    return encoder_from_state(f"{model.system}-seed{model.seed}", model.recipe.model, state)
