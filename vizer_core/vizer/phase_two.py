"""What stands around zero-label training: a mapper where one is needed, a forecast, the distance.

`enhance` of `vizer_core.jobs` and the command `vizer enhance` are these around `train_adapter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from vizer_core.decoding import Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.vizer.adapter_run import TrainHistory
from vizer_core.vizer.forecast import (
    ContextCosine,
    ForecastRule,
    mapper_leak,
    measure_forecast_inputs,
    with_mapper,
)
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.mapper import FittedMapper, MapperConfig
from vizer_core.vizer.named_objectives import OTHERS
from vizer_core.vizer.objectives import ImageContext
from vizer_core.vizer.policy_gradient import PolicyGradient
from vizer_core.vizer.rewards import ReadBackReward
from vizer_core.vizer.rollout import Rollout
from vizer_core.vizer.targets import Slice, VisionSource
from vizer_core.vizer.text_states import (
    SHARD,
    generated_states,
    read_back_states,
    states_in_shards,
)
from vizer_core.vizer.train_mapper import MAPPER_FIT, fit_mapper
from vizer_core.vlm.protocol import VisionLanguageModel

FORECAST = 64  # images that a forecast looks at; each is captioned four times
MEASURED = 64  # images of which captions are drawn to measure the KL from the base


def fit_on_own_captions(
    vlm: VisionLanguageModel,
    source: VisionSource,
    names: Sequence[str],
    *,
    objective: str,
    seed: int,
    folder: Path,
) -> FittedMapper:
    """Fit a mapper on the model's own captions: read as text, or in the context of their image.

    Captions and states go to `folder` shard by shard, so that a stopped command goes on from there.
    """
    count = len(source)
    if count < 20:
        raise ValueError(f"{count} images are too few to fit a mapper on: wanted at least 20")
    in_context = objective == "image_context"
    read, rule = (generated_states, Greedy()) if in_context else (read_back_states, Sample())
    found = states_in_shards(
        lambda part, generator: read(vlm, part, decoding=rule, generator=generator),
        source,
        folder,
        job={"vlm": vlm.fingerprint, "read": read.__name__, "images": _digest(names)},
        rule=rule,
        seed=seed,
        size=SHARD,
    )
    shape = MapperConfig(found.states.shape[1], found.image_features.shape[1], layer_norm=True)
    config = replace(MAPPER_FIT, held_out=max(2, min(500, count // 5)))
    features = found.image_features.to(vlm.device)
    return fit_mapper(
        found.states.to(vlm.device), features, shape=shape, config=config, generator=seeded(seed)
    )


def _digest(names: Sequence[str]) -> str:
    """Return a digest of file names in 16 hex digits; they may be no UTF-8."""
    return sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()[:16]


def forecast(
    vlm: VisionLanguageModel, source: VisionSource, objective: Any, *, seed: int
) -> tuple[bool, str]:
    """Measure on some of the images; return whether training may help, and a line to print."""
    if len(source) < 2:
        return False, "warning: no forecast from fewer than 2 images"
    source = Slice(source, range(min(FORECAST, len(source))))
    reward: Any = objective.reward if isinstance(objective, PolicyGradient) else None
    fitted = getattr(objective if reward is None else reward, "fitted", None)
    in_context = isinstance(objective, ImageContext)
    if reward is None and fitted is None:
        return False, "warning: no forecast for a loss without a mapper: nothing scores a caption"
    if reward is None:
        reward = (ContextCosine if in_context else ReadBackReward)(vlm, fitted)
    yardstick = InformationReward(vlm, weight=0.5, others=OTHERS)
    measured = measure_forecast_inputs(
        vlm, source, reward, generator=seeded(seed), yardstick=yardstick
    )
    if fitted is not None:
        leak = mapper_leak(vlm, fitted, source) if in_context else 0.0
        measured = with_mapper(measured, fitted, leak=leak)
    rule = ForecastRule()
    good = rule.helps(measured)
    return good, f"{'' if good else 'warning: '}{rule.say(measured)}"


def curve_of(history: TrainHistory, objective: Any) -> list[float]:
    """Return the losses; of a reward its upper bound, where it has one, less the rewards."""
    if isinstance(objective, PolicyGradient):
        best = getattr(objective.reward, "best", 0.0)
        return [best - reward for reward in history.reward]
    return history.loss


def kl_now(
    vlm: Any, source: VisionSource, *, micro_batch_size: int | None = None, seed: int
) -> float:
    """Return KL(base || now) a caption token, in nats, of captions that the model draws now.

    What a step measures is from before it: after a single step that is no distance at all.
    """
    generator, total, tokens = seeded(seed), 0.0, 0
    count, size = min(MEASURED, len(source)), min(micro_batch_size or 16, 16)
    for start in range(0, count, size):
        vision = source.select(list(range(start, min(start + size, count))))
        with torch.no_grad():
            captions = vlm.generate(vision, decoding=Sample(), generator=generator)
            found = int(captions.mask.sum())
            total += found * float(Rollout(vlm, vision, captions).kl_from_base())
        tokens += found
    return total / max(tokens, 1)
