"""Train a vision-language model's LoRA on images without a label: the one loop, by any objective.

ViZer sections 3 and 4: the vision tower is frozen, LoRA sits on the language model, the model's own
captions are all the text there is. `train_adapter` takes an objective of one of three kinds:

==================  ============================================================================
a loss              of a `Rollout`: ViZer's L_zero = 1 - cos(F_I, F^_T) in the forms of `objectives`
`PolicyGradient`    of a reward (`rewards`) and an advantage; a plain function of
                    images and captions that gives scores is taken as the reward
a loss with its     `self_training`: the frozen base captions the step's images in some chosen way,
captions            and the adapter learns that; no gradient of a score
==================  ============================================================================

A step, with what it costs:

1  vision, frozen, once; the model (or a `Teacher`) captions its images, `samples` captions each,
   without gradient, the prompt run once an image
2  a policy gradient only: rewards and advantages; for scst one greedy caption per image more
3  the same tokens go through the model again, with gradient, the captions of an image reading one
   run over its prompt; the loss, and the distance from the base model: in the loss where
   `kl_weight` says so, looked at every `kl_every` steps otherwise. The LM head is applied at
   caption tokens, and only where something needs it
4  sum over processes, clip, warm up, step
5  write down what happened
6  stop where the model is too far from its base; save

Several processes (`torchrun`) take the same steps: each has its `LocalBatch` of a step's images.
The control of any run is the same call on `targets.shuffled(source, generator=...)`, or, of a loss,
with `random_mapper`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vizer_core.distributed import gather_items, sum_gradients, sum_over_processes
from vizer_core.vizer.adapter_run import AdapterRun, TrainConfig, TrainHistory
from vizer_core.vizer.objectives import Objective
from vizer_core.vizer.policy_gradient import Judged, PolicyGradient, Reward
from vizer_core.vizer.read_ahead import read_ahead
from vizer_core.vizer.rollout import (
    LocalBatch,
    MicroBatch,
    Rollout,
    Teacher,
    local_indices,
    sample_local_batch,
)
from vizer_core.vizer.targets import Shuffled, VisionSource
from vizer_core.vlm.protocol import VisionLanguageModel

Watcher = Callable[[AdapterRun, int], None]  # of a run and the step that it has just taken


def train_adapter(
    vlm: VisionLanguageModel,
    source: VisionSource,
    objective: Objective | PolicyGradient | Reward,
    config: TrainConfig,
    *,
    generator: torch.Generator,
    checkpoint: Path | None = None,
    progress: bool | Watcher = False,
) -> TrainHistory:
    """Train the adapter that `vlm` carries on the images of `source`; return what happened.

    `source` is a `VisionBatch` computed before, or an `ImageSource` that encodes each image when
    its turn comes; both give the same run. `config` is one of `adapter_run`: VIZER_PAPER or
    VIZER_SMALL for a loss, POLICY_GRADIENT for a reward. With a `checkpoint` the run saves itself
    every `save_every` steps and, called again with the same seed, goes on to the same end.
    `progress` shows a bar; or it is a function that is asked after each step, before the step is
    saved, and that may set `run.history.stopped`, which ends the run.
    """
    objective = as_objective(objective)
    if isinstance(objective, PolicyGradient):
        objective.require(config)
    teacher = objective if isinstance(objective, Teacher) else None
    run = AdapterRun.open(
        vlm,
        config,
        metadata=_metadata(source, objective, config),
        source=source,
        generator=generator,
        checkpoint=checkpoint,
    )
    coming = [local_indices(indices) for indices in run.left]
    with run.kept_when_stopped(), read_ahead(source, coming) as ahead:
        for step, indices in run.steps(progress=progress is True):
            # 1 sample: vision once, the next step's images prepared; captions without gradient
            batch = sample_local_batch(
                vlm, ahead, indices, config, generator=generator, teacher=teacher
            )
            # 2 reward and advantage
            judged = None
            if isinstance(objective, PolicyGradient):
                judged = objective.judge(vlm, batch, config)
            # 3 read again with gradient, a micro-batch at a time; their gradients add up
            run.optimizer.zero_grad(set_to_none=True)
            seen = _Seen()
            for part in batch.micro_batches(config.micro_batch_size):
                loss, kl = _loss_and_kl(vlm, part, objective, config, step=step, judged=judged)
                total = part.image_weight * loss + config.kl_weight * part.token_weight * kl
                run.scaler.scale(total).backward()
                seen.loss += part.image_weight * float(loss.detach())
                seen.kl += part.token_weight * float(kl.detach())
            # 4 sum over processes, clip, warm up, step
            seen.norm = clip_and_step(run, step, loss=seen.loss + config.kl_weight * seen.kl)
            # 5 record
            _record(run, step, batch, seen, judged=judged)
            # 6 stop where it is too far from its base; save
            if callable(progress):
                progress(run, step)
            run.close_step(step)
    return run.history


def as_objective(given: Any) -> Any:
    """Return a loss or a `PolicyGradient` as it is, and a reward as the policy gradient of it.

    What needs one thing is a loss of a rollout; a reward reads images and captions.

    >>> as_objective(lambda images, captions: [len(text) for text in captions.texts]).metadata
    {'reward': '<lambda>', 'advantage': 'rloo_scaled'}
    """
    if isinstance(given, PolicyGradient):
        return given
    plain = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    asked = [p for p in signature(given).parameters.values() if p.kind in plain]
    is_loss = sum(p.default is p.empty for p in asked) == 1
    return given if is_loss else PolicyGradient(given)


def _metadata(source: VisionSource, objective: Any, config: TrainConfig) -> dict[str, Any]:
    """Return what a run that goes on must have in common with the one that was stopped."""
    metadata = {
        "source": "shuffled" if isinstance(source, Shuffled) else "its own targets",
        "config": config.to_dict(),
    }
    if isinstance(objective, PolicyGradient):
        return metadata | objective.metadata
    fitted = getattr(objective, "fitted", None)
    return (
        metadata
        | getattr(objective, "metadata", {})
        | {
            "objective": getattr(objective, "__name__", type(objective).__name__),
            "mapper": dict(fitted.metadata) if fitted else None,
        }
    )


@dataclass
class _Seen:
    """What this process measures in a step: its share of loss and KL, and the gradient's norm."""

    loss: float = 0.0
    kl: float = 0.0
    norm: float = 0.0


