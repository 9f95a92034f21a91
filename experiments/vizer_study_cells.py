"""One cell of the ViZer study: a variant trained on a base without labels, then made to caption.

==================  ==============================================================================
variant             what phase 2 raises
==================  ==============================================================================
literal             the paper's reading: 1 - cos on states with the image in context falls
read_back           cosine of the words, read back as text by the frozen base, with F_I centred
residual            the same, F_I without its first nine principal directions
regions             the same, targets from the spread of the image's sub-regions
filtered            the same, mapper trained on the better half, by agreement, of four own captions
                    an image at T = .7
ensemble            the least of three mappers' cosines
hard_negatives      the read-back's margin over the four images most like the own one
consensus           overlap with eight captions that the base drew of the image
information         log p(y | I) - w log p(y), by the frozen base: `information_50` has w = .5;
                    `information_0` is the caption's own likelihood: what mere sharpening does
neighbours          log p(y | I) less its mean over the four most similar images
==================  ==============================================================================

None reads a label. With `shuffled`, phase 2 gives every image the target of another; nothing
else changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from experiments import vizer_study_world as world
from experiments.vizer_bases import home_of
from experiments.vizer_study_world import Trial
from vizer_core.runtime import seeded
from vizer_core.vizer import MapperConfig, ReadBackReward, add_lora, fit_mapper, shuffled
from vizer_core.vizer.adapter_run import POLICY_GRADIENT, VIZER_MICRO
from vizer_core.vizer.agreement import ConsensusReward, word_weights
from vizer_core.vizer.ensemble import EnsembleReward, least_of_readers
from vizer_core.vizer.generate_captions import sample_captions
from vizer_core.vizer.information import InformationReward, NeighbourReward
from vizer_core.vizer.mapper import FittedMapper
from vizer_core.vizer.neighbours import HardNegativeReward, nearest_images
from vizer_core.vizer.objectives import ImageContext
from vizer_core.vizer.policy_gradient import Reward
from vizer_core.vizer.residual import residual, subregion_targets
from vizer_core.vizer.targets import VisionSource
from vizer_core.vizer.train import train_adapter
from vizer_core.vizer.train_mapper import MAPPER_FIT
from vizer_core.vlm import VisionBatch

INFORMATION = {f"information_{w}": w / 100 for w in (0, 50, 60, 70, 80, 100)}
READERS = {
    "literal": "own_context",
    "read_back": "own",
    "residual": "own",
    "regions": "own",
    "filtered": "filtered",
    "ensemble": "own",
    "hard_negatives": "own",
}
VARIANTS = (*READERS, "consensus", "neighbours", *INFORMATION)
NEGATIVES, MAPPERS, DRAWN = 4, 3, 8
MAX_KL = 1.5  # nats a token; every run's last value is kept beside its scores


@dataclass(frozen=True, eq=False)
class Setup:
    """What a variant needs in phase 2: a source that carries targets, and a reward or a mapper."""

    source: VisionSource
    reward: Reward | None = None
    fitted: tuple[FittedMapper, ...] = field(default_factory=tuple)


def mapper_of(trial: Trial, *, number: int = 0) -> FittedMapper:
    """Fit the variant's mapper on the first `mapper_images` of the stored states."""
    states, features = world.states(trial.runs, trial.base, READERS[trial.variant], trial.states)
    count = round(trial.mapper_images * len(states) / trial.states)
    if trial.variant == "regions":
        images = world.vision(trial.runs, trial.base, home_of(trial.base), trial.states)
        features = subregion_targets(images)
    states, features = states[:count], features[:count]
    shape = MapperConfig(states.shape[1], features.shape[1], layer_norm=True)
    held_out = max(2, min(500, count // 5))
    space = residual if trial.variant == "residual" else MAPPER_FIT.space
    config = replace(MAPPER_FIT, held_out=held_out, space=space)
    generator = seeded(1000 + 100 * number + trial.seed)
    return fit_mapper(states, features, shape=shape, config=config, generator=generator)


def _read_back(trial: Trial, vlm: Any, images: VisionBatch) -> Setup:
    fitted = mapper_of(trial)
    return Setup(images, ReadBackReward(vlm, fitted), (fitted,))


def _regions(trial: Trial, vlm: Any, images: VisionBatch) -> Setup:
    fitted = mapper_of(trial)
    source = images.with_targets(subregion_targets(images))
    return Setup(source, ReadBackReward(vlm, fitted), (fitted,))


def _ensemble(trial: Trial, vlm: Any, images: VisionBatch) -> Setup:
    fitted = tuple(mapper_of(trial, number=i) for i in range(MAPPERS))
    readers = tuple(ReadBackReward(vlm, each) for each in fitted)
    return Setup(images, EnsembleReward(readers, least_of_readers), fitted)


def _hard_negatives(trial: Trial, vlm: Any, images: VisionBatch) -> Setup:
    fitted = mapper_of(trial)
    table = fitted.targets(images.image_features)
    reward = HardNegativeReward(ReadBackReward(vlm, fitted), table, negatives=NEGATIVES)
    return Setup(images, reward, (fitted,))


def _consensus(trial: Trial, vlm: Any, images: VisionBatch) -> Setup:
    drawn = sample_captions(
        vlm, images, samples=DRAWN, generator=seeded(7000 + trial.seed), decoding=world.SAMPLED
    )
    weights = word_weights([text for row in drawn for text in row])
    return Setup(images, ConsensusReward(drawn, weights))


def _neighbours(trial: Trial, vlm: Any, images: VisionBatch) -> Setup:
    features = images.image_features - images.image_features.mean(dim=0)
    near = nearest_images(features, count=NEGATIVES)
    return Setup(images, NeighbourReward(vlm, images, near))


def _information(trial: Trial, vlm: Any, images: VisionBatch, *, weight: float) -> Setup:
    return Setup(images, InformationReward(vlm, weight))


SETUPS: dict[str, Callable[..., Setup]] = {
    "literal": lambda trial, vlm, images: Setup(images, None, (mapper_of(trial),)),
    "read_back": _read_back,
    "residual": _read_back,
    "filtered": _read_back,
    "regions": _regions,
    "ensemble": _ensemble,
    "hard_negatives": _hard_negatives,
    "consensus": _consensus,
    "neighbours": _neighbours,
} | {name: partial(_information, weight=weight) for name, weight in INFORMATION.items()}


def setup(trial: Trial, vlm: Any) -> Setup:
    """Make a variant's source and reward; each seed has images of its own."""
    first = trial.states + trial.seed * trial.images
    images = world.vision(trial.runs, trial.base, trial.place, first + trial.images)
    own = images.select(range(first, first + trial.images)).numbered(range(trial.images))
    return SETUPS[trial.variant](trial, vlm, own)


def train(trial: Trial, vlm: Any) -> dict[str, Any]:
    """Put LoRA on a base and run phase 2; return what the run recorded."""
    found = setup(trial, vlm)
    add_lora(vlm, generator=seeded(2000 + trial.seed))
    source = found.source
    if trial.shuffled:
        source = shuffled(source, generator=seeded(3000 + trial.seed))
    if found.reward is None:
        objective, preset = ImageContext(found.fitted[0]), VIZER_MICRO
    else:
        objective, preset = found.reward, replace(POLICY_GRADIENT, max_kl=MAX_KL)
    config = replace(preset, decoding=world.SAMPLED, learning_rate=trial.learning_rate)
    history = train_adapter(vlm, source, objective, config, generator=seeded(4000 + trial.seed))
    curve = history.reward or history.loss
    kl = [value for value in history.kl if value is not None]
    eval_points = [each.history.held_out[-1] for each in found.fitted]
    return {
        "curve": [round(value, 4) for value in (*curve[:3], *curve[-3:])],
        "kl": round(kl[-1], 4) if kl else None,
        "stopped": history.stopped,
        "mapper": [
            {"cosine": eval_point.cosine, "constant": eval_point.constant_cosine}
            for eval_point in eval_points
        ],
    }


def trial_cell(*, cool: bool = True, **what: Any) -> dict[str, Any]:
    """Train a variant, and caption the scenes that it is tested on; `cool` draws at .7 as well."""
    torch.set_num_threads(1)
    trial = Trial(**what)
    vlm = world.load(trial.runs, trial.base)
    record = train(trial, vlm)
    answer = world.captions_of(trial, vlm) | {"record": record}
    if cool and not trial.shuffled and trial.part == "test":
        answer["cool"] = world.draw(trial, vlm, world.COOL)
    return answer
