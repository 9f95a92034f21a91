"""The cells of the ViZer study: train one variant on one base with one seed, and caption the test.

=================  =========================  ==================================================
variant            the mapper was trained on  phase 2
=================  =========================  ==================================================
vizer_gt           human captions, no image   1 - cos on states with the image in context
vizer_gt_context   human captions, image      the same
vizer_g            own captions, image        the same: the paper's reading of "zero-label"
vizer_g_text       own captions, no image     the same
straight_through   own captions, no image     1 - cos of the words, read back by the frozen base
read_back          own captions, no image     RLOO on the read-back cosine
read_back_gt       human captions, no image   the same
rl_clip            -                          RLOO on a CLIP's cosine
rl_clip_cautious   -                          the same, learning rate 1e-5
information        -                          RLOO on log p(y | I) - .7 log p(y) of the frozen base:
                                              our recommendation
=================  =========================  ==================================================

With `shuffled`, phase 2 gives every image the features of another; nothing else changes. With
`random_mapper`, the mapper learned nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from experiments import vizer_world as world
from vizer_core.runtime import seeded
from vizer_core.vizer import MapperConfig, add_lora, fit_mapper, shuffled, train_adapter
from vizer_core.vizer.adapter_run import POLICY_GRADIENT, VIZER_MICRO
from vizer_core.vizer.best_of_n import best_of_n
from vizer_core.vizer.drift import measure_drift
from vizer_core.vizer.generate_captions import first_token_mass, generate_captions
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.mapper import FittedMapper, random_mapper
from vizer_core.vizer.objectives import ImageContext, StraightThrough
from vizer_core.vizer.rewards import ClipReward, ReadBackReward
from vizer_core.vizer.targets import VisionSource
from vizer_core.vlm import SmolVlm, VisionBatch
from vizer_lab.zoo import load_micro_clip
from vizer_lab.zoo.clips import pixels_of
from vizer_lab.zoo.vlm_processor import PROMPT
from vizer_lab.zoo.vlm_scores import GENERIC_FIRST
from vizer_lab.zoo.vlms import load_micro_vlm

READERS = {
    "vizer_gt": "gt",
    "vizer_gt_context": "gt_context",
    "vizer_g": "own_context",
    "vizer_g_text": "own",
    "straight_through": "own",
    "read_back": "own",
    "read_back_gt": "gt",
}
LOSSES: dict[str, Callable] = {
    "vizer_gt": ImageContext,
    "vizer_gt_context": ImageContext,
    "vizer_g": ImageContext,
    "vizer_g_text": ImageContext,
    "straight_through": StraightThrough,
}
RL_RATES = {
    "read_back": 2e-4,
    "read_back_gt": 2e-4,
    "rl_clip": 2e-4,
    "rl_clip_cautious": 1e-5,
    "information": 5e-4,
}
VARIANTS = (*READERS, "rl_clip", "rl_clip_cautious", "information")
MAX_KL = 0.5  # nats a token, as `vizer_core.vizer.diagnostics` warns
# what `results/vizer_study.json` chose on validation scenes; here it meets test scenes only
INFORMATION = {"weight": 0.7, "rl_images": 640, "max_kl": 1.5}
CANDIDATES = 8  # of best-of-n
PRIMED = "a"  # the prompt-only baseline: the caption's first word is given


@dataclass(frozen=True)
class Trial:
    """One variant on one base: what it is trained on, how, and on what it is tested."""

    runs: str
    variant: str
    base: str = "micro-vlm"
    seed: int = 0
    shuffled: bool = False
    random_mapper: bool = False
    states: int = 16_000  # stored, of which the mapper reads the first `mapper_images`
    mapper_images: int = 10_000
    width: int = 256
    images: int = 2000
    rl_images: int = 1000
    learning_rate: float = 0.0  # 0: the variant's own
    part: str = "test"
    n: int = 1000
    samples: int = 2

    @property
    def seen_images(self) -> int:
        """How many unlabelled images phase 2 sees."""
        if self.variant == "information":
            return min(INFORMATION["rl_images"], self.rl_images)
        return self.rl_images if self.by_reward else self.images

    @property
    def by_reward(self) -> bool:
        """Whether phase 2 is a policy gradient."""
        return self.variant in RL_RATES


def mapper_of(trial: Trial) -> FittedMapper:
    """Fit the variant's mapper on the first `mapper_images` of the stored states."""
    states, features = world.states(trial.runs, trial.base, READERS[trial.variant], trial.states, 0)
    states, features = states[: trial.mapper_images], features[: trial.mapper_images]
    shape = MapperConfig(states.shape[1], features.shape[1], width=trial.width, layer_norm=True)
    generator = seeded(1000 + trial.seed)
    if trial.random_mapper:
        trained = fit_mapper(states, features, shape=shape, generator=seeded(0))
        return random_mapper(shape, trained.space, generator=generator)
    return fit_mapper(states, features, shape=shape, generator=generator)


def _source(trial: Trial, stored: int) -> VisionSource:
    everything = world.vision(trial.runs, trial.base, "stream", stored)
    # each seed has its own images, and none that a mapper was trained on
    first = trial.mapper_images + trial.seed * max(trial.images, trial.rl_images)
    return everything.select(range(first, first + trial.seen_images))


