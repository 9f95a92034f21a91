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

import logging
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from tqdm.auto import tqdm

from vizer_core.decoding import Decoding, Sample
from vizer_core.vizer.checkpoint import Run, load_run, save_run
from vizer_core.vizer.lora import lora_parameters
from vizer_core.vizer.readings import Objective, Rollout
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm.protocol import VisionLanguageModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ZeroLabelConfig:
    """How phase 2 is run. A `kl_every` of 0 never measures the distance from the base model."""

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

    def __post_init__(self) -> None:
        counts = (self.images_per_step, self.epochs, self.save_every)
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
        return asdict(self) | {"decoding": rule, "max_kl": limit}


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
    parameters = lora_parameters(vlm)
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    batches = _batches(len(source), config, generator)
    history = ZeroLabelHistory()
    made_by = _identity(vlm, config, objective, batches)
    run = load_run(checkpoint, made_by) if checkpoint else None
    if run:
        run.restore(parameters, optimizer, generator=generator)
        history = ZeroLabelHistory(**run.record["history"])
    vlm.model.eval()  # no dropout: the caption that is read must be the one that was written
    done = len(history.loss)
    todo = [] if history.stopped else batches[done:]
    bar = tqdm(todo, initial=done, total=len(batches), disable=not progress)
    for step, places in enumerate(bar, start=done):
        # 1 vision once, 2 write without gradient
        with torch.no_grad():
            vision = source.select(places)
            captions = vlm.generate(
                vision, decoding=config.decoding, prompt=config.prompt, generator=generator
            )
        # 3 read again with gradient, 4 the loss and, where asked, the anchor
        rollout = Rollout(vlm, vision, captions, config.prompt)
        loss = objective(rollout)
        total, kl = _anchored(loss, rollout, config, step)
        # 5 clip, warm up, step
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), config.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, (step + 1) / (config.warmup_steps + 1))
        optimizer.step()
        _write_down(history, loss=loss, kl=kl, norm=norm, mask=captions.mask)
        bar.set_postfix(loss=f"{history.loss[-1]:.3f}")
        if kl is not None and kl > config.max_kl:
            history.stopped = f"KL {kl:.2f} > {config.max_kl:g} after step {step + 1}"
            logger.warning("stopped early: %s", history.stopped)
        last = step + 1 == len(batches) or history.stopped is not None
        if checkpoint and (last or (step + 1) % config.save_every == 0):
            record = {"made_by": made_by, "history": asdict(history)}
            save_run(checkpoint, Run.capture(parameters, optimizer, record, generator=generator))
        if history.stopped is not None:
            break
    return history


def _anchored(
    loss: Tensor, rollout: Rollout, config: ZeroLabelConfig, step: int
) -> tuple[Tensor, float | None]:
    """Add the anchor to the loss; measure it alone where it is only watched."""
    if config.kl_weight:
        kl = rollout.kl_from_base()
        return loss + config.kl_weight * kl, float(kl.detach())
    if config.kl_every and step % config.kl_every == 0:
        with torch.no_grad():
            return loss, float(rollout.kl_from_base())
    return loss, None


def _write_down(
    history: ZeroLabelHistory, *, loss: Tensor, kl: float | None, norm: Tensor, mask: Tensor
) -> None:
    if not bool(torch.isfinite(norm)):
        raise ValueError(
            f"step {len(history.loss) + 1}: loss {float(loss.detach())}, gradient norm "
            f"{float(norm)}. Lower the learning rate, or look for NaN in the image features."
        )
    history.loss.append(float(loss.detach()))
    history.kl.append(kl)
    history.gradient_norm.append(float(norm))
    history.length.append(float(mask.sum(dim=1).float().mean()))


def _batches(count: int, config: ZeroLabelConfig, generator: torch.Generator) -> list[list[int]]:
    """Deal the images into steps, anew each epoch, before anything else is drawn."""
    if not count:
        raise ValueError("the source holds no image: there is nothing to train on")
    batches: list[list[int]] = []
    for _ in range(config.epochs):
        dealt: Int[Tensor, " n"] = torch.randperm(count, generator=generator)
        batches += [part.tolist() for part in dealt.split(config.images_per_step)]
    return batches


def _identity(
    vlm: VisionLanguageModel,
    config: ZeroLabelConfig,
    objective: Objective,
    batches: list[list[int]],
) -> dict[str, Any]:
    """Say which run this is, so that a checkpoint of another one is refused."""
    adapter = vlm.model.peft_config["default"]
    return {
        "vlm": vlm.fingerprint,
        "config": config.to_dict(),
        "objective": type(objective).__name__,
        "mapper": dict(objective.fitted.made_by),
        "lora": {"rank": adapter.r, "alpha": adapter.lora_alpha},
        "order": sha256(str(batches).encode()).hexdigest()[:16],
    }
