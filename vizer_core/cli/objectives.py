"""The objectives of `vizer enhance` by name, and what each compares captions with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WITH_MAPPER = ("read_back", "straight_through", "image_context")
OBJECTIVES = ("information", *WITH_MAPPER)
REWARDS = ("information", "read_back")  # a policy gradient of four captions a picture
WEIGHT = 0.7  # of an information reward; validation scenes of results/vizer_study.json chose it

Aim = tuple[str, Any, float | None]  # the objective, its mapper, its weight; None where it has none


@dataclass(frozen=True, eq=False)
class Target:
    """Pictures with what training compares their captions with, and a reward or a loss."""

    source: Any
    reward: Any = None
    best: float = 0.0  # the reward's upper bound; 0 where it has none
    loss: Any = None


def learning_rate_of(objective: str) -> float:
    """Return the learning rate that an objective was tried with."""
    return 5e-4 if objective == "information" else 2e-4


def target_of(vlm: Any, source: Any, aim: Aim) -> Target:
    """Make an objective's reward or loss, and let the pictures carry what it compares with."""
    from vizer_core.vizer import ImageContext, StraightThrough
    from vizer_core.vizer.listener import InformationReward, listening_to
    from vizer_core.vizer.rewards import ReadBackReward

    objective, fitted, weight = aim
    if objective == "information":
        return Target(listening_to(source), reward=InformationReward(vlm, source, weight))
    if objective == "read_back":
        return Target(source, reward=ReadBackReward(vlm, fitted), best=1.0)
    reading = ImageContext if objective == "image_context" else StraightThrough
    return Target(source, loss=reading(fitted))
