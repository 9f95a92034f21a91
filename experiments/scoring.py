"""Captions of many systems and seeds to rows with intervals: one form for every study.

Each metric keeps its per-image statistics, so that a score is bootstrapped over images and seeds at
once, and a difference is paired: the same images and the same seeds on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vizer_core.clip import ImageTextEncoder
from vizer_core.evaluation import Inputs, evaluate, make_references
from vizer_core.metrics.grounding import Lexicon
from vizer_core.metrics.references import References
from vizer_core.metrics.stats import (
    Interval,
    Statistics,
    bootstrap_seeds,
    mean_statistics,
)
from vizer_core.vizer.sampled import grounding_statistics
from vizer_lab.world import DrawnSplit, drawn_lexicon
from vizer_lab.world.world import world_of
from vizer_lab.zoo.clips import pixels_of

JUDGED = ("clipscore", "self_retrieval")
FAMILIES = ("bleu", "rouge_l", "cider", "length", *JUDGED)
KEPT = (
    *("bleu1", "bleu4", "meteor", "rouge_l", "cider", "clipscore", "self_retrieval_r1"),
    *("object_precision", "object_recall", "object_f1", "relation_accuracy"),
    *("background_accuracy", "exact", "vague", "length"),
)
DIGITS = 5


@dataclass(frozen=True)
class Exam:
    """Images with their references and exact scenes, and the encoder that judges captions.

    Where no encoder knows the world there is no judge, and no metric that asks one.
    """

    split: DrawnSplit
    references: References
    judge: ImageTextEncoder | None
    inputs: Inputs

    @classmethod
    def of(cls, split: DrawnSplit, judge: ImageTextEncoder | None) -> Exam:
        """Prepare a split: references are tokenised, and images encoded, once."""
        if judge is None:
            return cls(split, make_references(split.references), None, Inputs())
        inputs = Inputs(
            image_features=judge.encode_image(pixels_of(split.images)),
            encoder_name=judge.name,
        )
        return cls(split, make_references(split.references), judge, inputs)

    @property
    def lexicon(self) -> Lexicon:
        """What the exact scorer may take a caption's words for."""
        return drawn_lexicon(world_of(self.split.name))


def score(captions: Sequence[str], exam: Exam) -> dict[str, Statistics]:
    """Return every kept metric's per-image statistics of one system's captions."""
    if len(captions) != exam.split.n:
        raise ValueError(f"got {len(captions)} captions for {exam.split.n} images")
    inputs, families = exam.inputs, [name for name in FAMILIES if name not in JUDGED]
    if exam.judge is not None:
        inputs, families = (
            replace(inputs, text_features=exam.judge.encode_text(list(captions))),
            FAMILIES,
        )
    found = evaluate(
        dict(zip(exam.split.ids, captions)), exam.references, metrics=families, inputs=inputs,
        missing_captions="empty", resamples=1,
    ).statistics  # fmt: skip
    truths = [scene.truth for scene in exam.split.scenes]
    found |= grounding_statistics([[c] for c in captions], truths, lexicon=exam.lexicon)
    return {name: found[name] for name in KEPT if name in found}


def changed(captions: Sequence[str], before: Sequence[str]) -> Statistics:
    """Return the share of captions that are no longer what they were."""
    return mean_statistics([float(a != b) for a, b in zip(captions, before, strict=True)])


def add_meteor(scored: Sequence[dict[str, Statistics]], texts: Sequence[Sequence[str]],
               exam: Exam) -> None:  # fmt: skip
    """Add METEOR to every run's statistics, all in one run of Java."""
    references = [list(captions) for captions in exam.split.captions] * len(texts)
    stacked = [caption for captions in texts for caption in captions]
    rows = evaluate(stacked, references, metrics=["meteor"], resamples=1).statistics["meteor"]
    for found, part in zip(scored, np.split(rows.rows, len(texts))):
        found["meteor"] = Statistics(part, rows.value)


Scored = Mapping[str, Sequence[Mapping[str, Statistics]]]  # system -> one per seed -> metric


def score_rows(scored: Scored, *, prefix: str = "") -> list[dict]:
    """Return each system's mean over seeds with its 95% interval over images and seeds."""
    rows = []
    for system, runs in scored.items():
        for metric in _common(runs):
            row = bootstrap_seeds([run[metric] for run in runs])
            rows.append(_row(row, runs) | {"system": prefix + system, "metric": metric})
    return _known(rows)


def difference_rows(
    scored: Scored, pairs: Sequence[tuple[str, str]], *, prefix: str = ""
) -> list[dict]:
    """Return paired differences: first system of a pair minus second, per metric.

    A system without seeds (nothing in it was trained or drawn) is compared with each seed of the
    other.
    """
    rows = []
    for system, against in pairs:
        runs, others = scored[system], scored[against]
        count = max(len(runs), len(others))
        runs, others = _widened(runs, count), _widened(others, count)
        for metric in _common([*runs, *others]):
            row = bootstrap_seeds(
                [run[metric] for run in runs], against=[run[metric] for run in others]
            )
            names = {"system": prefix + system, "against": prefix + against, "metric": metric}
            rows.append(_row(row, runs) | names)
    return _known(rows)


def _common(runs: Sequence[Mapping[str, Statistics]]) -> list[str]:
    """Return the metrics that every run has: a rate of what nobody stated is absent."""
    return [metric for metric in runs[0] if all(metric in run for run in runs)]


def _known(rows: Sequence[dict]) -> list[dict]:
    """Leave out what does not exist: the accuracy of captions that state nothing."""
    return [row for row in rows if all(math.isfinite(row[k]) for k in ("mean", "low", "high"))]


def _widened(runs: Sequence, count: int) -> Sequence:
    if len(runs) == count:
        return runs
    if len(runs) != 1:
        raise ValueError(f"got {len(runs)} seeds against {count}: wanted as many, or one")
    return list(runs) * count


def _row(row: Interval, runs: Sequence) -> dict:
    values = {"mean": row.mean, "low": row.low, "high": row.high}
    return {name: round(value, DIGITS) for name, value in values.items()} | {
        "n": row.n,
        "seeds": len(runs),
    }