def _clip_targets(trial: Trial, source: VisionBatch, stored: int) -> VisionSource:
    first = trial.mapper_images + trial.seed * max(trial.images, trial.rl_images)
    images = world.images_of("stream", first + len(source))[first:]
    features = load_micro_clip(world.REWARD_CLIP).encode_image(pixels_of(images))
    return source.with_targets(features)


def train_trial(trial: Trial, vlm: SmolVlm, stored: int) -> dict[str, Any]:
    """Put LoRA on a base and run phase 2; return what the run recorded."""
    add_lora(vlm, generator=seeded(2000 + trial.seed))
    source, found, reward, fitted = _source(trial, stored), {}, None, None
    if trial.variant in READERS:
        fitted = mapper_of(trial)
        reward = ReadBackReward(vlm, fitted)
        if fitted.history.held_out:
            eval_point = fitted.history.held_out[-1]
            found["mapper"] = {"cosine": eval_point.cosine, "constant": eval_point.constant_cosine}
    elif trial.variant == "information":
        reward = InformationReward(vlm, INFORMATION["weight"])
    else:
        source = _clip_targets(trial, source, stored)
        reward = ClipReward(load_micro_clip(world.REWARD_CLIP))
    if trial.shuffled:
        source = shuffled(source, generator=seeded(3000 + trial.seed))
    if trial.by_reward:
        most = INFORMATION["max_kl"] if trial.variant == "information" else MAX_KL
        config = replace(POLICY_GRADIENT, learning_rate=RL_RATES[trial.variant], max_kl=most)
        objective = reward
    else:
        config, objective = VIZER_MICRO, LOSSES[trial.variant](fitted)
    rate = trial.learning_rate or config.learning_rate
    config = replace(config, decoding=world.SAMPLED, learning_rate=rate)
    history = train_adapter(vlm, source, objective, config, generator=seeded(4000 + trial.seed))
    curve = history.reward or history.loss
    kl = [value for value in history.kl if value is not None]
    return found | {
        "curve": [round(value, 5) for value in curve],
        "kl": [round(value, 5) for value in kl],
        "stopped": history.stopped,
    }


def captions_of(
    vlm: SmolVlm, vision: VisionBatch, *, samples: int, **how: Any
) -> dict[str, list[list[str]] | list[str]]:
    """Return greedy captions, and `samples` drawn ones, of every image."""
    drawn = [
        generate_captions(vlm, vision, decoding=world.SAMPLED, generator=seeded(5000 + k), **how)
        for k in range(samples)
    ]
    greedy = generate_captions(vlm, vision, decoding=world.GREEDY, **how)
    return {"greedy": list(greedy), "sampled": [list(texts) for texts in drawn]}


def trial_cell(stored: int, **what: Any) -> dict[str, Any]:
    """Train a variant and caption the test images with it."""
    trial = Trial(**what)
    vlm = load_micro_vlm(trial.base)
    record = train_trial(trial, vlm, stored)
    vision = world.vision(trial.runs, trial.base, trial.part, trial.n)
    captions = captions_of(vlm, vision, samples=trial.samples)
    before = captions_of(load_micro_vlm(trial.base), vision, samples=0)["greedy"]
    drift = measure_drift(before, captions["greedy"])
    return captions | {"record": record | {"changed": drift.changed, "longer": drift.longer}}


def baseline_cell(system: str, stored: int, **what: Any) -> dict[str, Any]:
    """Caption the test images with an untrained base: as it is, banned, primed, best of n."""
    trial = Trial(**what)
    vlm, samples = load_micro_vlm(trial.base), trial.samples
    vision = world.vision(trial.runs, trial.base, trial.part, trial.n)
    if system == "base":
        mass = first_token_mass(vlm, vision)
        return captions_of(vlm, vision, samples=samples) | {"record": {"first_words": mass}}
    if system == "base_banned":
        return captions_of(vlm, vision, samples=samples, banned=(GENERIC_FIRST,))
    if system == "base_primed":
        found = captions_of(vlm, vision, samples=samples, prompt=f"{PROMPT} {PRIMED}")
        primed = [[f"{PRIMED} {text}" for text in texts] for texts in found["sampled"]]
        return {"greedy": [f"{PRIMED} {t}" for t in found["greedy"]], "sampled": primed}
    if system == "best_of_8_read_back":
        reward, source = ReadBackReward(vlm, mapper_of(trial)), vision
    elif system == "best_of_8_clip":
        clip = load_micro_clip(world.REWARD_CLIP)
        reward = ClipReward(clip)
        source = vision.with_targets(
            clip.encode_image(pixels_of(world.images_of(trial.part, trial.n)))
        )
    else:
        raise ValueError(f"no baseline {system!r}")
    drawn = []
    for seed in range(samples):
        found = best_of_n(vlm, source, reward, n=CANDIDATES, generator=seeded(6000 + seed),
                          decoding=world.SAMPLED)  # fmt: skip
        drawn.append(list(found.best()))
    return {"greedy": drawn[0], "sampled": drawn}
