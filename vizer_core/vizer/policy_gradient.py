"""Policy gradients for captions: how a reward is asked, its advantage, and the loss of that.

b images, k captions each; r_ij is the reward of caption j of image i, m_i their mean.

================  ==============================  ===============================================
rloo              r_ij - mean of the others       leave-one-out: Kool et al. 2019; Ahmadian et
                                                  al. 2024 (2402.14740), section 3
scst              r_ij - r_i(greedy)              self-critical: Rennie et al. 2017 (1612.00563),
                                                  section 3.1; costs a greedy caption per image
group_mean        r_ij - m_i                      GRPO without its scale: "Dr. GRPO", Liu et al.
                                                  2025 (2503.20783)
grpo              (r_ij - m_i) / (s_i + 1e-4)     Shao et al. 2024 (2402.03300), section 4.1
================  ==============================  ===============================================

A CLIP reward spreads by .01 to .03 within an image. Dividing by that spread blows noise up to the
size of signal, image by image; `scaled_by_batch` divides by one number for the whole batch.
Tokens of a caption share its advantage, and `sequence_loss` is the unbiased estimate.

A reward is any function of images and captions that gives a score per caption. An object may say
two things more, a `name` and `for_step`; see `Reward`. Rewards themselves are in `rewards`,
`information`, `neighbours`.

`PolicyGradient` is what `train_adapter` takes: a reward, and the advantage that is made of it.
ViZer's baseline "RL" uses a reward model; algorithm, reward and settings are not stated. With
`rewards.ReadBackReward` it is the policy-gradient peer of ViZer: the same score, another gradient,
which tells the model WHICH words were good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vizer_core.decoding import Greedy, Sample
from vizer_core.vizer.adapter_run import TrainConfig
from vizer_core.vizer.rollout import LocalBatch, Rollout
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch, VisionLanguageModel

Advantage = Callable[..., Tensor]
EPSILON = 1e-4  # beside a spread, as in TRL

Rewards = Float[Tensor, "b k"]


@runtime_checkable
class Reward(Protocol):
    """Scores captions, higher is better: a function, or an object that may say two things more.

    `name` goes into results and manifests; the function's or class's name otherwise (`name_of`).
    `for_step(vision, batch)` is asked at each step by all processes together, and returns what
    scores this process's batch among the images of every process's; the reward itself otherwise
    (`reward_of_step`). A reward that contains others passes the question on to them.
    """

    def __call__(self, vision: VisionBatch, captions: CaptionBatch, /) -> Any:
        """Score m = b k captions of b images: m numbers, as a tensor, an array or a list."""


@runtime_checkable
class Gathering(Protocol):
    """One process's part of a step (`rollout.LocalBatch`): which images, and how rows join."""

    mine: range

    def gather(self, rows: Tensor) -> Tensor:
        """Join rows of every process, in the order of the step's images."""


def name_of(reward: Reward) -> str:
    """Return what a reward is called.

    >>> name_of(len), name_of(partial(len))
    ('len', 'len')
    """
    inner = reward.func if isinstance(reward, partial) else reward
    return str(getattr(inner, "name", None) or getattr(inner, "__name__", type(inner).__name__))


def reward_of_step(reward: Reward, vision: VisionBatch, batch: Gathering) -> Reward:
    """Return what scores a process's part of a step: what `for_step` says, or the reward itself.

    All processes must call this together.
    """
    ask = getattr(reward, "for_step", None)
    return ask(vision, batch) if ask else reward


def score_captions(
    reward: Reward, vision: VisionBatch, captions: CaptionBatch
) -> Float[Tensor, " m"]:
    """Ask a reward; what is not one finite number per caption is refused."""
    given, wanted = reward(vision, captions), "wanted one finite number per caption"
    try:
        scores = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name_of(reward)} gave {type(given).__name__}: {wanted}") from error
    finite = int(torch.isfinite(scores).sum())
    if scores.shape != (len(captions),) or finite < len(captions):
        raise ValueError(
            f"{name_of(reward)} gave scores {tuple(scores.shape)}, {finite} of them finite, for "
            f"{len(captions)} captions: {wanted}"
        )
    return scores if scores.is_floating_point() else scores.float()


def group_rewards(
    reward: Reward, vision: VisionBatch, captions: CaptionBatch
) -> Float[Tensor, "b k"]:
    """Score captions and lay them out one row per image; NaN and inf are refused."""
    return score_captions(reward, vision, captions).reshape(len(vision), -1)


def captions_an_image(vision: VisionBatch, captions: CaptionBatch) -> int:
    """Return k, or say that the captions do not divide over the images."""
    k = len(captions) // max(len(vision), 1)
    if not k or k * len(vision) != len(captions):
        raise ValueError(
            f"{len(captions)} captions for {len(vision)} images: wanted as many for each image, "
            "in the order A, A, B, B"
        )
    return k


def _require_group(rewards: Tensor) -> None:
    if rewards.shape[1] < 2:
        raise ValueError(
            f"got rewards {tuple(rewards.shape)}, one caption per image: a group baseline needs at "
            "least 2; draw more samples, or use scst with a greedy caption"
        )


def rloo(rewards: Rewards) -> Rewards:
    """Subtract from each reward the mean of the other captions' of its image.

    >>> import torch
    >>> rloo(torch.tensor([[1.0, 2.0, 6.0]]))
    tensor([[-3.0000, -1.5000,  4.5000]])
    """
    _require_group(rewards)
    k = rewards.shape[1]
    return (rewards - rewards.mean(dim=1, keepdim=True)) * (k / (k - 1))


