"""Zero-label training end to end: a mapper where one is needed, the training, how far it went.

`enhance` of `vizer_core.jobs` and the command `vizer enhance` are made of these.
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
from vizer_core.vizer.mapper import FittedMapper, MapperConfig
from vizer_core.vizer.named_objectives import Target
from vizer_core.vizer.readings import Rollout
from vizer_core.vizer.shared_work import SHARD, states_in_shards
from vizer_core.vizer.targets import VisionSource
from vizer_core.vizer.text_states import generated_states, read_back_states
from vizer_core.vizer.train_mapper import MAPPER_FIT, fit_mapper
from vizer_core.vizer.train_rl import RlConfig, train_rl
from vizer_core.vizer.train_zero_label import VIZER_MICRO, train_zero_label
from vizer_core.vlm.protocol import VisionLanguageModel

MEASURED = 64  # images of which captions are drawn to measure the KL from the base
Sizes = tuple[float, int, int | None]  # learning rate, images a step, images at once


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
        raise ValueError(f"{count} pictures are too few to fit a mapper on: wanted at least 20")
    in_context = objective == "image_context"
    read, rule = (generated_states, Greedy()) if in_context else (read_back_states, Sample())
    job = {"vlm": vlm.fingerprint, "read": read.__name__,
           "pictures": _digest(names)}  # fmt: skip
    found = states_in_shards(
        lambda part, generator: read(vlm, part, decoding=rule, generator=generator),
        source, folder, job=job, rule=rule, seed=seed, size=SHARD,
    )  # fmt: skip
    shape = MapperConfig(found.states.shape[1], found.image_features.shape[1], layer_norm=True)
    config = replace(MAPPER_FIT, held_out=max(2, min(500, count // 5)))
    features = found.image_features.to(vlm.device)
    return fit_mapper(
        found.states.to(vlm.device), features, shape=shape, config=config, generator=seeded(seed)
    )


def _digest(names: Sequence[str]) -> str:
    """Return a digest of file names in 16 hex digits; they may be no UTF-8."""
    return sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()[:16]


def train(
    vlm: Any, source: Any, target: Target, sizes: Sizes,
    *, generator: torch.Generator, state: Path | None = None, progress: bool = False,
) -> Any:  # fmt: skip
    """Run phase 2; return its history."""
    rate, per_step, at_once = sizes
    wanted = {"learning_rate": rate, "images_per_step": per_step, "images_at_once": at_once}
    if target.reward is not None:
        return train_rl(
            vlm, source, target.reward, RlConfig(**wanted),
            generator=generator, checkpoint=state, progress=progress,
        )  # fmt: skip
    return train_zero_label(
        vlm, source, replace(VIZER_MICRO, **wanted), objective=target.loss, generator=generator,
        checkpoint=state, progress=progress,
    )  # fmt: skip


def curve_of(history: Any, target: Target) -> list[float]:
    """Return the losses: best - reward where there is a reward."""
    if target.reward is not None:
        return [target.best - reward for reward in history.reward]
    return history.loss


def kl_now(vlm: Any, source: VisionSource, at_once: int | None, *, seed: int) -> float:
    """Return KL(base || now) a caption token, in nats, of captions that the model draws now.

    What a step measures is from before it: after a single step that is no distance at all.
    """
    generator, total, tokens = seeded(seed), 0.0, 0
    count, size = min(MEASURED, len(source)), min(at_once or 16, 16)
    for start in range(0, count, size):
        vision = source.select(list(range(start, min(start + size, count))))
        with torch.no_grad():
            captions = vlm.generate(vision, decoding=Sample(), generator=generator)
            found = int(captions.mask.sum())
            total += found * float(Rollout(vlm, vision, captions, None).kl_from_base())
        tokens += found
    return total / max(tokens, 1)
