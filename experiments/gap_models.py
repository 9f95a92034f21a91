"""The micro CLIPs that the gap study compares: three seeds of each kind, trained once and kept.

A seed decides both the initial weights and the scenes that a model sees. Training all of them takes
a working day of one CPU core, or minutes of a data-centre GPU; the command says its estimate first.
Weights land in `.cache/`, each with its manifest; a model whose file is there is not trained again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vizer_core.clip import OpenClipEncoder
from vizer_core.files import load_tensors, remove_tensors, save_tensors
from vizer_core.runtime import hardware
from vizer_lab.zoo.clip_model import MicroClipConfig
from vizer_lab.zoo.clip_recipe import ClipRecipe
from vizer_lab.zoo.clips import CLIPS, encoder_from_state
from vizer_lab.zoo.shipped_model import fp16
from vizer_lab.zoo.train_clip import train_micro_clip

FOLDER = Path(".cache/gap_models")
SEEDS = (1, 2, 3)
SCALES = (5, 10, 50, 100)
SCENES_PER_SEED = 10_000_000


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
    def path(self) -> Path:
        """Where its weights lie."""
        return FOLDER / f"{self.system}-seed{self.seed}.safetensors"

    @property
    def parent(self) -> GapModel | None:
        """The model that it goes on from, when its scale is held fixed."""
        return replace(self, scale=None) if self.scale is not None else None

    @property
    def recipe(self) -> ClipRecipe:
        """How it is trained: the shipped recipes with this seed's weights and scenes."""
        offset = self.seed * SCENES_PER_SEED
        base = CLIPS["micro-clip-avg" if self.kind == "patch_mean" else "micro-clip"].recipe
        if self.kind == "cls_8_layers":
            base = replace(base, model=MicroClipConfig(layers=8))
        if self.scale is None:
            return replace(base, seed=self.seed, first_scene=offset)
        sharpen = CLIPS["micro-clip-100"].recipe
        stage = replace(sharpen.stages[0], scale=float(self.scale))
        return replace(
            sharpen,
            model=base.model,
            stages=(stage,),
            seed=self.seed,
            first_scene=offset + CLIPS["micro-clip"].recipe.samples,
        )


def grid(seeds: tuple[int, ...] = SEEDS) -> Iterator[GapModel]:
    """Yield every model of the study, parents before those that go on from them."""
    for seed in seeds:
        yield GapModel("cls", None, seed)
        for scale in SCALES:
            yield GapModel("cls", scale, seed)
        yield GapModel("cls_8_layers", None, seed)
        yield GapModel("patch_mean", None, seed)
        yield GapModel("patch_mean", 100, seed)


def missing(models: list[GapModel]) -> list[GapModel]:
    """Return the models whose weights are not in the cache."""
    return [model for model in models if not model.path.is_file()]


def train(model: GapModel, *, device: str, progress: bool = True) -> None:
    """Train one model and keep it; a stopped run goes on where it was."""
    start = load_tensors(model.parent.path)[0] if model.parent else None
    checkpoint = model.path.with_suffix(".run.safetensors")
    trained, _ = train_micro_clip(
        model.recipe, start=start, device=device, checkpoint=checkpoint, progress=progress
    )
    manifest = {"recipe": model.recipe.to_dict(), "hardware": hardware()}
    save_tensors(model.path, fp16(trained.state_dict()), manifest)
    remove_tensors(checkpoint)


def load(model: GapModel) -> OpenClipEncoder:
    """Load one trained model as an encoder."""
    state, manifest = load_tensors(model.path)
    if manifest["recipe"] != model.recipe.to_dict():
        raise ValueError(
            f"{model.path} was made by another recipe: delete it and let it be trained again"
        )
    return encoder_from_state(f"{model.system}-seed{model.seed}", model.recipe.model, state)
