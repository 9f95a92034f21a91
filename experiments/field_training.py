"""Systems that train: on two bases, 320 images, 1,280 captions that go through with gradient.

A system's learning rate is chosen on the first base, by F1 of named objects on validation scenes
after a run on images of its own (`rate_cell`). All its runs and its controls take that rate.

==================  ===============================================================================
clip_reward         RLOO on a CLIP's cosine (Cho et al.): the rival of the rewards below
mocha               fidelity (agreement with the base's own captions) plus adequacy (the CLIP's
                    cosine), at one weight
caprl               RLOO on the share of questions that a reader answers from the caption alone;
                    questions and answers are labels
bag_curriculum      RLOO on hard negatives: 32, then 8, then 2 nearest images by the CLIP
human               cross-entropy on one human caption an image: the labelled rival
knowada             the same, without what none of the base's 8 samples speaks of
==================  ===============================================================================

All see the same labelled scenes; only `caprl`, `human` and `knowada` read a label. In a control
(`shuffled`) captions are judged against, or taken from, another image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from experiments import field_world as world
from experiments.improvement_decoders import drawn, greedy
from experiments.improvement_record import pack_captions
from experiments.improvement_training import CONSENSUS_DRAWS, PASSES, SAMPLED, run_training
from experiments.improvement_world import encode, load_fresh
from vizer_core.runtime import seeded
from vizer_core.vizer import shuffled
from vizer_core.vizer.adapter_run import POLICY_GRADIENT, VIZER_SMALL
from vizer_core.vizer.agreement import ConsensusReward, word_weights
from vizer_core.vizer.ensemble import WeightedReward
from vizer_core.vizer.generate_captions import sample_captions
from vizer_core.vizer.neighbours import hardening
from vizer_core.vizer.question_reward import QuestionReward, hard_questions
from vizer_core.vizer.rewards import ClipReward
from vizer_core.vizer.self_training import GivenCaptions
from vizer_core.vizer.verify import known_statements
from vizer_core.vlm import VisionBatch
from vizer_lab.world import DrawnSplit, questions_of
from vizer_lab.zoo.clips import pixels_of

IMAGES = 320
REWARDS = ("clip_reward", "mocha", "caprl", "bag_curriculum")
TRAINERS = (*REWARDS, "human", "knowada")
RATES: dict[str, tuple[float, ...]] = {
    **{name: (3e-4, 1e-3, 3e-3) for name in REWARDS},
    **{name: (1e-4, 3e-4, 1e-3) for name in ("human", "knowada")},
}
CHOOSING_SEED = 20  # of the runs that choose: their images train no other run
KNOWN = 1 / 8  # at least one of the samples
STAGES = (32, 8, 2)


def labelled(seed: int, count: int) -> DrawnSplit:
    """Return a seed's training scenes, with captions and questions."""
    return DrawnSplit("second_train", count, first=world.LABELLED_FROM + seed * count)


def reward_of(system: str, vlm: Any, source: VisionBatch, split: DrawnSplit, seed: int) -> Any:
    """Return a reward on the images of a source."""
    clip = ClipReward(world.ranker())
    if system == "clip_reward":
        return clip
    if system == "mocha":
        rows = sample_captions(
            vlm, source, samples=CONSENSUS_DRAWS, generator=seeded(7000 + seed), decoding=SAMPLED
        )
        fidelity = ConsensusReward(rows, word_weights([text for row in rows for text in row]))
        return WeightedReward((fidelity, clip), (0.5, 0.5))
    if system == "caprl":
        asked = hard_questions([questions_of(scene) for scene in split.scenes], world.reader())
        return QuestionReward(asked, world.reader())
    raise ValueError(f"no reward {system!r}: wanted one of {', '.join(REWARDS)}")


def train(
    system: str, vlm: Any, *, rate: float, seed: int, images: int, control: bool
) -> dict[str, Any]:
    """Put LoRA on a base and train it; return what the run recorded."""
    split = labelled(seed, images)
    source: Any = encode(vlm, split.images).numbered(range(images))
    features = world.ranker().encode_image(pixels_of(split.images))
    if system in REWARDS:
        source = source.with_targets(features)
    if system in ("human", "knowada"):
        texts = [captions[0] for captions in split.captions]
        if system == "knowada":
            texts = known_statements(
                texts, drawn(vlm, source, "", temperature=1.0, samples=8, seed=seed), least=KNOWN
            )
        objective: Any = GivenCaptions([[text] for text in texts])
        config = replace(VIZER_SMALL, epochs=PASSES, learning_rate=rate)
    elif system == "bag_curriculum":
        return _staged(vlm, source, features, rate, seed, control)
    else:
        objective = reward_of(system, vlm, source, split, seed)
        config = replace(POLICY_GRADIENT, samples=PASSES, learning_rate=rate)
    if control:
        source = shuffled(source, generator=seeded(3000 + seed))
    return run_training(vlm, source, objective, config, seed)


def _staged(
    vlm: Any, source: Any, features: Any, rate: float, seed: int, control: bool
) -> dict[str, Any]:
    """Train on ever harder negatives, a third of the images each, the adapter kept throughout."""
    rewards = hardening(ClipReward(world.ranker()), features, STAGES)
    config = replace(POLICY_GRADIENT, samples=PASSES, learning_rate=rate)
    record: dict[str, Any] = {}
    third = len(source) // len(rewards)
    for stage, reward in enumerate(rewards):
        part: Any = source.select(range(stage * third, (stage + 1) * third)).numbered(range(third))
        if control:
            part = shuffled(part, generator=seeded(3000 + seed + stage))
        record = run_training(vlm, part, reward, config, seed + stage, fresh=stage == 0)
    return record


def train_cell(
    base: str,
    system: str,
    rate: float,
    n: int,
    seed: int = 0,
    shuffled: bool = False,
    images: int = IMAGES,
) -> dict[str, Any]:
    """Train an adapter on a base, and caption the test scenes with it from the default prompt."""
    torch.set_num_threads(1)
    vlm = load_fresh(base)
    record = train(system, vlm, rate=rate, seed=seed, images=images, control=shuffled)
    found = greedy(vlm, world.seen(base, n), "")
    return {"captions": pack_captions(found), "samples": found[:3], "record": record}


def rate_cell(
    base: str, system: str, rate: float, n: int, images: int = IMAGES
) -> dict[str, float | str | None]:
    """Train at a rate on images of its own; return rates of named objects on validation scenes."""
    torch.set_num_threads(1)
    vlm = load_fresh(base)
    record = train(system, vlm, rate=rate, seed=CHOOSING_SEED, images=images, control=False)
    found = greedy(vlm, world.seen(base, n, "validation"), "")
    return world.named_objects(found, n, "validation") | {
        "kl": record["kl"],
        "stopped": record["stopped"],
        "sample": found[0],
    }
