"""The objectives of zero-label training by name: how each is made, and how it is trained.

==================  ===============================================================================
information         log p(caption | image) - w log p(caption), by the model before training (ours)
read_back           cosine of F_I with the mapped states of the words alone, as a reward (ours)
straight_through    the same as a loss, differentiable through the tokens (ours)
image_context       the paper's loss, ViZer_G: states of the caption that followed the image
self_training       cross-entropy on the frozen base's own greedy captions
raft                cross-entropy on the best of four drawn captions, by information (prior of
                    other images)
dpo                 DPO on the best and the worst of four, by the same
==================  ===============================================================================

A row of `OBJECTIVES` is all that a new name needs; `cli/objectives.py` repeats the names for the
help.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from vizer_core.vizer.adapter_run import POLICY_GRADIENT, VIZER_SMALL, TrainConfig
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.mapper import FittedMapper
from vizer_core.vizer.objectives import ImageContext, StraightThrough
from vizer_core.vizer.policy_gradient import PolicyGradient
from vizer_core.vizer.rewards import ReadBackReward
from vizer_core.vizer.self_training import PreferencePairs, Raft, SelfTraining
from vizer_core.vizer.train import as_objective
from vizer_core.vlm.protocol import VisionLanguageModel

PAPER_NAMES = {"vizer_g": "image_context"}
WEIGHT = 0.7  # of an information reward; chosen on validation scenes of an earlier study


@dataclass(frozen=True, eq=False)
class NamedObjective:
    """How an objective is made of a model, its mapper (None without) and a weight, and trained."""

    make: Callable[[VisionLanguageModel, FittedMapper | None, float], Any]
    config: TrainConfig
    with_mapper: bool = True


SELF_TRAINING = replace(VIZER_SMALL, learning_rate=5e-4)
OTHERS = 8  # images in the prior of an information reward that ranks captions


def _information(vlm: VisionLanguageModel, weight: float) -> InformationReward:
    return InformationReward(vlm, weight, others=OTHERS)


OBJECTIVES = {
    "information": NamedObjective(
        lambda vlm, fitted, weight: PolicyGradient(InformationReward(vlm, weight)),
        replace(POLICY_GRADIENT, learning_rate=5e-4),
        with_mapper=False,
    ),
    "read_back": NamedObjective(
        lambda vlm, fitted, weight: PolicyGradient(ReadBackReward(vlm, fitted)), POLICY_GRADIENT
    ),
    "straight_through": NamedObjective(
        lambda vlm, fitted, weight: StraightThrough(fitted), VIZER_SMALL
    ),
    "image_context": NamedObjective(lambda vlm, fitted, weight: ImageContext(fitted), VIZER_SMALL),
    "self_training": NamedObjective(
        lambda vlm, fitted, weight: SelfTraining(), SELF_TRAINING, with_mapper=False
    ),
    "raft": NamedObjective(
        lambda vlm, fitted, weight: Raft(_information(vlm, weight)),
        replace(SELF_TRAINING, samples=4),
        with_mapper=False,
    ),
    "dpo": NamedObjective(
        lambda vlm, fitted, weight: PreferencePairs(_information(vlm, weight)),
        replace(SELF_TRAINING, samples=4),
        with_mapper=False,
    ),
}
WEIGHED = ("information", "raft", "dpo")  # those that an information reward is part of
BY_REWARD = ("information", "read_back")  # policy gradients; the others are losses
WITH_MAPPER = tuple(name for name, row in OBJECTIVES.items() if row.with_mapper)


def objective_named(objective: str) -> str:
    """Return the name that is used here; the paper's own is known too.

    >>> objective_named("vizer_g")
    'image_context'
    """
    name = PAPER_NAMES.get(objective, objective)
    if name not in OBJECTIVES:
        known = ", ".join((*OBJECTIVES, *PAPER_NAMES))
        raise ValueError(f"no objective {objective!r}: wanted one of {known}, or an object")
    return name


def make_objective(
    objective: Any,
    vlm: VisionLanguageModel,
    *,
    fitted: FittedMapper | None = None,
    weight: float | None = None,
) -> Any:
    """Return a loss or a policy gradient: by its name, or of an object (`train.as_objective`)."""
    if not isinstance(objective, str):
        return as_objective(objective)
    return OBJECTIVES[objective].make(vlm, fitted, WEIGHT if weight is None else weight)


def config_of(objective: Any, **changes: Any) -> TrainConfig:
    """Return the settings that an objective was tried with, by name or of an object.

    >>> config_of("information", images_per_step=8).learning_rate
    0.0005
    """
    if isinstance(objective, str):
        return replace(OBJECTIVES[objective].config, **changes)
    is_reward = isinstance(as_objective(objective), PolicyGradient)
    return replace(POLICY_GRADIENT if is_reward else VIZER_SMALL, **changes)
