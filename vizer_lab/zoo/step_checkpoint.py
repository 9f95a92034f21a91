"""Save a stage of training in its middle: weights, moments and losses, and go on to the same end.

The order of the scenes is drawn from the stage's seed and nothing drops out, so the number of the
step says the rest. A checkpoint belongs to one run's `metadata`, whatever the caller says it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from vizer_core.files import load_tensors, remove_tensors, save_tensors


@dataclass(frozen=True)
class StepCheckpoint:
    """Where a stage saves itself, how often, and what it must be to go on from there.

    `metadata` is plain JSON values, under "facts" in the file: two runs of the same do the same.
    """

    path: Path
    metadata: Mapping[str, Any]
    every: int = 200

    def restore(self, modules: Mapping[str, nn.Module], optimizer: Optimizer) -> list[float]:
        """Put weights and moments back and return the losses so far; nothing saved gives [].

        Raises `ValueError` when the file belongs to another run: going on would mix the two.
        """
        if not Path(self.path).is_file():
            return []
        tensors, manifest = load_tensors(self.path)
        if manifest.get("facts") != dict(self.metadata):
            raise ValueError(
                f"{self.path} belongs to another run than the one asked for. Delete it to start "
                "again, or ask for the facts in its manifest."
            )
        for name, module in modules.items():
            stem = f"{name}."
            state = {k[len(stem) :]: v for k, v in tensors.items() if k.startswith(stem)}
            module.load_state_dict(state)
        state = optimizer.state_dict()
        moments: dict[int, dict[str, Any]] = {}
        for key, value in tensors.items():
            if key.startswith("adam/"):
                _, index, name = key.split("/")
                moments.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict(state | {"state": moments})
        return list(manifest["loss"])

    def save(
        self, modules: Mapping[str, nn.Module], optimizer: Optimizer, losses: list[float]
    ) -> None:
        """Write the state after a step, where the number of steps is a multiple of `every`."""
        if len(losses) % self.every:
            return
        tensors = {
            f"{name}.{key}": value
            for name, module in modules.items()
            for key, value in module.state_dict().items()
        }
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"adam/{index}/{name}": value for name, value in moments.items()}
        save_tensors(self.path, tensors, {"facts": dict(self.metadata), "loss": losses})

    def remove(self) -> None:
        """Delete the file, for the stage is finished."""
        remove_tensors(self.path)


@dataclass(frozen=True)
class Watch:
    """How a stage is followed from outside: with a bar, and with a file that it goes on from."""

    progress: bool = False
    checkpoint: StepCheckpoint | None = None


UNWATCHED = Watch()
