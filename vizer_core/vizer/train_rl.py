"""Train a vision-language model's LoRA by policy gradient on a reward that needs no caption.

ViZer's baseline "RL" uses a reward model; algorithm, reward and settings are not stated. Here the
reward is an argument (`vizer_core.vizer.rewards`), the advantage too (`advantages`), and the rest
is as in phase 2: LoRA on the language model, AdamW, weight decay 0.01, one pass over the images.

A step, with what it costs:

1  vision, frozen, once; the model writes k captions an image at T = 1, without gradient, the
   prompt run once an image
2  rewards, then advantages; for scst one greedy caption an image more
3  the same tokens go through the model again, with gradient, the k captions of an image reading
   one run over its prompt; the LM head is applied at caption tokens only
4  -mean of advantage times log-probability; KL(base || now) is watched at every step, and joins
   the loss where `kl_weight` says so
5  clip, warm up, step

Unlike `train_zero_label` this tells the model WHICH words were good. With `rewards.ReadBackReward`
it is the policy-gradient peer of ViZer: the same score, another gradient. The control of any run
is the same call on `targets.shuffled(source, generator=...)`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.decoding import Greedy, Sample
from vizer_core.processes import gather_items, sum_over_processes
from vizer_core.vizer.adapter_run import AdapterRun
from vizer_core.vizer.advantages import rloo_scaled, scst, sequence_loss
from vizer_core.vizer.readings import Rollout
from vizer_core.vizer.rewards import Reward, name_of, reward_of_step, score_captions
from vizer_core.vizer.step_part import StepPart, write_part
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm.likelihood import log_probs_of
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel

Advantage = Callable[..., Tensor]


@dataclass(frozen=True)
class RlConfig:
    """How a policy is trained; the number of steps is that of the images over `images_per_step`.

    `advantage` is a function of `advantages`; given `scst`, a greedy caption is the baseline.
    `images_at_once` is `ZeroLabelConfig`'s. Of several processes each rewards its own images; a
    reward with `for_step`, as self-retrieval, compares them with those of the whole step.
    """

    learning_rate: float = 2e-4
    images_per_step: int = 32
    samples: int = 4
    advantage: Advantage = rloo_scaled
    weight_decay: float = 0.01
    warmup_steps: int = 5
    clip_norm: float = 1.0
    decoding: Sample = field(default_factory=Sample)
    prompt: str | None = None
    kl_weight: float = 0.0
    max_kl: float = float("inf")  # stop when KL(base || now) passes this
    save_every: int = 5
    images_at_once: int | None = None
    epochs: ClassVar[int] = 1  # each image is seen once

    def __post_init__(self) -> None:
        counts = (self.images_per_step, self.samples, self.save_every, self.images_at_once or 1)
        if min(counts) < 1 or self.warmup_steps < 0:
            raise ValueError(f"wanted at least 1 image, 1 sample and no negative count, got {self}")
        if not self.learning_rate > 0 or not self.clip_norm > 0 or self.kl_weight < 0:
            raise ValueError(f"wanted a positive rate and clip, kl_weight >= 0, got {self}")
        if self.decoding.top_p < 1:
            raise ValueError(
                f"top_p is {self.decoding.top_p}: captions would not be drawn from the policy "
                "whose gradient is taken; use Sample(top_p=1.0)"
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values, for a manifest; the advantage by name."""
        limit = self.max_kl if self.max_kl < float("inf") else None
        rule = {"rule": type(self.decoding).__name__} | asdict(self.decoding)
        plain = {key: value for key, value in asdict(self).items() if key != "images_at_once"}
        return plain | {
            "advantage": self.advantage.__name__,
            "decoding": rule,
            "max_kl": limit,
        }


@dataclass
class RlHistory:
    """What happened, one entry a step; `stopped` says why a run ended before its last image.

    `spread` is the mean standard deviation of rewards within an image: without it there is
    nothing to learn from. `top1` is the share of the step's commonest caption.
    """

    reward: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    length: list[float] = field(default_factory=list)
    top1: list[float] = field(default_factory=list)
    stopped: str | None = None


