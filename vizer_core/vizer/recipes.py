"""Recipes: the settings of a training, by where they come from and by the model's size.

============  =================================================================================
`objective`   as each objective was tried on the drawn worlds (`named_objectives`), models of
              about a million parameters: high constant rates, no ceiling on the distance
`paper`       ViZer, section 4: AdamW, weight decay 0.01, one epoch, LoRA of rank 32 and alpha
              64; rate, batch and length are ours, for the paper does not state them
`trl`         TRL's own example of RLOO on SmolVLM2-2.2B with LoRA (examples/scripts/rloo_vlm.py
              and its defaults): rate 1e-5, linear decay, two captions per image (an
              objective's four stay four), rank 16 on queries and values. Its KL is a part of
              the reward, here of the loss
`sized`       ours: rate by the number of parameters, warm-up, linear decay, a ceiling on KL
`auto`        `objective` up to 50 million parameters, `sized` above
============  =================================================================================

Why these: a rate that suits a million parameters ruins two billion, since larger models move
further at the same rate. Rates of losses are those that `improve` uses. A policy gradient's
gradient is noise for the most part, so its rates fall faster, down to TRL's 1e-5. Decay, because
the last steps of a constant rate undo each other. The ceiling stops a run whose captions have left
the model's language: 1.5 nats per token where it learns single captions, which alone makes it
surer, 0.5 where it learns from a reward. None of this has been tuned on a large model: no GPU was
at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from vizer_core.decoding import Sample
from vizer_core.vizer.adapter_run import VIZER_PAPER, TrainConfig
from vizer_core.vizer.lora import VIZER_LORA, LoraSettings
from vizer_core.vizer.named_objectives import BY_REWARD, config_of
from vizer_core.vizer.policy_gradient import PolicyGradient
from vizer_core.vizer.train import as_objective

RECIPES = ("auto", "objective", "paper", "trl", "sized")
SMALL = 50e6  # parameters, up to which models are like the drawn ones
RATES = ((SMALL, 5e-4), (1e9, 2e-4), (float("inf"), 1e-4))  # by parameters, up to each
REWARD_RATES = ((SMALL, 5e-4), (1e9, 5e-5), (float("inf"), 1e-5))  # the last is TRL's
MAX_KL, REWARD_MAX_KL = 1.5, 0.5  # nats per token, base to new
WARM = 0.05  # of the steps, at least five
TRL = {
    "learning_rate": 1e-5,
    "weight_decay": 0.0,
    "warmup_steps": 0,
    "decay": "linear",
    "samples": 2,
    "kl_weight": 0.05,
}
TRL_LORA = LoraSettings(rank=16, alpha=32, projections=("q_proj", "v_proj"))
LORA_NAMES = {"rank": "rank", "alpha": "alpha", "targets": "projections"}


@dataclass(frozen=True)
class Recipe:
    """What a training is to be: the settings of its steps, and its LoRA."""

    name: str
    config: TrainConfig
    lora: LoraSettings = VIZER_LORA

    def say(self) -> str:
        """Say in a line what was chosen.

        >>> Recipe("paper", VIZER_PAPER).say()
        'recipe paper: rate 0.0001, decay none, 8 images per step x 1, 1 epoch, LoRA 32/64'
        """
        config, lora = self.config, self.lora
        epochs = f"{config.epochs} epoch" + "s" * (config.epochs > 1)
        line = f"recipe {self.name}: rate {config.learning_rate:g}, decay {config.decay}, "
        line += f"{config.images_per_step} images per step x {config.samples}, {epochs}, "
        line += f"LoRA {lora.rank}/{lora.alpha}"
        return line + (f", KL at most {config.max_kl:g}" if config.max_kl < float("inf") else "")


def learning_rate_for(parameters: int, *, reward: bool = False) -> float:
    """Return the learning rate by size of model: larger models move further at the same rate.

    >>> [learning_rate_for(count) for count in (1_000_000, 256_000_000, 2_200_000_000)]
    [0.0005, 0.0002, 0.0001]
    >>> learning_rate_for(2_200_000_000, reward=True)
    1e-05
    """
    return next(rate for most, rate in (REWARD_RATES if reward else RATES) if parameters <= most)


def parameters_of(vlm: Any) -> int:
    """Count a model's own parameters, without an adapter; one in four bits takes half a byte."""
    named = [(n, w) for n, w in vlm.base.named_parameters() if ".lora_" not in n]
    return sum(w.numel() * (2 if w.dtype.itemsize == 1 else 1) for _, w in named)


def recipe_for(
    objective: Any,
    *,
    parameters: int,
    images: int,
    name: str = "auto",
    changes: Mapping[str, Any] | None = None,
) -> Recipe:
    """Return the recipe of a name for an objective, a size of model and a number of images.

    `changes` are settings in the place of the recipe's: fields of `TrainConfig`, `max_tokens` of a
    caption, and rank, alpha and targets (names of projections) of LoRA; None leaves one as it is.
    Raises `ValueError` on an unknown recipe or setting.

    >>> recipe_for("information", parameters=10**6, images=100).config.learning_rate
    0.0005
    >>> recipe_for("information", parameters=2 * 10**9, images=3200).config.warmup_steps
    5
    """
    if name not in RECIPES:
        raise ValueError(f"no recipe {name!r}: wanted one of {', '.join(RECIPES)}")
    given = {key: value for key, value in (changes or {}).items() if value is not None}
    known = {field.name for field in fields(TrainConfig)} | {"max_tokens", *LORA_NAMES}
    if unknown := sorted(set(given) - known):
        raise ValueError(f"no setting {unknown[0]!r}: wanted one of {', '.join(sorted(known))}")
    if name == "auto":
        name = "objective" if parameters <= SMALL else "sized"
    steps = {key: given[key] for key in ("images_per_step", "epochs") if key in given}
    config, lora = _named(name, objective, parameters, images, steps)
    lora = replace(lora, **{LORA_NAMES[key]: given.pop(key) for key in LORA_NAMES if key in given})
    if "max_tokens" in given:
        config = replace(
            config, decoding=replace(config.decoding, max_tokens=given.pop("max_tokens"))
        )
    return Recipe(name, replace(config, **given), lora)


def _named(
    name: str, objective: Any, parameters: int, images: int, steps: Mapping[str, int]
) -> tuple[TrainConfig, LoraSettings]:
    """Return a recipe's settings, those that say how many `steps` there are already in place."""
    own = config_of(objective, **steps)
    if name == "objective":
        return own, VIZER_LORA
    if name == "paper":
        paper = replace(VIZER_PAPER, samples=own.samples, kl_every=own.kl_every)
        return replace(paper, **steps), VIZER_LORA
    if name == "trl":
        decoding = Sample(max_tokens=own.decoding.max_tokens)
        return replace(own, **{**TRL, "samples": max(2, own.samples)}, decoding=decoding), TRL_LORA
    reward = objective in BY_REWARD if isinstance(objective, str) else _is_reward(objective)
    count = -(-images // own.images_per_step) * own.epochs
    sized = replace(
        own,
        learning_rate=learning_rate_for(parameters, reward=reward),
        warmup_steps=max(5, round(WARM * count)),
        decay="linear",
        max_kl=REWARD_MAX_KL if reward else MAX_KL,
        kl_every=min(own.kl_every, 5) if own.kl_every else 5,
    )
    return sized, VIZER_LORA


def _is_reward(objective: Any) -> bool:
    return isinstance(as_objective(objective), PolicyGradient)
