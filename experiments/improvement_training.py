"""Trainers of the study: every one sees the same images, and as many captions with gradient.

640 images of the stream, 2,560 captions that go through with gradient: a policy gradient takes four
captions an image once, what learns from one caption per image goes over it four times, DPO over its
two captions twice.

======================  ============================================================================
self_training           the frozen base's greedy caption with its first word forced, learned by
                        cross-entropy from the default prompt (no score takes part)
self_training_once      the same, one pass: a quarter of the gradient
beam_distillation       the same, the teacher's caption is beam search's, width 4
beam_view_distillation  the same, the teacher's beams read the mean of five views
view_distillation       the same, the teacher reads the mean of five views, the student one
raft                    of four drawn captions the one of most information, by cross-entropy
dpo                     the best against the worst of four drawn captions, by the same score
information             RLOO on log p(y | I) - w log p(y), p(y) the mean over other images
consensus               RLOO on overlap with eight captions that the base drew
read_back               RLOO on the read-back cosine
self_retrieval          RLOO on finding the own image among the step's by the read-back cosine
clip_reward             RLOO on a CLIP's cosine: its CLIP read captions, so this is the labelled row
vizer_g                 the paper's loss on own captions; its mapper by the cosine loss
vizer_g_contrastive     the same, mapper by the contrastive loss
vizer_gt                the paper's loss, mapper from human captions: labelled
vizer_gt_contrastive    the same by the contrastive loss
======================  ============================================================================

`raft` and `dpo` draw captions as the model draws them, at T = 1 and from the default prompt. With
`shuffled` an image's captions are judged against another image, or are another image's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from torch import Tensor

from experiments import improvement_world as world
from experiments.improvement_decoders import beam, drawn, greedy, ranked
from experiments.improvement_world import MAX_TOKENS, Trial
from vizer_core.decoding import Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.vizer import (
    LoraSettings,
    MapperConfig,
    ReadBackReward,
    add_lora,
    fit_mapper,
    shuffled,
)
from vizer_core.vizer.adapter_run import POLICY_GRADIENT, VIZER_SMALL
from vizer_core.vizer.agreement import ConsensusReward, word_weights
from vizer_core.vizer.generate_captions import sample_captions
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.losses import cosine_loss, info_nce
from vizer_core.vizer.mapper import FittedMapper
from vizer_core.vizer.objectives import ImageContext
from vizer_core.vizer.policy_gradient import Reward
from vizer_core.vizer.rewards import ClipReward, SelfRetrievalReward
from vizer_core.vizer.self_training import DirectPreference, GivenCaptions
from vizer_core.vizer.text_states import generated_states, ground_truth_states, read_back_states
from vizer_core.vizer.train import train_adapter
from vizer_core.vizer.train_mapper import MAPPER_FIT
from vizer_core.vlm import VisionBatch
from vizer_lab.world import DrawnSplit
from vizer_lab.world.world import split_in
from vizer_lab.zoo.clips import load_drawn_clip, pixels_of

SAMPLED = Sample(max_tokens=MAX_TOKENS)
PASSES, CONSENSUS_DRAWS, CHOSEN_FROM = 4, 8, 4
OTHERS = 8  # other images of a prior
RETRIEVAL_SCALE = 20.0
RANKING_WEIGHT = 0.5  # of the prior, where captions are ranked
CLIP = "drawn-clip"
MAX_KL = 3.0  # nats a token: what passes it has broken, and stops
CLONE_RATES, REWARD_RATES, PAPER_RATES = (3e-4, 1e-3), (2e-4, 5e-4), (1e-4, 5e-4, 2e-3)
RATES: dict[str, tuple[float, ...]] = {
    "self_training": (1e-4, *CLONE_RATES),
    "self_training_once": CLONE_RATES,
    "beam_distillation": CLONE_RATES,
    "beam_view_distillation": CLONE_RATES,
    "view_distillation": CLONE_RATES,
    "raft": CLONE_RATES,
    "dpo": (1e-4, 5e-4),
    "information": (*REWARD_RATES, 1e-3),
    "consensus": REWARD_RATES,
    "read_back": REWARD_RATES,
    "self_retrieval": REWARD_RATES,
    "clip_reward": REWARD_RATES,
    "vizer_g": PAPER_RATES,
    "vizer_g_contrastive": PAPER_RATES,
    "vizer_gt": PAPER_RATES,
    "vizer_gt_contrastive": PAPER_RATES,
}
TRAINERS = tuple(RATES)
WEIGHTS: dict[str, tuple[float, ...]] = {"information": (0.3, 0.6, 0.9)}


@dataclass(frozen=True)
class Settings:
    """What all trainers share, and ablations change; `rank` is LoRA's, alpha is twice that."""

    width: int = 256
    layer_norm: bool = True
    mapper_passes: int = 1  # the paper's
    rank: int = 32
    passes: int = PASSES
    others: int = OTHERS
    max_kl: float = MAX_KL


