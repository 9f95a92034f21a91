"""The objectives of zero-label training by name, and what each compares captions with.

==================  ===============================================================================
information         log p(caption | image) - w log p(caption), by the model before training (ours)
read_back           cosine of F_I with the mapped states of the words alone, as a reward (ours)
straight_through    the same as a loss, differentiable through the tokens (ours)
image_context       the paper's loss, ViZer_G: states of the caption that followed the image
==================  ===============================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import Any

from vizer_core.vizer.listener import InformationReward
from vizer_core.vizer.readings import ImageContext, StraightThrough
from vizer_core.vizer.rewards import ReadBackReward

PAPER_NAMES = {"vizer_g": "image_context"}
WITH_MAPPER = ("read_back", "straight_through", "image_context")
OBJECTIVES = ("information", *WITH_MAPPER)
REWARDS = ("information", "read_back")  # a policy gradient of four captions a picture
WEIGHT = 0.7  # of an information reward; validation scenes of results/vizer_study.json chose it

# the objective, by name or an object; its mapper and its weight, None where it has none
Aim = tuple[Any, Any, float | None]


@dataclass(frozen=True, eq=False)
class Target:
    """Pictures with what training compares their captions with, and a reward or a loss."""

    source: Any
    reward: Any = None
    best: float = 0.0  # the reward's upper bound; 0 where it has none
    loss: Any = None


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


def learning_rate_of(objective: Any) -> float:
    """Return the learning rate that an objective was tried with."""
    return 5e-4 if objective == "information" else 2e-4


def target_of(vlm: Any, source: Any, aim: Aim) -> Target:
    """Make an objective's reward or loss, and let the pictures carry what it compares with."""
    objective, fitted, weight = aim
    if not isinstance(objective, str):
        is_loss = len(signature(objective).parameters) == 1  # of a rollout; a reward reads two
        return Target(source, loss=objective) if is_loss else Target(source, reward=objective)
    if objective == "information":
        return Target(source, reward=InformationReward(vlm, weight))
    if objective == "read_back":
        return Target(source, reward=ReadBackReward(vlm, fitted), best=1.0)
    reading = ImageContext if objective == "image_context" else StraightThrough
    return Target(source, loss=reading(fitted))
