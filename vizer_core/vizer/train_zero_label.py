"""ViZer phase 2: train a vision-language model's LoRA on images without a label.

ViZer sections 3 and 4: the mapper is frozen, LoRA sits on the language model, the loss is
L_zero = 1 - cos(F_I, F^_T) on the model's own captions; AdamW, weight decay 0.01, 1 epoch.

A step, with what it costs:

1  vision, frozen, once: F_I for the target and the embeddings that the LM reads
2  the model writes a caption an image, without gradient
3  the same tokens go through the model again, with gradient; the LM head is not applied
4  the loss of `vizer_core.vizer.readings`, and where asked the distance from the base model
5  clip, warm up, step

Where we differ: learning rate, batch, warm-up, clipping and decoding are not stated; the anchor
KL(base || now) is ours and off in both settings. The control of any result is the same call on
`shuffled(source, generator=...)`, or with `random_mapper` in the objective.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vizer_core.decoding import Decoding, Sample
from vizer_core.processes import sum_over_processes
from vizer_core.vizer.adapter_run import AdapterRun
from vizer_core.vizer.readings import Objective, Rollout
from vizer_core.vizer.step_part import StepPart, write_part
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm.protocol import VisionLanguageModel


@dataclass(frozen=True)
class ZeroLabelConfig:
    """How phase 2 is run. A `kl_every` of 0 never measures the distance from the base model.

    `images_at_once` goes through with gradient at once and the rest of the step after it (gradient
    accumulation): less memory, the same step but for rounding. A run's identity leaves it out.
    """

    learning_rate: float
    images_per_step: int = 32
    epochs: int = 1  # "Both the mapper and the VLM are trained for 1 epoch each"
    weight_decay: float = 0.01  # "AdamW optimizer with weight decay of 0.01"
    warmup_steps: int = 5
    clip_norm: float = 1.0
    decoding: Decoding = field(default_factory=Sample)
    prompt: str | None = None
    kl_weight: float = 0.0
    kl_every: int = 10
    max_kl: float = float("inf")  # stop when KL(base || now) passes this
    save_every: int = 20
    images_at_once: int | None = None

    def __post_init__(self) -> None:
        counts = (self.images_per_step, self.epochs, self.save_every, self.images_at_once or 1)
        if min(counts) < 1 or self.warmup_steps < 0 or self.kl_every < 0:
            raise ValueError(
                f"wanted at least 1 image a step, 1 epoch and no negative count, got {self}"
            )
        if not self.learning_rate > 0 or not self.clip_norm > 0 or self.kl_weight < 0:
            raise ValueError(
                f"wanted a positive learning rate and clip, kl_weight >= 0, got {self}"
            )
        if self.max_kl < float("inf") and not (self.kl_every or self.kl_weight):
            raise ValueError(f"max_kl={self.max_kl} needs kl_every > 0: nothing would measure it")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values, for a manifest."""
        rule = {"rule": type(self.decoding).__name__} | asdict(self.decoding)
        limit = self.max_kl if self.max_kl < float("inf") else None
        plain = {key: value for key, value in asdict(self).items() if key != "images_at_once"}
        return plain | {"decoding": rule, "max_kl": limit}


VIZER_PAPER = ZeroLabelConfig(learning_rate=1e-4, images_per_step=8, decoding=Sample(max_tokens=32))
VIZER_MICRO = ZeroLabelConfig(learning_rate=2e-4, images_per_step=32)


@dataclass
class ZeroLabelHistory:
    """What happened, one entry a step; `kl` and `stopped` are None where there is nothing to say.

    `stopped` says why a run ended before its last image.
    """

    loss: list[float] = field(default_factory=list)
    kl: list[float | None] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    length: list[float] = field(default_factory=list)
    stopped: str | None = None


def train_zero_label(
    vlm: VisionLanguageModel,
    source: VisionSource,
    config: ZeroLabelConfig,
    *,
    objective: Objective,
    generator: torch.Generator,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> ZeroLabelHistory:
    """Train the adapter that `vlm` carries on the images of `source`; return what happened.

    `source` is a `VisionBatch` computed before, or an `ImageSource` that encodes each image when
    its turn comes; both give the same run. With a `checkpoint` the run saves itself every
    `save_every` steps and, called again with the same seed, goes on to the same end.
    """
    facts = {
        "config": config.to_dict(),
        "objective": type(objective).__name__,
        "mapper": dict(objective.fitted.made_by),
    }
    run = AdapterRun.open(
        vlm,
        config,
        ZeroLabelHistory(),
        facts=facts,
        source=source,
        generator=generator,
        checkpoint=checkpoint,
    )
    with run.kept_when_stopped():
        for step, places in run.steps(progress=progress):
            # 1 vision once, 2 write without gradient
            part = write_part(
                source,
                places,
                lambda vision: vlm.generate(
                    vision, decoding=config.decoding, prompt=config.prompt, generator=generator
                ),
                rule=config.decoding,
                generator=generator,
            )
            # 3 read again with gradient, 4 the loss and, where asked, the anchor, 5 clip, step
            seen = _Seen()
            norm = run.descend(_losses(vlm, part, config, objective, step=step, seen=seen), step)
            _write_down(run.history, part, seen, config=config, norm=norm, step=step)
            run.shown["loss"] = f"{run.history.loss[-1]:.3f}"
            run.close_step(step, kl=run.history.kl[-1])
    return run.history


@dataclass
class _Seen:
    """The step's loss and KL as they add up."""

    loss: float = 0.0
    kl: float = 0.0


def _losses(
    vlm: VisionLanguageModel,
    part: StepPart,
    config: ZeroLabelConfig,
    objective: Objective,
    *,
    step: int,
    seen: _Seen,
) -> Iterator[Tensor]:
    """Yield the loss of each piece, weighted; the anchor is added, or measured alone."""
    for piece in part.pieces(config.images_at_once):
        rollout = Rollout(vlm, piece.vision, piece.captions, config.prompt)
        loss = objective(rollout)
        seen.loss += piece.image_weight * float(loss.detach())
        total = piece.image_weight * loss
        if config.kl_weight:
            kl = rollout.kl_from_base()
            total = total + config.kl_weight * piece.token_weight * kl
            seen.kl += piece.token_weight * float(kl.detach())
        elif _is_watched(config, step):
            with torch.no_grad():
                seen.kl += piece.token_weight * float(rollout.kl_from_base())
        yield total


def _is_watched(config: ZeroLabelConfig, step: int) -> bool:
    """Say whether the distance from the base is known after this step."""
    return bool(config.kl_weight or (config.kl_every and step % config.kl_every == 0))


def _write_down(
    history: ZeroLabelHistory,
    part: StepPart,
    seen: _Seen,
    *,
    config: ZeroLabelConfig,
    norm: float,
    step: int,
) -> None:
    loss, kl = sum_over_processes(torch.tensor([seen.loss, seen.kl], dtype=torch.float64)).tolist()
    lengths = part.gather(part.captions.mask.sum(dim=1).float())
    history.loss.append(loss)
    history.kl.append(kl if _is_watched(config, step) else None)
    history.gradient_norm.append(norm)
    history.length.append(float(lengths.mean()))
