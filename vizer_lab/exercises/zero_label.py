"""Chapter 11: the size of an adapter, where a model moved, two losses that pull apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vizer_core.runtime import seeded
from vizer_core.vizer import ImageContext, StraightThrough
from vizer_core.vizer.train_mapper import FittedMapper
from vizer_lab.exercises.goal import Goal, judge_goals, judge_written
from vizer_lab.practice import Case, Task, Verdict

APART = 0.5  # a cosine of two gradients


def judge_adapter_size(
    function: Callable[[Any], float], layers: Sequence[Any], rank: int, true: int
) -> Verdict:
    """Judge the number of weights that LoRA adds to a layer, over all layers that have it."""

    def total(of: Callable[[Any], float]) -> int:
        return round(sum(of(layer) for layer in layers))

    mine = total(function)
    both = f"Your adapter has {mine:,} weights, the model's has {true:,}."
    if mine == true:
        return Verdict(True, both)
    known = [
        (lambda m: m.in_features * m.out_features, "That is the matrix beside which LoRA stands."),
        (lambda m: rank * m.in_features, "That is A alone: B is missing."),
        (lambda m: rank * m.out_features, "That is B alone: A is missing."),
        (lambda m: m.in_features + m.out_features, "That is an adapter of rank 1."),
        (
            lambda m: rank * m.in_features * m.out_features,
            "You took the whole matrix r times. A and B each have one side of length r.",
        ),
        (
            lambda m: (rank * m.in_features) * (rank * m.out_features),
            "You multiplied the sizes of A and B. Two matrices that are kept are added up.",
        ),
    ]
    says = [advice for of, advice in known if total(of) == mine]
    return Verdict(False, " ".join([*says[:1], both]))


def _by_position(values: Tensor, position: Tensor, count: int) -> Tensor:
    return torch.stack([values[position == place].mean() for place in range(count)])


def _of_all(values: Tensor, position: Tensor, count: int) -> Tensor:
    """That is the mean over all words, so many times. Choose the words of one position each time:
    `values[position == p]`."""
    return values.mean().expand(count)


def _up_to(values: Tensor, position: Tensor, count: int) -> Tensor:
    """You took the words up to each position. Choose those that stand at it: `==`, not `<=`."""
    return torch.stack([values[position <= place].mean() for place in range(count)])


def _sums(values: Tensor, position: Tensor, count: int) -> Tensor:
    """Those are sums. Fewer captions reach the later positions, so take the mean of each."""
    return torch.stack([values[position == place].sum() for place in range(count)])


def _from_one(values: Tensor, position: Tensor, count: int) -> Tensor:
    """You began with position 1. The first word stands at position 0."""
    return torch.stack([values[position == place + 1].mean() for place in range(count)])


def judge_by_position(function: Callable[..., Tensor]) -> Verdict:
    """Judge the means of values [m] at the first `count` positions, given as position [m]."""

    def case(lengths: Sequence[int], count: int) -> Case:
        position = torch.cat([torch.arange(length) for length in lengths])
        values = torch.rand(len(position), generator=seeded(len(lengths)))
        return Case(f"{len(lengths)} captions", (values, position, count))

    task = Task(
        answer=_by_position,
        cases=lambda: [case((6, 7, 9), 3), case((4, 8, 5, 6), 4)],
        mistakes=(_of_all, _up_to, _sums, _from_one),
    )
    return judge_written(function, task)


def judge_other_loss(
    objective: Any, reader: FittedMapper, cosine: Callable[[Any], float]
) -> Verdict:
    """Judge an objective by how far its gradient points from that of the paper's loss."""
    if isinstance(objective, ImageContext):
        advice = "The caption is still read after its image, so this is the paper's loss."
        if objective.fitted is reader:
            advice += " Only its mapper is another one."
        return Verdict(False, f"{advice} Which objective reads the words alone?")
    if not isinstance(objective, StraightThrough):
        return Verdict(
            False, f"Wanted a `StraightThrough` of a mapper, got {type(objective).__name__}."
        )
    if objective.fitted is not reader:
        return Verdict(
            False,
            "This mapper was fitted on captions read after their image. Give the one that was "
            "trained on captions read alone.",
        )
    goal = Goal("cosine of the two gradients", below=APART)
    return judge_goals([goal], [cosine(objective)], [cosine(StraightThrough(reader))])