def train_rl(
    vlm: VisionLanguageModel,
    source: VisionSource,
    reward: Reward,
    config: RlConfig,
    *,
    generator: torch.Generator,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> RlHistory:
    """Train the adapter that `vlm` carries on the images of `source`; return what happened.

    `reward` is any function of a `VisionBatch` and a `CaptionBatch` that gives a score a caption.
    With a `checkpoint` the run saves itself every `save_every` steps and, called again with the
    same seed, goes on to the same end.
    """
    facts = {
        "source": type(source).__name__,
        "reward": name_of(reward),
        "config": config.to_dict(),
    }
    run = AdapterRun.open(
        vlm,
        config,
        RlHistory(),
        facts=facts,
        source=source,
        generator=generator,
        checkpoint=checkpoint,
    )
    with run.kept_when_stopped():
        for step, places in run.steps(progress=progress):
            # 1 vision once, k captions an image
            part = write_part(
                source,
                places,
                lambda vision: write_samples(vlm, vision, config, generator=generator),
                rule=config.decoding,
                samples=config.samples,
                generator=generator,
            )
            # 2 rewards and advantages
            with torch.no_grad():
                judge = reward_of_step(reward, part.vision, part)
                rewards = group_rewards(judge, part.vision, part.captions).to(vlm.device)
                advantages = _advantages(rewards, vlm, part, judge, config)
            # 3 read again with gradient, 4 loss and distance from the base, 5 clip, warm up, step
            kl = [0.0]
            norm = run.descend(_losses(vlm, part, advantages, config, kl=kl), step)
            _write_down(run.history, part, rewards, kl=kl[0], norm=norm)
            run.shown.update(reward=f"{run.history.reward[-1]:.3f}", kl=f"{run.history.kl[-1]:.2f}")
            run.close_step(step, kl=run.history.kl[-1])
    return run.history


def _losses(
    vlm: VisionLanguageModel,
    part: StepPart,
    advantages: Float[Tensor, "b k"],
    config: RlConfig,
    *,
    kl: list[float],
) -> Iterator[Tensor]:
    """Yield the loss of each piece, weighted; the KL's value adds up in `kl`."""
    for piece in part.pieces(config.images_at_once):
        rollout = Rollout(vlm, piece.vision, piece.captions, config.prompt)
        log_probs = caption_log_probs(rollout, temperature=config.decoding.temperature)
        own = advantages[piece.images.start : piece.images.stop]
        loss = piece.image_weight * sequence_loss(log_probs, piece.captions.mask, own.flatten())
        with torch.set_grad_enabled(config.kl_weight > 0):
            distance = rollout.kl_from_base()
        kl[0] += piece.token_weight * float(distance.detach())
        yield loss + config.kl_weight * piece.token_weight * distance


def write_samples(
    vlm: VisionLanguageModel,
    vision: VisionBatch,
    config: RlConfig,
    *,
    generator: torch.Generator,
) -> CaptionBatch:
    """Draw k captions an image from the policy, in the order A, A, B, B."""
    return vlm.generate(
        vision,
        decoding=config.decoding,
        samples=config.samples,
        prompt=config.prompt,
        generator=generator,
    )


def group_rewards(
    reward: Reward, vision: VisionBatch, captions: CaptionBatch
) -> Float[Tensor, "b k"]:
    """Score captions and lay them out one row an image; NaN and inf are refused."""
    return score_captions(reward, vision, captions).reshape(len(vision), -1)


def caption_log_probs(rollout: Rollout, *, temperature: float = 1.0) -> Float[Tensor, "m t"]:
    """Return the log-probability of each caption token, 0 at padding; gradient reaches LoRA.

    Only caption tokens pass the LM head. Divide by the temperature that they were drawn at.
    """
    return log_probs_of(rollout.logits, rollout.captions, temperature=temperature)


def _advantages(
    rewards: Float[Tensor, "b k"],
    vlm: VisionLanguageModel,
    part: StepPart,
    reward: Reward,
    config: RlConfig,
) -> Float[Tensor, "b k"]:
    """Return the advantages of this process's captions; batch statistics are those of the step."""
    if config.advantage is not scst:
        everyone = config.advantage(part.gather(rewards))
        return everyone[part.mine.start : part.mine.stop]
    rule = Greedy(max_tokens=config.decoding.max_tokens)
    greedy = vlm.generate(part.vision, decoding=rule, prompt=config.prompt)
    return scst(rewards, group_rewards(reward, part.vision, greedy)[:, 0].to(rewards))


def _write_down(
    history: RlHistory, part: StepPart, rewards: Tensor, *, kl: float, norm: float
) -> None:
    everyone = part.gather(rewards)
    texts = gather_items([] if part.idle else part.captions.texts)
    history.reward.append(float(everyone.mean()))
    history.spread.append(float(everyone.std(dim=1, correction=0).mean()))
    history.kl.append(float(sum_over_processes(torch.tensor([kl], dtype=torch.float64))[0]))
    history.gradient_norm.append(norm)
    history.length.append(float(part.gather(part.captions.mask.sum(dim=1).float()).mean()))
    history.top1.append(Counter(texts).most_common(1)[0][1] / len(texts))
