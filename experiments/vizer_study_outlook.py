"""What is measured of a base and a variant before anything is trained."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from experiments import vizer_study_world as world
from experiments.vizer_study_cells import setup
from experiments.vizer_study_world import Trial
from vizer_core.runtime import seeded
from vizer_core.vizer.outlook import ContextCosine, mapper_leak, measure_outlook, with_mapper

LOOKED_AT = 256  # images, none of which is captioned for a score


def outlook_cell(**what: Any) -> dict[str, float]:
    """Measure the outlook of a variant on a base."""
    torch.set_num_threads(1)
    trial = Trial(**what)
    vlm = world.load_once(trial.runs, trial.base)
    found, leak = setup(trial, vlm), 0.0
    places = list(range(min(LOOKED_AT, len(found.source))))
    source = found.source.select(places)
    reward = found.reward
    if reward is None:
        reward = ContextCosine(vlm, found.fitted[0])
        leak = mapper_leak(vlm, found.fitted[0], source)
    outlook = measure_outlook(vlm, source, reward, generator=seeded(8000), decoding=world.SAMPLED)
    if found.fitted:
        outlook = with_mapper(outlook, found.fitted[0], leak=leak)
    return asdict(outlook)
