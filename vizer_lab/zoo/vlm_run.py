"""One training run of a drawn VLM: its stages in order, the model saved after each.

Scenes come from numbered seeds and nothing drops out, so the weights after a stage are the whole
state. Inside a stage the run saves itself every few hundred steps (`step_checkpoint`): one that was
killed goes on from there and ends where it would have.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from vizer_core.files import load_tensors, remove_tensors, save_tensors
from vizer_lab.world.render import render_scenes
from vizer_lab.world.world import make_scene, split_in
from vizer_lab.zoo.clips import load_drawn_clip
from vizer_lab.zoo.noisy_captions import exact_caption, noisy_caption
from vizer_lab.zoo.shipped_model import thinned
from vizer_lab.zoo.step_checkpoint import StepCheckpoint, Watch
from vizer_lab.zoo.vlm_from_clip import start_from_clip
from vizer_lab.zoo.vlm_images import pixel_values_of
from vizer_lab.zoo.vlm_model import build_drawn_vlm
from vizer_lab.zoo.vlm_recipe import VlmRecipe, VlmStage
from vizer_lab.zoo.vlm_train import (
    CaptionLosses,
    idefics3_losses,
    patches_of_scenes,
    train_captions,
)
from vizer_lab.zoo.vlm_vision import train_tower

if TYPE_CHECKING:
    from transformers import Idefics3ForConditionalGeneration

CALIBRATION_SCENES = 64


@dataclass
class VlmRun:
    """A run of `recipe`: losses and CPU seconds of each finished stage, and the weights since."""

    recipe: VlmRecipe
    path: Path
    losses: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    state: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, recipe: VlmRecipe) -> VlmRun:
        """Read the run at `path`, or start one there.

        Raises `ValueError` when it belongs to another recipe: going on would mix two runs.
        """
        if not Path(path).is_file():
            return cls(recipe, Path(path))
        state, manifest = load_tensors(path)
        if manifest.get("recipe") != recipe.to_dict():
            raise ValueError(
                f"{path} belongs to another recipe than the one asked for. Delete it to start "
                "again, or ask for the recipe in its manifest."
            )
        return cls(recipe, Path(path), manifest["losses"], manifest["seconds"], state)

    def finish(self, stage: str, model: nn.Module, losses: list[float], seconds: float) -> None:
        """Note a finished stage and save the run."""
        self.losses[stage], self.seconds[stage] = losses, round(seconds, 1)
        self.state = {key: value.detach().clone() for key, value in model.state_dict().items()}
        manifest = {
            "kind": "drawn-vlm-run",
            "recipe": self.recipe.to_dict(),
            "losses": self.losses,
            "seconds": self.seconds,
        }
        save_tensors(self.path, self.state, manifest)
        self.checkpoint(stage).remove()

    def checkpoint(self, stage: str) -> StepCheckpoint:
        """Return where a stage of this run saves itself in its middle."""
        name = f"{self.path.name.removesuffix('.safetensors')}.{stage}.safetensors"
        facts = {"recipe": self.recipe.to_dict(), "stage": stage}
        return StepCheckpoint(self.path.with_name(name), facts)

    @contextmanager
    def stage(self, name: str, model: nn.Module) -> Iterator[list[float] | None]:
        """Time a stage and save the run after it; yields None for one that is finished already.

        The losses go into the list that it yields.
        """
        if name in self.losses:
            yield None
            return
        losses: list[float] = []
        begun = time.process_time()
        yield losses
        self.finish(name, model, losses, time.process_time() - begun)

    def thinned_losses(self) -> dict[str, Any]:
        """Keep about 100 means of consecutive losses a stage, for the curve."""
        return {stage: thinned(losses) for stage, losses in self.losses.items()}

    def remove(self) -> None:
        """Delete the saved run, for the finished weights are written."""
        remove_tensors(self.path)


def run_stages(
    run: VlmRun,
    tower: Mapping[str, Tensor],
    *,
    start: nn.Module | None = None,
    progress: bool = False,
) -> Idefics3ForConditionalGeneration:
    """Run the stages that are not finished and return the model.

    `tower` has the parent's vision tower; empty, the tower is trained here. `start` is the vision
    tower of the recipe's CLIP where that is not a shipped one.
    """
    recipe = run.recipe
    if bool(tower) != (recipe.parent is not None):
        raise ValueError(f"recipe.parent is {recipe.parent!r}: give `tower` exactly when it is set")
    model = build_drawn_vlm(recipe.model, seed=recipe.seed)
    eye = model.model.vision_model
    if run.state:
        model.load_state_dict(run.state)
    elif tower:
        eye.load_state_dict(tower)
    if not tower:
        # 1 the tower: start from CLIP, then labels at every patch
        with run.stage("tower", model) as losses:
            if losses is not None:
                if recipe.clip is not None:
                    visual = start or load_drawn_clip(recipe.clip).model.visual
                    start_from_clip(eye, visual, _calibration(recipe))
                losses += train_tower(
                    eye,
                    recipe.tower,
                    seed=recipe.seed,
                    grid=recipe.model.grid,
                    progress=progress,
                    world=recipe.model.world,
                    checkpoint=run.checkpoint("tower"),
                )
    eye.eval().requires_grad_(False)
    train_the_captions(run, model, eye, progress=progress)
    return model


def train_the_captions(
    run: VlmRun,
    model: nn.Module,
    eye: nn.Module,
    *,
    losses: CaptionLosses | None = None,
    progress: bool = False,
) -> None:
    """Run stages 2, exact captions, and 3, the web's, over patches that the frozen eye gives once.

    A family of models brings its own `losses`.
    """
    recipe, patches = run.recipe, None
    world = recipe.model.world
    writers = {"exact": exact_caption, "web": partial(noisy_caption, mix=recipe.mix)}
    for name, write in writers.items():
        stage: VlmStage | None = getattr(recipe, name)
        if stage is None:
            continue
        with run.stage(name, model) as curve:
            if curve is None:
                continue
            if patches is None:
                patches = patches_of_scenes(
                    eye, 0, recipe.scenes, size=recipe.model.image_size, world=world
                )
            curve += train_captions(
                model,
                patches,
                stage,
                write=write,
                seed=recipe.seed,
                losses=losses or idefics3_losses(world),
                watch=Watch(progress, run.checkpoint(name)),
            )


def _calibration(recipe: VlmRecipe) -> Tensor:
    split = split_in(recipe.model.world, "train")
    scenes = [make_scene(split, i) for i in range(CALIBRATION_SCENES)]
    return pixel_values_of(render_scenes(scenes, recipe.model.image_size))[:, 0]
