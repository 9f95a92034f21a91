"""One cell of the study of unlabelled images: a system made on a base, and what its captions hold.

Every system is measured in one way: greedy captions of the test scenes from one view and from the
mean of five; drawn ones at three temperatures, on the first half, but for controls; and view
agreement, which reads no label, on the first quarter. On validation scenes, and on those
that confirm, greedy captions of one view alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from experiments import improvement_world as world
from experiments.improvement_decoders import decode, drawn, greedy
from experiments.improvement_record import SAMPLES_KEPT, pack_captions, rates_in, record_of
from experiments.improvement_training import RANKING_WEIGHT, TRAINERS, train
from experiments.improvement_world import Trial
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.view_agreement import ViewAgreement
from vizer_core.vlm import VisionBatch
from vizer_core.vlm.first_words import first_word_mass

TEMPERATURES = (0.3, 0.7, 1.0)
CURVE, AGREED = 500, 256  # scenes of drawn captions, and of view agreement
WORDS, WORD_SCENES = 12, 128  # first words tried, and scenes that they are tried on
REAL_WORDS, REAL_WORD_SCENES = 5, 32  # the same for the base with a real language half: it is slow
DECODING_OTHERS = 4  # other images of a prior, where a decoder ranks
# what ViZer's paper compares, by metrics that read words: their captions are kept whole
WORDED = ("base", "first_word", "vizer_", "clip_reward")
METRICS = ("object_precision", "object_recall", "object_f1", "exact", "length")

Say = Callable[[VisionBatch], list[str]]


@lru_cache(maxsize=4)
def before(base: str, part: str, n: int) -> tuple[str, ...]:
    """Return the base's own greedy captions: what counts as changed."""
    return tuple(greedy(world.load_once(base), world.seen(base, part, n)[0], ""))


def agreed_scenes(base: str, n: int) -> int:
    """Return how many scenes view agreement is computed on."""
    return n // 4 if base == world.REAL else min(n, AGREED)


@lru_cache(maxsize=4)
def judge_of(base: str, part: str, n: int) -> tuple[ViewAgreement, Tensor]:
    """Return what scores captions of the first scenes by held-out views of the untrained base.

    With it the scores of the base's own greedy captions.
    """
    count = agreed_scenes(base, n)
    views = tuple(view.select(range(count)) for view in world.held_out(base, part, n))
    judge = ViewAgreement(world.load_once(base), views)
    return judge, judge.scores(before(base, part, n)[:count])


def agreement_of(captions: Sequence[str], base: str, part: str, n: int) -> dict[str, float]:
    """Return the mean view agreement of captions, and how often they are preferred to the base's.

    A caption that the base wrote too counts half.
    """
    judge, old = judge_of(base, part, n)
    own = judge.scores(captions[: len(judge)])
    difference = (own - old).round(decimals=4)
    preferred = (difference > 0).float() + 0.5 * (difference == 0).float()
    return {
        "mean": round(float(own.mean()), 4),
        "over_base": round(float(difference.mean()), 4),
        "preferred": round(float(preferred.mean()), 4),
    }


def measure(trial: Trial, say: Say, draw: Callable[..., list[str]] | None) -> dict[str, Any]:
    """Return what the cell keeps of a system: `say` captions greedily, `draw` at a temperature."""
    where = (trial.base, trial.part, trial.n)
    split, visions = world.scenes_of(*where), dict(zip(("one", "five"), world.seen(*where)))
    if trial.part != "test":
        visions.pop("five")
    answer: dict[str, Any] = {"greedy": {}, "agreement": {}, "samples": {}}
    for views, vision in visions.items():
        captions = say(vision)
        answer["greedy"][views] = record_of(captions, split, before=before(*where))
        if trial.part != "confirm":
            answer["agreement"][views] = agreement_of(captions, *where)
        answer["samples"][views] = captions[:SAMPLES_KEPT]
        if views == "one" and trial.part == "test" and trial.system.startswith(WORDED):
            answer["captions"] = pack_captions(captions)
    if draw is None or trial.part != "test":
        return answer
    some = range(trial.n // 2 if trial.base == world.REAL else min(CURVE, trial.n))
    answer["drawn"] = {
        views: {
            f"{temperature:g}": record_of(draw(vision.select(some), temperature), split)
            for temperature in TEMPERATURES
        }
        for views, vision in visions.items()
    }
    return answer


def decoder_cell(**what: Any) -> dict[str, Any]:
    """Caption with an untrained base by a decoder."""
    torch.set_num_threads(1)
    trial = Trial(**what)
    vlm = world.load_once(trial.base)
    reward = InformationReward(vlm, RANKING_WEIGHT, others=DECODING_OTHERS)

    def say(vision: VisionBatch) -> list[str]:
        return decode(trial.system, vlm, vision, trial.word, reward=reward, seed=trial.seed)

    if trial.system not in ("base", "first_word"):
        return measure(trial, say, None)
    word = trial.word if trial.system == "first_word" else ""
    return measure(
        trial,
        say,
        lambda vision, temperature: [
            row[0] for row in drawn(vlm, vision, word, temperature=temperature)
        ],
    )


def trial_cell(**what: Any) -> dict[str, Any]:
    """Train an adapter on a base, and caption with it from the default prompt."""
    torch.set_num_threads(1)
    trial = Trial(**what)
    if trial.system not in TRAINERS:
        raise ValueError(f"no trainer {trial.system!r}: wanted one of {', '.join(TRAINERS)}")
    vlm = world.load_fresh(trial.base)
    record = train(trial, vlm)
    found = measure(
        trial,
        lambda vision: greedy(vlm, vision, ""),
        None
        if trial.shuffled
        else lambda vision, temperature: [
            row[0] for row in drawn(vlm, vision, "", temperature=temperature)
        ],
    )
    return found | {"record": record}


def word_cell(base: str, n: int) -> dict[str, Any]:
    """Choose a base's first word without labels, by view agreement; say what labels would say."""
    torch.set_num_threads(1)
    vlm, where = world.load_once(base), (base, "validation", n)
    real = base == world.REAL
    words, count = (REAL_WORDS, REAL_WORD_SCENES) if real else (WORDS, WORD_SCENES)
    count = min(count, n)
    vision = world.seen(*where)[0].select(range(count))
    mass = first_word_mass(vlm, [vision], top=words)
    judge = ViewAgreement(vlm, tuple(v.select(range(count)) for v in world.held_out(*where)))
    rows = []
    for word in ("", *mass):
        captions = greedy(vlm, vision, word)
        rates = rates_in(
            record_of(captions, world.scenes_of(*where), before=captions), world.scenes_of(*where)
        )
        rows.append(
            {
                "word": word,
                "mass": round(mass.get(word, 1.0), 4),
                "view_agreement": round(float(judge.scores(captions).mean()), 4),
                **{name: rates[name] for name in METRICS if name in rates},
            }
        )
    best = max(rows, key=lambda row: row["view_agreement"])
    by_labels = max(rows, key=lambda row: row["object_f1"])
    return {
        "word": best["word"],
        "best_by_labels": by_labels["word"],
        "scenes": count,
        "candidates": rows,
    }