def _loss_and_kl(
    vlm: VisionLanguageModel,
    part: MicroBatch,
    objective: Any,
    config: TrainConfig,
    *,
    step: int,
    judged: Judged | None,
) -> tuple[Tensor, Tensor]:
    """Read captions again: return their loss, and the KL from the base, 0 where nobody asks.

    A function of its own, so that states and logits are gone before the next captions are drawn.
    """
    own = slice(part.images.start, part.images.stop)
    rollout = Rollout(
        vlm,
        part.vision,
        part.captions,
        config.prompt,
        temperature=getattr(config.decoding, "temperature", 1.0),
        advantages=None if judged is None else judged.advantages[own].flatten(),
    )
    loss = objective(rollout)
    if not config.measures_kl(step):
        return loss, loss.new_zeros(())
    with torch.set_grad_enabled(config.kl_weight > 0):
        return loss, rollout.kl_from_base()


def clip_and_step(run: AdapterRun, step: int, *, loss: float) -> float:
    """Take one AdamW step, its gradient clipped; return the gradient's norm before.

    The rate is that of `TrainConfig.rate_at`. A float16 base's gradients are scaled, and unscaled
    before they are clipped; a step that overflows is skipped. Elsewhere a gradient that is not
    finite raises `ValueError`.
    """
    sum_gradients(run.parameters.values())
    run.scaler.unscale_(run.optimizer)
    norm = torch.nn.utils.clip_grad_norm_(run.parameters.values(), run.config.clip_norm)
    if not bool(torch.isfinite(norm)) and not run.scaler.is_enabled():
        raise ValueError(
            f"step {step + 1}: loss {loss}, gradient norm {float(norm)}. "
            "Lower the learning rate, or look for NaN in the image features."
        )
    for group in run.optimizer.param_groups:
        group["lr"] = run.config.rate_at(step, len(run.batches))
    run.scaler.step(run.optimizer)
    run.scaler.update()
    return float(norm)


def _record(
    run: AdapterRun, step: int, batch: LocalBatch, seen: _Seen, *, judged: Judged | None
) -> None:
    """Write down a step; numbers are those of all processes together."""
    history = run.history
    loss, kl = sum_over_processes(torch.tensor([seen.loss, seen.kl], dtype=torch.float64)).tolist()
    history.loss.append(loss)
    history.kl.append(kl if run.config.measures_kl(step) else None)
    history.gradient_norm.append(seen.norm)
    history.length.append(float(batch.gather(batch.captions.mask.sum(dim=1).float()).mean()))
    texts = gather_items([] if batch.idle else batch.captions.texts)
    history.top1.append(Counter(texts).most_common(1)[0][1] / len(texts))
    if judged is None:
        run.shown["loss"] = f"{loss:.3f}"
    else:
        rewards = batch.gather(judged.rewards)
        history.reward.append(float(rewards.mean()))
        history.spread.append(float(rewards.std(dim=1, correction=0).mean()))
        run.shown["reward"] = f"{history.reward[-1]:.3f}"
    if history.kl[-1] is not None:
        run.shown["kl"] = f"{kl:.2f}"
