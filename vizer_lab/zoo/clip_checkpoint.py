"""Save a drawn CLIP run in the middle, and go on from there to the same end.

Scenes come from numbered seeds and the model has no dropout, so the weights, the optimizer's
moments and the step number are the whole state.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from open_clip import CLIP
from torch import Tensor
from torch.optim import Optimizer

from vizer_core.files import load_tensors, save_tensors
from vizer_lab.zoo.clip_recipe import ClipRecipe, History


@dataclass(frozen=True)
class Checkpoint:
    """A run's state after `step` steps of stage number `stage`."""

    stage: int
    step: int
    tensors: dict[str, Tensor]
    history: History

    def restore(self, model: CLIP, optimizer: Optimizer) -> History:
        """Put the weights and moments back and return the losses so far."""
        weights = {k[6:]: v for k, v in self.tensors.items() if k.startswith("model.")}
        model.load_state_dict(weights)
        state = optimizer.state_dict()
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in self.tensors.items():
            if key.startswith("adam."):
                _, place, name = key.split(".")
                moments.setdefault(int(place), {})[name] = value
        state["state"] = moments
        optimizer.load_state_dict(state)
        return self.history


def save_checkpoint(
    path: Path,
    recipe: ClipRecipe,
    position: tuple[int, int],
    model: CLIP,
    optimizer: Optimizer,
    history: History,
) -> None:
    """Write the state atomically; `position` is (stage number, steps done in it)."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    for i, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{name}": value for name, value in moments.items()}
    manifest = {
        "kind": "drawn-clip-run",
        "recipe": recipe.to_dict(),
        "stage": position[0],
        "step": position[1],
        "loss": history.loss,
        "stage_starts": history.stage_starts,
    }
    save_tensors(path, tensors, manifest)


def load_checkpoint(path: Path, recipe: ClipRecipe) -> Checkpoint | None:
    """Read the state at `path`, or return None when there is none.

    Raises `ValueError` when it belongs to another recipe: going on would mix two runs.
    """
    path = Path(path)
    if not path.is_file():
        return None
    tensors, manifest = load_tensors(path)
    if manifest.get("recipe") != recipe.to_dict():
        raise ValueError(
            f"{path} belongs to another recipe than the one asked for. Delete it to start again, "
            "or ask for the recipe in its manifest."
        )
    history = History(loss=manifest["loss"], stage_starts=manifest["stage_starts"])
    return Checkpoint(manifest["stage"], manifest["step"], tensors, history)
