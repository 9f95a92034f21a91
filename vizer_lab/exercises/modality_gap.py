"""Chapter 2: the energy of the gap, when a gap pays, closing it at no cost, the bar of a region."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vizer_core.gap import sweep_sphere
from vizer_lab.exercises.goal import Goal, Number, judge_goals, judge_written
from vizer_lab.practice import Case, Task, Verdict

BOOK_SCALE = 50.0
PAYING, LEVEL = 0.5, 0.02  # heights of the two circles
GAP_LEFT, RECALL_LOST = 0.1, 0.01

Move = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _energy(cosine: float) -> float:
    return 2 - 2 * cosine


def _distance(cosine: float) -> float:
    """You have the length of the difference. The energy is its square."""
    return (2 - 2 * cosine) ** 0.5


def _half(cosine: float) -> float:
    """You have half of it: the square has two cross terms, and two squares of length 1."""
    return 1 - cosine


def _one_square(cosine: float) -> float:
    """One of the two squares is missing: both vectors have length 1."""
    return 1 - 2 * cosine


def _sum(cosine: float) -> float:
    """That is the energy of the sum of the two. Mind the sign of the cross term."""
    return 2 + 2 * cosine


def judge_energy(function: Callable[[float], float]) -> Verdict:
    """Judge the mean squared distance of pairs of length 1, as a function of their mean cosine."""
    task = Task(
        answer=_energy,
        cases=lambda: [Case(f"a mean cosine of {c:g}", (c,)) for c in (0.4, 0.9, -0.3)],
        mistakes=(_distance, _half, _one_square, _sum),
        at_home="`vizer_core.gap.measure_gap`",
    )
    return judge_written(function, task)


def judge_scale(scale: Number) -> Verdict:
    """Judge a logit scale: does the loss of the nine points open a gap, if two pairs are wrong?"""
    scale = float(scale)
    if scale <= 0:
        return Verdict(False, f"A logit scale is above 0, yours is {scale:g}.")
    goals = [
        Goal("best height, two wrong pairs", above=PAYING),
        Goal("best height, all pairs right", below=LEVEL),
    ]

    def heights(of: float) -> list[float]:
        return [sweep_sphere(logit_scale=of, mismatch=wrong).best_height for wrong in (True, False)]

    mine = heights(scale)
    advice = (
        "At this scale a wrong pair costs too little to move anything. Make the softmax sharper: "
        "double the scale."
        if mine[0] < LEVEL
        else "The circles have begun to part. A little more."
    )
    return judge_goals(goals, mine, heights(BOOK_SCALE), advice)


def _first_places(images: Tensor, texts: Tensor) -> float:
    own = torch.arange(len(images), device=images.device)
    return float(((images @ texts.T).argmax(dim=1) == own).float().mean())


def _gap(images: Tensor, texts: Tensor) -> float:
    return float((texts.mean(dim=0) - images.mean(dim=0)).norm())


def _book_move(images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    return images, texts - (texts.mean(dim=0) - images.mean(dim=0))


def judge_move(function: Move, images: Tensor, texts: Tensor) -> Verdict:
    """Judge a way to close the gap [n, d] by the gap that is left, and by R@1, image to text."""
    moved = function(images.clone(), texts.clone())
    if not isinstance(moved, tuple | list) or len(moved) != 2:
        return Verdict(False, "Give two tables back: the images and the texts.")
    if any(new.shape != old.shape for new, old in zip(moved, (images, texts), strict=True)):
        shapes = " and ".join(str([*new.shape]) for new in moved)
        return Verdict(False, f"Both tables must keep their shape {[*images.shape]}, got {shapes}.")
    as_trained = _first_places(images, texts)
    goals = [
        Goal("gap", below=GAP_LEFT),
        Goal("R@1, image to text", above=as_trained - RECALL_LOST, places=3),
    ]
    mine = [_gap(*moved), _first_places(*moved)]
    ours = _book_move(images, texts)
    book = [_gap(*ours), _first_places(*ours)]
    return judge_goals(goals, mine, book, _advice_on_move(goals, mine, moved))


def _advice_on_move(goals: list[Goal], mine: list[float], moved: tuple[Tensor, Tensor]) -> str:
    closed, kept = (goal.met(value) for goal, value in zip(goals, mine, strict=True))
    lengths = torch.cat([table.norm(dim=1) for table in moved])
    if not closed:
        return "The gap is still open: the two means must fall on one another."
    if not kept and bool((lengths - 1).abs().max() < 1e-3):
        return (
            "The gap is closed, and the order of the captions has changed. The shift is the same "
            "for all: what you do after it is not."
        )
    return (
        "The gap is closed, and the order of the captions has changed. For one image, what may be "
        "added to the cosines of all captions without changing their order?"
    )


def _bar(region_global: Tensor, global_text: Tensor) -> Tensor:
    return ((2 + 2 * region_global).sqrt() - 1) * global_text


def _no_minus(region_global: Tensor, global_text: Tensor) -> Tensor:
    """The global feature's own part is missing: the mix contains cos(x, t) once already, so
    subtract 1 from the root."""
    return (2 + 2 * region_global).sqrt() * global_text


def _no_root(region_global: Tensor, global_text: Tensor) -> Tensor:
    """The length of the mix is a root: the square root of 2 + 2c."""
    return (1 + 2 * region_global) * global_text


def _as_near(region_global: Tensor, global_text: Tensor) -> Tensor:
    """That asks the region to be as near to the caption as the image is. It need not be, because
    averaging shortens the mix before it is scaled."""
    return global_text.clone()


def _swapped(region_global: Tensor, global_text: Tensor) -> Tensor:
    """The two cosines have changed places: c, of region and image, stands under the root."""
    return ((2 + 2 * global_text).sqrt() - 1) * region_global


def judge_bar(function: Callable[[Tensor, Tensor], Tensor]) -> Verdict:
    """Judge the bar, of c and cos(x, t), that cos(r, t) must clear for a mix to be nearer."""
    task = Task(
        answer=_bar,
        cases=lambda: [
            Case("three regions", (torch.tensor([0.2, 0.6, 0.95]), torch.tensor([0.3, 0.4, 0.5]))),
            Case("a region that is the image", (torch.ones(1), torch.tensor([0.4]))),
        ],
        mistakes=(_no_minus, _no_root, _as_near, _swapped),
        at_home="`vizer_core.gap.pair_cosines`",
    )
    return judge_written(function, task)
