"""What is measured of a base and a variant before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import torch

from experiments import vizer_study_world as world
from experiments.vizer_study_cells import setup
from experiments.vizer_study_world import Trial
from vizer_core.runtime import seeded
from vizer_core.vizer.forecast import (
    ContextCosine,
    ForecastInputs,
    mapper_leak,
    measure_forecast_inputs,
    with_mapper,
)

NAMES_IN_FILES = {"auc": "separation", "length_bias": "pull"}  # results keep their schema
LOOKED_AT = 256  # images, none of which is captioned for a score


def forecast_cell(**what: Any) -> dict[str, float]:
    """Measure the forecast of a variant on a base."""
    torch.set_num_threads(1)
    trial = Trial(**what)
    vlm = world.load_once(trial.runs, trial.base)
    found, leak = setup(trial, vlm), 0.0
    indices = list(range(min(LOOKED_AT, len(found.source))))
    source = found.source.select(indices)
    reward = found.reward
    if reward is None:
        reward = ContextCosine(vlm, found.fitted[0])
        leak = mapper_leak(vlm, found.fitted[0], source)
    measured = measure_forecast_inputs(
        vlm, source, reward, generator=seeded(8000), decoding=world.SAMPLED
    )
    if found.fitted:
        measured = with_mapper(measured, found.fitted[0], leak=leak)
    return to_row(measured)


def to_row(measured: ForecastInputs) -> dict[str, Any]:
    """Return what was measured by the names that results files have for it."""
    return {NAMES_IN_FILES.get(key, key): value for key, value in asdict(measured).items()}


def from_row(row: Mapping[str, Any]) -> ForecastInputs:
    """Read back what `to_row` wrote; other entries of the row are left alone."""
    names = {
        NAMES_IN_FILES.get(field.name, field.name): field.name for field in fields(ForecastInputs)
    }
    return ForecastInputs(**{names[key]: value for key, value in row.items() if key in names})
