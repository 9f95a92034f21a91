"""Before zero-label training: is it likely to help this model, on these images?"""

from __future__ import annotations

from typing import Any

from vizer_core.runtime import seeded
from vizer_core.vizer.named_objectives import Aim, target_of
from vizer_core.vizer.outlook import (
    ContextCosine,
    OutlookRule,
    mapper_leak,
    measure_outlook,
    with_mapper,
)
from vizer_core.vizer.rewards import ReadBackReward
from vizer_core.vizer.shared_work import Slice

LOOKED_AT = 64  # pictures; each is captioned four times


def forecast(vlm: Any, source: Any, aim: Aim, *, seed: int) -> tuple[bool, str]:
    """Measure on some of the images; return whether training may help, and a line to print."""
    if len(source) < 2:
        return False, "warning: no outlook from fewer than 2 pictures"
    objective, fitted, _ = aim
    source = Slice(source, range(min(LOOKED_AT, len(source))))
    in_context = objective == "image_context"
    target = target_of(vlm, source, aim)
    fitted = getattr(target.loss, "fitted", fitted)
    reward = target.reward or (ContextCosine if in_context else ReadBackReward)(vlm, fitted)
    outlook = measure_outlook(vlm, target.source, reward, generator=seeded(seed))
    if fitted is not None:
        leak = mapper_leak(vlm, fitted, source) if in_context else 0.0
        outlook = with_mapper(outlook, fitted, leak=leak)
    rule = OutlookRule()
    good = rule.helps(outlook)
    return good, f"{'' if good else 'warning: '}{rule.say(outlook)}"