SETTINGS = Settings()


def mapper_of(trial: Trial, vlm: Any, settings: Settings = SETTINGS) -> FittedMapper:
    """Fit the mapper of a trial; its seed is the trial's."""
    human, contrastive = "_gt" in trial.system, trial.system.endswith("_contrastive")
    paper = trial.system.startswith("vizer")
    states, features = mapper_data(
        trial.base, "human" if human else "own_context" if paper else "own", trial.mapper_images
    )
    shape = MapperConfig(
        states.shape[1], features.shape[1], width=settings.width, layer_norm=settings.layer_norm
    )
    config = replace(
        MAPPER_FIT,
        epochs=settings.mapper_passes,
        held_out=max(2, min(500, len(states) // 5)),
        loss=info_nce if contrastive else cosine_loss,
    )
    return fit_mapper(
        states, features, shape=shape, config=config, generator=seeded(1000 + trial.seed)
    )


@lru_cache(maxsize=6)
def mapper_data(base: str, reader: str, count: int) -> tuple[Tensor, Tensor]:
    """Return states of captions and the F_I that belong to them: what mappers read."""
    vlm = world.load_once(base)
    if reader == "human":
        name = split_in(world.world_named(base), "train")
        split = DrawnSplit(name, count, first=world.WRITTEN_FROM)
        features = world.encode(vlm, split.images).image_features
        return ground_truth_states(vlm, [texts[0] for texts in split.captions]), features
    source = world.read_images(base, count)
    if reader == "own_context":
        found = generated_states(vlm, source, decoding=Greedy(MAX_TOKENS))
    else:
        found = read_back_states(vlm, source, decoding=SAMPLED, generator=seeded(0))
    return found.states, found.image_features


def information(vlm: Any, weight: float, *, others: int = OTHERS) -> InformationReward:
    """Return the information reward whose prior reads other images of the batch."""
    return InformationReward(vlm, weight, others=others)


def _read_back(trial: Trial, vlm: Any, images: VisionBatch) -> Reward:
    return ReadBackReward(vlm, mapper_of(trial, vlm))


def _self_retrieval(trial: Trial, vlm: Any, images: VisionBatch) -> Reward:
    return SelfRetrievalReward(ReadBackReward(vlm, mapper_of(trial, vlm)), RETRIEVAL_SCALE)


def _consensus(trial: Trial, vlm: Any, images: VisionBatch) -> Reward:
    rows = sample_captions(
        vlm, images, samples=CONSENSUS_DRAWS, generator=seeded(7000 + trial.seed), decoding=SAMPLED
    )
    return ConsensusReward(rows, word_weights([text for row in rows for text in row]))


def _clip(trial: Trial, vlm: Any, images: VisionBatch) -> Reward:
    return ClipReward(load_drawn_clip(CLIP))


REWARDS: dict[str, Callable[[Trial, Any, VisionBatch], Reward]] = {
    "consensus": _consensus,
    "read_back": _read_back,
    "self_retrieval": _self_retrieval,
    "clip_reward": _clip,
}


def taught(trial: Trial, vlm: Any, one: VisionBatch) -> list[list[str]]:
    """Return the captions, one or two an image, that a trial learns; the base writes them."""
    if trial.system.startswith("self_training"):
        return [[text] for text in greedy(vlm, one, trial.word)]
    if trial.system == "beam_distillation":
        return [[text] for text in beam(vlm, one, trial.word)]
    if "view" in trial.system:
        five = world.training_views(trial.base, trial.seed, trial.images)
        teacher = beam if trial.system.startswith("beam") else greedy
        return [[text] for text in teacher(vlm, five, trial.word)]
    rows = drawn(vlm, one, "", temperature=1.0, samples=CHOSEN_FROM, seed=trial.seed)
    judged = one
    if trial.shuffled:  # ranked by another image: what is learned then is no choice by the image
        judged = one.select([(i + len(one) // 2) % len(one) for i in range(len(one))])
    best, scores = ranked(vlm, judged, rows, information(vlm, RANKING_WEIGHT))
    if trial.system == "raft":
        return [[text] for text in best]
    worst = [row[i] for row, i in zip(rows, scores.argmin(dim=1).tolist(), strict=True)]
    return [list(pair) for pair in zip(best, worst, strict=True)]


def train(trial: Trial, vlm: Any, settings: Settings = SETTINGS) -> dict[str, Any]:
    """Put LoRA on a base and train it; return what the run recorded."""
    one = world.training(trial.base, trial.seed, trial.images)
    source: Any = one.numbered(range(len(one)))
    if trial.system == "clip_reward":
        images = world.stream(world.world_named(trial.base), trial.seed * len(one), len(one))
        source = source.with_targets(load_drawn_clip(CLIP).encode_image(pixels_of(images)))
    config = replace(VIZER_SMALL, epochs=settings.passes)
    objective: Any = None
    if trial.system == "information":
        objective = information(vlm, trial.weight, others=settings.others)
    elif trial.system in REWARDS:
        objective = REWARDS[trial.system](trial, vlm, source)
    if objective:
        config = replace(POLICY_GRADIENT, samples=PASSES)
    elif trial.system.startswith("vizer"):
        objective = ImageContext(mapper_of(trial, vlm, settings))
    else:
        rows = taught(trial, vlm, one)
        pairs = trial.system == "dpo"
        objective = GivenCaptions(rows, **({"loss": DirectPreference()} if pairs else {}))
        passes = {"self_training_once": 1, "dpo": PASSES // 2}.get(trial.system, PASSES)
        config = replace(config, epochs=passes)
    if trial.shuffled and trial.system not in ("raft", "dpo"):
        source = shuffled(source, generator=seeded(3000 + trial.seed))
    config = replace(config, learning_rate=trial.rate)
    return run_training(vlm, source, objective, config, trial.seed, settings)


def train_on_reward(
    vlm: Any, source: VisionBatch, reward: Reward, *, rate: float, seed: int = 0
) -> dict[str, Any]:
    """Train a base on any reward, as the study's policy gradients are."""
    config = replace(POLICY_GRADIENT, samples=PASSES, learning_rate=rate)
    return run_training(vlm, source.numbered(range(len(source))), reward, config, seed)


def run_training(
    vlm: Any,
    source: Any,
    objective: Any,
    config: Any,
    seed: int,
    settings: Settings = SETTINGS,
    *,
    fresh: bool = True,
) -> dict[str, Any]:
    """Put LoRA on a base and train it, as every trainer of the study is.

    With `fresh` false the adapter that is there is trained on.
    """
    if fresh:
        lora = LoraSettings(rank=settings.rank, alpha=2 * settings.rank)
        add_lora(vlm, lora, generator=seeded(2000 + seed))
    config = replace(config, decoding=SAMPLED, max_kl=settings.max_kl)
    history = train_adapter(vlm, source, objective, config, generator=seeded(4000 + seed))
    curve, kl = history.reward or history.loss, [v for v in history.kl if v is not None]
    return {
        "curve": [round(value, 4) for value in (*curve[:3], *curve[-3:])],
        "kl": round(kl[-1], 4) if kl else None,
        "stopped": history.stopped,
    }
