"""Chapter 8: how an answer in free text becomes right or wrong, MacCap's top-m accuracy."""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_core.vqa import rank_candidates
from vizer_lab.practice.task import Case, Task


def answer(answers: Tensor, candidates: Tensor, truth: Tensor, m: int) -> Tensor:
    """Return the share, by the package's ranking."""
    ranked = rank_candidates(answers, candidates, top=m)
    return (ranked == truth[:, None]).any(dim=1).float().mean()


def cases() -> list[Case]:
    """Answers near their true candidates, by more or less, and several m."""
    found = []
    for seed, (number, size, m) in enumerate(((12, 8, 1), (12, 8, 3), (20, 10, 5))):
        drawn = seeded(seed)
        candidates = unit_norm(torch.randn(size, 5, generator=drawn))
        truth = torch.randint(size, (number,), generator=drawn)
        noise = torch.randn(number, 5, generator=drawn)
        answers = unit_norm(candidates[truth] + 0.8 * noise)
        says = f"{number} answers, {size} candidates, m = {m}"
        found.append(Case(says, (answers, candidates, truth, m)))
    return found


def _ranked(answers: Tensor, candidates: Tensor, *, descending: bool = True) -> Tensor:
    return (answers @ candidates.T).argsort(dim=1, descending=descending)


def first_only(answers: Tensor, candidates: Tensor, truth: Tensor, m: int) -> Tensor:
    """You look at the first candidate only: top-1. The truth may be among the first m."""
    return answer(answers, candidates, truth, 1)


def farthest(answers: Tensor, candidates: Tensor, truth: Tensor, m: int) -> Tensor:
    """You keep the m smallest cosines: sort the other way round, or take `topk`."""
    ranked = _ranked(answers, candidates, descending=False)[:, :m]
    return (ranked == truth[:, None]).any(dim=1).float().mean()


def at_place_m(answers: Tensor, candidates: Tensor, truth: Tensor, m: int) -> Tensor:
    """You ask for the truth at place m alone. It counts at any of the first m places."""
    return (_ranked(answers, candidates)[:, m - 1] == truth).float().mean()


def share_of_places(answers: Tensor, candidates: Tensor, truth: Tensor, m: int) -> Tensor:
    """You divide by all places. Each question counts once: is the truth at any of its places?"""
    ranked = rank_candidates(answers, candidates, top=m)
    return (ranked == truth[:, None]).float().mean()


def counted(answers: Tensor, candidates: Tensor, truth: Tensor, m: int) -> Tensor:
    """You counted the right answers. Divide by the number of questions."""
    return answer(answers, candidates, truth, m) * len(answers)


def one_per_question(answers: Tensor, candidates: Tensor, truth: Tensor, m: int) -> Tensor:
    """You have a yes or no for each question. Take their mean, as floats: the share of yes."""
    ranked = rank_candidates(answers, candidates, top=m)
    return (ranked == truth[:, None]).any(dim=1)


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        first_only,
        farthest,
        at_place_m,
        share_of_places,
        counted,
        one_per_question,
    ),
    at_home="`vizer_core.vqa.rank_candidates`",
)
