"""A training run's state on disk: weights, Adam's moments, the scaler, and what was recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vizer_core.distributed import is_main_process
from vizer_core.files import load_tensors, save_tensors


@dataclass(frozen=True)
class Checkpoint:
    """Where a run saves itself, and every how many steps; the last step always saves."""

    path: Path
    every: int = 200

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"a checkpoint every {self.every} steps: wanted at least 1")

    def is_due(self, done: int, total: int) -> bool:
        """Say whether to save after `done` of `total` steps.

        >>> [Checkpoint(Path("run"), every=2).is_due(k, 5) for k in (1, 2, 5)]
        [False, True, True]
        """
        return done % self.every == 0 or done == total


class RunState:
    """Everything that changes while training, with a way to write it and to read it back."""

    def __init__(
        self,
        trained: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
    ) -> None:
        self.trained, self.optimizer, self.scaler = trained, optimizer, scaler
        self.rates: list[float] = []
        self._loss: list[Tensor] = []
        self._norm: list[Tensor] = []
        self._saved = 0  # steps that the checkpoint contains
        self._whole = True  # False from a step's first change of a weight until it is recorded
        optimizer.register_step_pre_hook(self._begin)

    def _begin(self, *_: Any) -> None:
        self._whole = False

    def record(self, loss: Tensor, rate: float, norm: Tensor) -> None:
        """Keep a step's numbers; tensors are read only when the run is saved or ends."""
        self._loss.append(loss)
        self._norm.append(norm)
        self.rates.append(rate)
        self._whole = True

    def losses(self) -> list[float]:
        """Return the loss of every step."""
        return _floats(self._loss)

    def gradient_norms(self) -> list[float]:
        """Return the gradient's norm before clipping at every step; inf where it overflowed."""
        return _floats(self._norm)

    def save(self, checkpoint: Checkpoint, identity: Mapping[str, Any]) -> None:
        """Write the state atomically."""
        tensors = {f"model.{key}": value for key, value in self.trained.state_dict().items()}
        for i, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{name}": value for name, value in moments.items()}
        tensors["run.loss"] = torch.tensor(self.losses())
        tensors["run.norm"] = torch.tensor(self.gradient_norms())
        manifest = {
            "kind": "text-only-run",
            "identity": dict(identity),
            "rates": self.rates,
            "scaler": self.scaler.state_dict(),
        }
        tensors = {key: value.clone() for key, value in tensors.items()}  # tied weights, once each
        save_tensors(checkpoint.path, tensors, manifest)
        self._saved = len(self.rates)

    @contextmanager
    def kept_when_stopped(
        self, checkpoint: Checkpoint | None, identity: Mapping[str, Any], total: int
    ) -> Iterator[None]:
        """Save the steps that are whole when `KeyboardInterrupt` comes, and raise it again.

        It then says how far the run is, as in "step 3 of 50"; nothing where no step was kept. In
        the middle of a step's change of the weights nothing can be saved: what was before counts.
        """
        try:
            yield
        except KeyboardInterrupt as error:
            if checkpoint is None or not is_main_process():
                raise
            if self._whole and len(self.rates) > self._saved:
                self.save(checkpoint, identity)
            if not self._saved:
                raise
            raise KeyboardInterrupt(f"step {self._saved} of {total}") from error

    def resume(self, checkpoint: Checkpoint, identity: Mapping[str, Any]) -> int:
        """Put the saved state back and return the steps done: 0 when nothing was saved.

        Raises `ValueError` when the file belongs to another run: going on would mix two.
        """
        if not Path(checkpoint.path).is_file():
            return 0
        tensors, manifest = load_tensors(checkpoint.path)
        found = manifest.get("identity", {})
        differing = sorted(key for key in identity if found.get(key) != identity[key])
        if differing:
            raise ValueError(
                f"{checkpoint.path} belongs to another run: it differs in {', '.join(differing)}. "
                "Delete it to start again, or pass the settings, data and seed it was made with."
            )
        prefix = "model."
        self.trained.load_state_dict(
            {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        )
        self._load_moments(tensors)
        if manifest["scaler"]:
            self.scaler.load_state_dict(manifest["scaler"])
        self._loss = list(tensors["run.loss"])
        self._norm = list(tensors["run.norm"])
        self.rates = list(manifest["rates"])
        self._saved = len(self.rates)
        return self._saved

    def _load_moments(self, tensors: Mapping[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("adam."):
                _, i, name = key.split(".")
                state.setdefault(int(i), {})[name] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})


def _floats(values: list[Tensor]) -> list[float]:
    return torch.stack([v.float().cpu() for v in values]).tolist() if values else []
