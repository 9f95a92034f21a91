"""BLEU-1, CIDEr and CLIPScore of the captions that ViZer's paper compares: metrics that read words.

Cells keep the captions of such systems whole (`improvement_cells.WORDED`, greedy, one view). What
is scored here needs no model but the judge, and takes less than a second a cell. References are the
captions of the scene's people, the judge is `drawn-clip`. It gives `clip_reward` its reward too:
that row's CLIPScore flatters it. No CLIP knows the other world, so there is no CLIPScore there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from experiments import improvement_world as world
from experiments.improvement_record import unpack_captions
from experiments.scoring import Exam
from vizer_core.evaluation import evaluate
from vizer_core.metrics.stats import Statistics
from vizer_lab.zoo.clips import load_drawn_clip

JUDGE, JUDGED_WORLD = "drawn-clip", "second"
WORDS = ("bleu1", "cider", "clipscore")


def word_statistics(
    answer: Mapping[str, Any], base: str, part: str, n: int
) -> dict[str, Statistics]:
    """Return BLEU-1, CIDEr and CLIPScore of a cell's captions; nothing where it kept none.

    >>> word_statistics({"greedy": {}}, "drawn-vlm-web", "test", 4)
    {}
    """
    if "captions" not in answer:
        return {}
    captions, exam = unpack_captions(answer["captions"]), _exam(base, part, n)
    if len(captions) != n:
        raise ValueError(f"got {len(captions)} captions of {n} scenes: wanted one of each")
    metrics, inputs = ["bleu", "cider"], exam.inputs
    if exam.judge is not None:
        metrics += ["clipscore"]
        inputs = replace(inputs, text_features=exam.judge.encode_text(captions))
    found = evaluate(
        dict(zip(exam.split.ids, captions)),
        exam.references,
        metrics=metrics,
        inputs=inputs,
        missing_captions="empty",
        resamples=1,
    ).statistics
    return {name: found[name] for name in WORDS if name in found}


def _exam(base: str, part: str, n: int) -> Exam:
    """Return a base's scenes, ready to be asked about: bases of one world share them."""
    name = world.world_named(base)
    return _exam_of(name, next(b for b in world.BASES if world.world_named(b) == name), part, n)


@cache
def _exam_of(name: str, base: str, part: str, n: int) -> Exam:
    judge = load_drawn_clip(JUDGE) if name == JUDGED_WORLD else None
    return Exam.of(world.scenes_of(base, part, n), judge)
