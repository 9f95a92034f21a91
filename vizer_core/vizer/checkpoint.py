"""A trained mapper on disk.

A mapper belongs to the language model whose states it reads: its manifest names the model and the
hash of its weights, and `load_mapper` refuses any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from vizer_core.files import METADATA, load_tensors, save_tensors
from vizer_core.run_state import tensors_under
from vizer_core.runtime import seeded
from vizer_core.vizer.collapse import Collapse
from vizer_core.vizer.mapper import FittedMapper, Mapper, MapperConfig, MapperHistory
from vizer_core.vizer.residual import Residual
from vizer_core.vizer.targets import Centring, TargetSpace, Whitening
from vizer_core.vlm.protocol import VisionLanguageModel

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
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a mapper, its target space and its history; `metadata` adds to its own record."""
    tensors = {f"mapper.{name}": value for name, value in fitted.mapper.state_dict().items()}
    tensors |= {f"space.{name}": value for name, value in fitted.space.tensors().items()}
    manifest = {
        "kind": "vizer-mapper",
        "vlm": vlm.name,
        "fingerprint": vlm.fingerprint,
        "shape": fitted.mapper.config.to_dict(),
        METADATA: dict(fitted.metadata) | dict(metadata or {}),
        "history": asdict(fitted.history),
    }
    save_tensors(path, tensors, manifest)


def load_mapper(path: Path, vlm: VisionLanguageModel) -> FittedMapper:
    """Read a mapper that was trained on this model's states."""
    tensors, manifest = load_tensors(path)
    if manifest.get("kind") != "vizer-mapper":
        raise ValueError(f"{path} contains {manifest.get('kind')!r}, wanted 'vizer-mapper'")
    if manifest["fingerprint"] != vlm.fingerprint:
        raise ValueError(
            f"{path} reads states of {manifest['vlm']!r} (weights {manifest['fingerprint']}), this "
            f"model is {vlm.name!r} ({vlm.fingerprint}): fit a mapper for it with fit_mapper"
        )
    mapper = Mapper(MapperConfig(**manifest["shape"]), generator=seeded(0))
    mapper.load_state_dict(tensors_under(tensors, "mapper."))
    space = tensors_under(tensors, "space.")
    return FittedMapper(
        mapper.eval().requires_grad_(False).to(vlm.device),
        space_of(space),
        mapper_history(manifest["history"]),
        manifest[METADATA],
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
    """Read back the history that a manifest or a checkpoint contains."""
    return MapperHistory(kept["loss"], kept["steps"], [Collapse(**c) for c in kept["held_out"]])
