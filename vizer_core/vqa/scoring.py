"""Score ranked candidates, and the floors without which no score can be read.

=============  ===================================================================================
top1, 5, 10    the agreed answer is among the first 1, 5, 10 candidates (the paper's measure)
any_top1       the first candidate is what any of the ten people said
soft           VQAv2's soft accuracy of the first candidate
written_soft   the same of the text as written, before it was looked up
=============  ===================================================================================

`score_by_type` splits top-1 by question type: a total hides which questions it comes from.

An agreed answer that is not in the candidate list counts as wrong; `coverage` says how often.
Floors: chance (a random order of the candidates: its exact expectation), the prior (training
answers by frequency, the same for every question) and the prior by question type. VQAv2's most
frequent answer alone is right more often than any row of MacCap's table.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from vizer_core.data.vqav2 import AnswerList, VqaItem
from vizer_core.metrics.stats import Statistics, rate_statistics
from vizer_core.metrics.vqa_accuracy import any_accuracy, plain_answer, soft_accuracy

DEPTHS = (1, 5, 10)


def score_ranking(
    items: Sequence[VqaItem], ranked: Int[Tensor, "n top"], candidates: AnswerList
) -> dict[str, Statistics]:
    """Score each question's ranked candidates; an index below 0 is no answer."""
    if len(items) != len(ranked):
        raise ValueError(f"{len(ranked)} ranked answers for {len(items)} questions")
    truth = torch.tensor([candidates.indices.get(item.answer, -2) for item in items])
    hits = ranked == truth[:, None]
    first = [candidates.answers[index] if index >= 0 else "" for index in ranked[:, 0].tolist()]
    scores = {f"top{depth}": hits[:, :depth].any(dim=1).double().numpy() for depth in DEPTHS}
    scores["any_top1"] = [any_accuracy(a, item.answers) for a, item in zip(first, items)]
    scores["soft"] = [soft_accuracy(a, item.answers) for a, item in zip(first, items)]
    return {name: per_image(items, values) for name, values in scores.items()}


def score_written(items: Sequence[VqaItem], answers: Sequence[str]) -> dict[str, Statistics]:
    """Score the texts as written by VQAv2's soft accuracy."""
    if len(items) != len(answers):
        raise ValueError(f"{len(answers)} written answers for {len(items)} questions")
    soft = [soft_accuracy(text, item.answers) for text, item in zip(answers, items)]
    return {"written_soft": per_image(items, soft)}


def score_by_type(items: Sequence[VqaItem], answers: Sequence[str]) -> dict[str, Statistics]:
    """Score each question's first candidate, apart for every question type.

    >>> ask = lambda kind, answer: VqaItem(kind, kind, "what ?", answer, (answer,) * 2, kind)
    >>> found = score_by_type([ask("is", "yes"), ask("how", "two")], ["yes", "one"])
    >>> {kind: statistics.score for kind, statistics in found.items()}
    {'is': 1.0, 'how': 0.0}
    """
    if len(items) != len(answers):
        raise ValueError(f"{len(answers)} retrieved answers for {len(items)} questions")
    rows: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        rows.setdefault(item.question_type, []).append(row)
    return {
        kind: per_image([items[r] for r in of], [float(answers[r] == items[r].answer) for r in of])
        for kind, of in rows.items()
    }


def score_chance(items: Sequence[VqaItem], candidates: AnswerList) -> dict[str, Statistics]:
    """Return what a random order of the candidates scores, in expectation and without drawing."""
    total = len(candidates)
    spelled = Counter(plain_answer(answer) for answer in candidates.answers)
    covered = np.array([item.answer in candidates.indices for item in items], dtype=np.float64)
    scores = {f"top{depth}": covered * min(depth, total) / total for depth in DEPTHS}
    said = [{plain_answer(answer) for answer in item.answers} for item in items]
    scores["any_top1"] = np.array([sum(spelled[a] for a in people) / total for people in said])
    scores["soft"] = np.array(
        [
            sum(spelled[a] * soft_accuracy(a, item.answers) for a in people) / total
            for item, people in zip(items, said)
        ]
    )
    return {name: per_image(items, values) for name, values in scores.items()}


def score_coverage(items: Sequence[VqaItem], candidates: AnswerList) -> Statistics:
    """Return the share of questions whose agreed answer is a candidate: no system can pass it."""
    return per_image(items, [float(item.answer in candidates.indices) for item in items])


def prior_ranking(
    items: Sequence[VqaItem], training: Sequence[VqaItem], candidates: AnswerList, *, top: int
) -> Int[Tensor, "n top"]:
    """Rank the candidates by how often they answer training questions, alike for all questions."""
    order = _by_frequency(Counter(item.answer for item in training), candidates)[:top]
    return torch.tensor(order).expand(len(items), -1)


def frequent_answers(training: Sequence[VqaItem], n: int) -> AnswerList:
    """Return the `n` most frequent agreed answers of training questions, or all if there are fewer.

    Answers that are equally frequent stand in the order of the alphabet.

    >>> ask = lambda answer: VqaItem("1", "x", "what ?", answer, ("a", "a"))
    >>> frequent_answers([ask("no"), ask("yes"), ask("two"), ask("yes")], 2).answers
    ('yes', 'no')
    """
    if not training or n < 1:
        raise ValueError(
            f"got {len(training)} training questions and n = {n}: wanted at least 1 of each"
        )
    counts = Counter(item.answer for item in training)
    return AnswerList(tuple(sorted(counts, key=lambda answer: (-counts[answer], answer))[:n]))


def type_prior_ranking(
    items: Sequence[VqaItem], training: Sequence[VqaItem], candidates: AnswerList, *, top: int
) -> Int[Tensor, "n top"]:
    """Rank the candidates by their frequency among training questions of the same type.

    Candidates that the type never has follow in the order of their frequency anywhere.
    """
    counts: Mapping[str, Counter[str]] = defaultdict(Counter)
    for item in training:
        counts[item.question_type][item.answer] += 1
    overall = Counter(item.answer for item in training)
    orders = {
        kind: _by_frequency(counts[kind], candidates, overall)[:top]
        for kind in {item.question_type for item in items}
    }
    return torch.tensor([orders[item.question_type] for item in items])


def per_image(items: Sequence[VqaItem], scores: Sequence[float] | np.ndarray) -> Statistics:
    """Sum scores and questions of each image: questions about one image share its caption.

    The interval then resamples images, not questions, which would make it too narrow.

    >>> ask = lambda image: VqaItem("1", image, "what ?", "a", ("a", "a"))
    >>> statistics = per_image([ask("x"), ask("y"), ask("x")], [1.0, 0.0, 1.0])
    >>> len(statistics), round(statistics.score, 3)
    (2, 0.667)
    """
    indices: dict[str, int] = {}
    of = [indices.setdefault(item.image_id, len(indices)) for item in items]
    return rate_statistics(np.bincount(of, weights=scores), np.bincount(of))


def _by_frequency(
    counts: Counter[str], candidates: AnswerList, otherwise: Counter[str] | None = None
) -> list[int]:
    """Order all candidates by count, then by the second count, then by their index in the list."""
    second = otherwise if otherwise is not None else Counter()
    return sorted(
        range(len(candidates)),
        key=lambda index: (
            -counts[candidates.answers[index]],
            -second[candidates.answers[index]],
            index,
        ),
    )
