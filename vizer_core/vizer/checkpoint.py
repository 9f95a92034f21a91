"""Files of ViZer's two phases: a trained mapper, and a run that can be killed and go on.

A mapper belongs to the language model whose states it reads: its manifest names the model and the
hash of its weights, and `load_mapper` refuses any other. A run is one safetensors file with its
record in the header, so that one rename replaces all of it: weights, AdamW's moments, the random
generator, the history. Going on from it gives the same end as never having stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vizer_core.runtime import seeded
from vizer_core.store import atomic_path, load_tensors, save_tensors
from vizer_core.vizer.collapse import Collapse
from vizer_core.vizer.mapper import FittedMapper, Mapper, MapperConfig, MapperHistory
from vizer_core.vizer.residual import Residual
from vizer_core.vizer.targets import Centring, TargetSpace, Whitening
from vizer_core.vlm.protocol import VisionLanguageModel

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
SPACES = {
    frozenset({"mean"}): Centring,
    frozenset({"mean", "matrix"}): Whitening,
    frozenset({"mean", "directions"}): Residual,
}


def save_mapper(
    path: Path,
    fitted: FittedMapper,
    vlm: VisionLanguageModel,
    *,
    made_by: Mapping[str, Any] | None = None,
) -> None:
    """Write a mapper, its target space and its history; `made_by` adds to its own record."""
    tensors = {f"mapper.{name}": value for name, value in fitted.mapper.state_dict().items()}
    tensors |= {f"space.{name}": value for name, value in fitted.space.tensors().items()}
    manifest = {
        "kind": "vizer-mapper",
        "vlm": vlm.name,
        "fingerprint": vlm.fingerprint,
        "shape": fitted.mapper.config.to_dict(),
        "made_by": dict(fitted.made_by) | dict(made_by or {}),
        "history": asdict(fitted.history),
    }
    save_tensors(path, tensors, manifest)


def load_mapper(path: Path, vlm: VisionLanguageModel) -> FittedMapper:
    """Read a mapper that was trained on this model's states."""
    tensors, manifest = load_tensors(path)
    if manifest.get("kind") != "vizer-mapper":
        raise ValueError(f"{path} holds {manifest.get('kind')!r}, wanted 'vizer-mapper'")
    if manifest["fingerprint"] != vlm.fingerprint:
        raise ValueError(
            f"{path} reads states of {manifest['vlm']!r} (weights {manifest['fingerprint']}), this "
            f"model is {vlm.name!r} ({vlm.fingerprint}): fit a mapper for it with fit_mapper"
        )
    mapper = Mapper(MapperConfig(**manifest["shape"]), generator=seeded(0))
    mapper.load_state_dict(_under(tensors, "mapper."))
    space = _under(tensors, "space.")
    return FittedMapper(
        mapper.eval().requires_grad_(False).to(vlm.device),
        space_of(space),
        mapper_history(manifest["history"]),
        manifest["made_by"],
    )


def space_of(tensors: Mapping[str, Tensor]) -> TargetSpace:
    """Make a target space of the tensors that its file kept."""
    kind = SPACES.get(frozenset(tensors))
    if kind is None:
        raise ValueError(
            f"no target space keeps {sorted(tensors)}: wanted one of "
            f"{[sorted(names) for names in SPACES]}"
        )
    return kind(**tensors)


def mapper_history(kept: Mapping[str, Any]) -> MapperHistory:
    """Read back the history that a manifest or a checkpoint holds."""
    return MapperHistory(kept["loss"], kept["steps"], [Collapse(**c) for c in kept["held_out"]])


@dataclass(frozen=True, eq=False)
class Run:
    """A training run's state: tensors, and a JSON record with its identity under `made_by`."""

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
        weights = _under(self.tensors, "weight.")
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
            place: {key: self.tensors[f"{key}.{name}"] for key in MOMENTS}
            for place, name in enumerate(parameters)
        }
        optimizer.load_state_dict(state)
        if generator is not None:
            generator.set_state(self.tensors["generator"])


def save_run(path: Path, run: Run) -> None:
    """Write a run's state as one file; a kill leaves the state before or the state after."""
    with atomic_path(Path(path)) as temporary:
        save_file(run.tensors, temporary, metadata={"record": json.dumps(run.record)})


def load_run(path: Path, made_by: Mapping[str, Any]) -> Run | None:
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
    if not isinstance(record, dict) or "made_by" not in record:
        raise ValueError(f"{path} is no checkpoint of a run: it has no record")
    wanted = json.loads(json.dumps(dict(made_by)))
    if record["made_by"] != wanted:
        kept = record["made_by"]
        odd = sorted(key for key in wanted.keys() | kept.keys() if wanted.get(key) != kept.get(key))
        raise ValueError(
            f"{path} belongs to another run: {', '.join(odd)} differ. Delete it to start again, or "
            "ask for the same run"
        )
    return Run(tensors, record)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
