"""A training run's state on disk: one file, replaced whole, and refused where it is another run's.

`Run` is one safetensors file with its record in the header, so that one rename replaces all of it:
weights, AdamW's moments, the random generator, the history. `fit_mapper` keeps one, and so do
`adapter_run.AdapterRun` and `tune_on_captions`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vizer_core.files import METADATA, atomic_path

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of AdamW


@dataclass(frozen=True, eq=False)
class Run:
    """A training run's state: tensors, and a JSON record with its metadata under `METADATA`."""

    tensors: dict[str, Tensor]
    record: dict[str, Any]

    @classmethod
    def capture(
        cls,
        parameters: Mapping[str, nn.Parameter],
        optimizer: torch.optim.AdamW,
        record: Mapping[str, Any],
        *,
        generator: torch.Generator | None = None,
    ) -> Run:
        """Copy what the rest of the run depends on; parameters in the optimizer's order."""
        tensors = {f"weight.{name}": value.detach() for name, value in parameters.items()}
        state = optimizer.state_dict()["state"]
        for name, moments in zip(parameters, (state[i] for i in sorted(state)), strict=True):
            tensors |= {f"{key}.{name}": moments[key] for key in MOMENTS}
        if generator is not None:
            tensors["generator"] = generator.get_state()
        copied = {key: value.cpu().clone().contiguous() for key, value in tensors.items()}
        return cls(copied, dict(record))

    def restore(
        self,
        parameters: Mapping[str, nn.Parameter],
        optimizer: torch.optim.AdamW,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        """Put weights, moments and the generator back where they were."""
        weights = tensors_under(self.tensors, "weight.")
        if set(weights) != set(parameters):
            odd = sorted(set(weights) ^ set(parameters))
            raise ValueError(
                f"the run's parameters are not this model's: {len(odd)} differ, such as {odd[0]}"
            )
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(weights[name])
        state = optimizer.state_dict()
        state["state"] = {
            index: {key: self.tensors[f"{key}.{name}"] for key in MOMENTS}
            for index, name in enumerate(parameters)
        }
        optimizer.load_state_dict(state)
        if generator is not None:
            generator.set_state(self.tensors["generator"])


def save_run(path: Path, run: Run) -> None:
    """Write a run's state as one file; a kill leaves the state before or the state after."""
    with atomic_path(Path(path)) as temporary:
        save_file(run.tensors, temporary, metadata={"record": json.dumps(run.record)})


def load_run(path: Path, metadata: Mapping[str, Any]) -> Run | None:
    """Read the state at `path`, or return None where there is none yet.

    Raises `ValueError` when it belongs to other settings, data or seed: to go on would mix runs.
    """
    path = Path(path)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stream:
            record = json.loads((stream.metadata() or {}).get("record", "null"))
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable checkpoint: {error}. Delete it.") from error
    if not isinstance(record, dict) or METADATA not in record:
        raise ValueError(f"{path} is no checkpoint of a run: it has no record")
    wanted = json.loads(json.dumps(dict(metadata)))
    if record[METADATA] != wanted:
        kept = record[METADATA]
        odd = sorted(key for key in wanted.keys() | kept.keys() if wanted.get(key) != kept.get(key))
        raise ValueError(
            f"{path} belongs to another run: {', '.join(odd)} differ. Delete it to start again, or "
            "ask for the same run"
        )
    return Run(tensors, record)


def tensors_under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, without it."""
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