def scst(rewards: Rewards, greedy: Float[Tensor, " g"]) -> Rewards:
    """Subtract from each reward that of its image's greedy caption.

    >>> import torch
    >>> scst(torch.tensor([[1.0, 3.0]]), torch.tensor([2.0]))
    tensor([[-1.,  1.]])
    """
    if len(greedy) != len(rewards):
        raise ValueError(
            f"got {len(greedy)} greedy rewards for {len(rewards)} images: wanted one per image"
        )
    return rewards - greedy[:, None]


def group_mean(rewards: Rewards) -> Rewards:
    """Subtract from each reward the mean of its image's, its own included.

    >>> import torch
    >>> group_mean(torch.tensor([[1.0, 2.0, 6.0]]))
    tensor([[-2., -1.,  3.]])
    """
    _require_group(rewards)
    return rewards - rewards.mean(dim=1, keepdim=True)


def grpo(rewards: Rewards) -> Rewards:
    """Subtract the mean of the image's rewards and divide by their standard deviation.

    >>> import torch
    >>> grpo(torch.tensor([[1.0, 2.0, 3.0]])).round(decimals=3)
    tensor([[-1.,  0.,  1.]])
    """
    return group_mean(rewards) / (rewards.std(dim=1, keepdim=True) + EPSILON)


def scaled_by_batch(advantages: Rewards) -> Rewards:
    """Divide all advantages by their standard deviation over the whole batch.

    >>> import torch
    >>> scaled_by_batch(torch.tensor([[-2.0, 2.0], [-1.0, 1.0]])).std().round(decimals=3)
    tensor(1.)
    """
    if advantages.numel() < 2:
        raise ValueError(f"got {advantages.numel()} advantages: a spread needs at least 2")
    return advantages / (advantages.std() + EPSILON)


def rloo_scaled(rewards: Rewards) -> Rewards:
    """Return leave-one-out advantages over their batch's spread: our default for training.

    >>> import torch
    >>> rloo_scaled(torch.tensor([[1.0, 2.0, 3.0]])).round(decimals=2)
    tensor([[-1.,  0.,  1.]])
    """
    return scaled_by_batch(rloo(rewards))


def _checked(log_probs: Tensor, mask: Tensor, advantages: Tensor) -> Tensor:
    """Return the masked log-probabilities; padding may contain anything, NaN included."""
    if log_probs.shape != mask.shape or len(advantages) != len(mask):
        raise ValueError(
            f"got log_probs {tuple(log_probs.shape)}, mask {tuple(mask.shape)} and "
            f"{len(advantages)} advantages: wanted one mask entry per token, "
            "one advantage per caption"
        )
    if not bool(mask.any(dim=1).all()):
        empty = int((~mask.any(dim=1)).sum())
        raise ValueError(
            f"{empty} of {len(mask)} captions have no token: even an empty caption has its EOS"
        )
    return log_probs.masked_fill(~mask, 0.0)


def sequence_loss(
    log_probs: Float[Tensor, "m t"], mask: Bool[Tensor, "n s"], advantages: Float[Tensor, " c"]
) -> Float[Tensor, ""]:
    """Return -mean of advantage times the caption's log-probability (REINFORCE, RLOO).

    >>> import torch
    >>> log_probs = torch.tensor([[-1.0, -2.0], [-4.0, 0.0]])
    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> sequence_loss(log_probs, mask, torch.tensor([1.0, -1.0]))
    tensor(-0.5000)
    """
    sums = _checked(log_probs, mask, advantages).sum(dim=1)
    return -(advantages.detach() * sums).mean()


@dataclass(frozen=True, eq=False)
class Judged:
    """What the captions of a local batch earned, and how much better that is than the baseline."""

    rewards: Float[Tensor, "b k"]
    advantages: Float[Tensor, "b k"]


@dataclass(frozen=True, eq=False)
class PolicyGradient:
    """Raise a reward: make captions that earned more than others of their image likelier.

    `reward` is any function of a `VisionBatch` and a `CaptionBatch` that gives a score per caption;
    `advantage` is one of the formulas above. With `scst` an image's greedy caption is the baseline.
    """

    reward: Reward
    advantage: Advantage = rloo_scaled

    @property
    def metadata(self) -> dict[str, Any]:
        """What a run that is resumed must have in common with the one that was stopped."""
        return {"reward": name_of(self.reward), "advantage": name_of(self.advantage)}

    def require(self, config: TrainConfig) -> None:
        """Raise `ValueError` where captions would not be drawn from the policy itself."""
        rule = config.decoding
        if not isinstance(rule, Sample) or rule.top_p < 1:
            raise ValueError(
                f"decoding is {rule}: captions would not be drawn from the policy whose gradient "
                "is taken; use Sample(top_p=1.0)"
            )

    @torch.no_grad()
    def judge(self, vlm: VisionLanguageModel, batch: LocalBatch, config: TrainConfig) -> Judged:
        """Score the captions of a local batch; its images stand among those of all processes."""
        reward = reward_of_step(self.reward, batch.vision, batch)
        rewards = group_rewards(reward, batch.vision, batch.captions).to(vlm.device)
        if self.advantage is scst:
            rule = Greedy(max_tokens=config.decoding.max_tokens)
            greedy = vlm.generate(batch.vision, decoding=rule, prompt=config.prompt)
            baseline = group_rewards(reward, batch.vision, greedy)[:, 0].to(rewards)
            return Judged(rewards, scst(rewards, baseline))
        everyone = self.advantage(batch.gather(rewards))  # statistics are those of the step
        return Judged(rewards, everyone[batch.mine.start : batch.mine.stop])

    def __call__(self, rollout: Rollout) -> Float[Tensor, ""]:
        """Return -mean of advantage times log-probability, with gradient to LoRA."""
        if rollout.advantages is None:
            raise ValueError("the rollout has no advantages: give those that `judge` returned")
        return sequence_loss(rollout.log_probs, rollout.captions.mask, rollout.advantages)
