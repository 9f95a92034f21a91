"""Chapter 1: the second softmax, sub-regions without a loop, sharper attention, another CLIP."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from types import CodeType

import torch
from torch import Tensor

from vizer_core.clip import ImageStates, region_likeness, top_patches
from vizer_core.shapes import unit_norm
from vizer_lab.exercises.goal import Goal, Number, judge_goals
from vizer_lab.practice import Case, Task, Verdict, judge
from vizer_lab.world.mentions import NamedObjects

TOKENS = 65  # 8 by 8 patches and the class token
BOOK_BETA = 10.0
LIKENESS, PLACES = 0.9, 0.05


def judge_one_row(row: Tensor) -> Verdict:
    """Judge a row of attention: which one leaves a token most after a second softmax?"""
    row = torch.as_tensor(row, dtype=torch.float32)
    if row.shape != (TOKENS,):
        return Verdict(False, f"Wanted {TOKENS} numbers, got the shape {[*row.shape]}.")
    if bool((row < 0).any()) or abs(float(row.sum()) - 1) > 1e-4:
        return Verdict(
            False,
            f"This is no row of attention: its numbers add up to {float(row.sum()):.3f} and the "
            f"least is {float(row.min()):.3f}. A softmax gives numbers from 0 to 1 that add up to "
            "1, so no number can be larger than 1.",
        )
    strongest = torch.zeros(TOKENS)
    strongest[0] = 1.0
    mine, book = (float(some.softmax(dim=0).max()) for some in (row, strongest))
    others = int((row > 0).sum())
    goal = Goal("largest weight after the softmax", above=0.99 * book, places=4)
    return judge_goals(
        [goal], [mine], [book], f"{others} tokens share the attention here. One can have all of it."
    )


def _sub_regions(tokens: Tensor, attention: Tensor, chosen: Tensor) -> Tensor:
    weights = torch.take_along_dim(attention, chosen[:, :, None], dim=1)
    return unit_norm(weights @ tokens)


def _not_scaled(tokens: Tensor, attention: Tensor, chosen: Tensor) -> Tensor:
    """The averages are right, their length is not: scale each one to length 1, with unit_norm."""
    return torch.take_along_dim(attention, chosen[:, :, None], dim=1) @ tokens


def _columns(tokens: Tensor, attention: Tensor, chosen: Tensor) -> Tensor:
    """You took columns of A: how much the others attend to the chosen patch. A region is an average
    with the chosen patch's own row."""
    return _sub_regions(tokens, attention.mT, chosen)


def _first_rows(tokens: Tensor, attention: Tensor, chosen: Tensor) -> Tensor:
    """You took the first rows of A. `chosen` says which rows: pick those, with take_along_dim."""
    places = torch.arange(chosen.shape[1]).expand_as(chosen)
    return _sub_regions(tokens, attention, places)


def _no_average(tokens: Tensor, attention: Tensor, chosen: Tensor) -> Tensor:
    """You picked the chosen tokens themselves. A region is an average of all tokens, with the
    weights of the chosen token's row of A."""
    return unit_norm(torch.take_along_dim(tokens, chosen[:, :, None], dim=1))


def judge_sub_regions(function: Callable[..., Tensor], states: ImageStates, count: int) -> Verdict:
    """Judge MacCap's sub-regions of tokens [n, s, d], attention [n, s, s] and chosen [n, r]."""

    def case(rows: slice, number: int, says: str) -> Case:
        tokens = torch.cat([states.image_features[:, None], states.patch_features], dim=1)
        chosen = top_patches(states.readout_attention, number)
        return Case(says, (tokens[rows], states.attention[rows], chosen[rows]))

    task = Task(
        answer=_sub_regions,
        cases=lambda: [
            case(slice(0, 5), count, f"5 images, {count} regions"),
            case(slice(5, 6), 2, "one image, 2 regions"),
        ],
        mistakes=(_not_scaled, _columns, _first_rows, _no_average),
        at_home="`vizer_core.clip.regions_paper`",
    )
    verdict = judge(function, task)
    if verdict.right and any(_loops(function.__code__)):
        return Verdict(
            False,
            "The regions are right, and there is still a loop over images. One product of matrices "
            "makes the averages of all images at once.",
        )
    return Verdict(verdict.right, f"your function {verdict.says}")


def _loops(code: CodeType) -> Iterator[str]:
    """Yield the loops of a function, those of its comprehensions too."""
    for step in dis.get_instructions(code):
        if step.opname in {"FOR_ITER", "JUMP_BACKWARD"}:
            yield step.opname
        if isinstance(step.argval, CodeType):
            yield from _loops(step.argval)


def judge_sharpness(states: ImageStates, beta: Number, count: int) -> Verdict:
    """Judge a power beta of the attention: how alike are two regions of an image?"""

    def likeness(power: float) -> float:
        weights = (states.attention.clamp_min(1e-9).log() * power).softmax(dim=-1)
        tokens = torch.cat([states.image_features[:, None], states.patch_features], dim=1)
        chosen = top_patches(states.readout_attention, count)
        return float(region_likeness(_sub_regions(tokens, weights, chosen)).mean())

    beta = float(beta)
    if beta < 0:
        return Verdict(
            False, "A negative power turns the order round: the least attended token counts most."
        )
    if beta < 1:
        advice = "A power below 1 makes the row flatter, so the regions become more alike."
    elif beta == 1:
        advice = (
            "That is the paper's version. A larger power gives more to the most attended token."
        )
    else:
        advice = "The right direction, and not far enough. Try powers of three."
    goal = Goal("mean cosine of two regions", below=LIKENESS, places=3)
    return judge_goals([goal], [likeness(beta)], [likeness(BOOK_BETA)], advice)


def judge_places(
    features: Tensor, states: ImageStates, texts: Tensor, where: NamedObjects
) -> Verdict:
    """Judge features [n, p, d] by how much more often the right caption hits than a wrong one."""
    wanted = states.patch_features.shape
    if features.shape != wanted:
        return Verdict(
            False,
            f"Wanted a feature for each patch, {[*wanted]}, got {[*features.shape]}. The global "
            "feature says nothing about places.",
        )

    def gain(some: Tensor) -> float:
        right = torch.einsum("npd,nd->np", some, texts)
        wrong = torch.einsum("npd,nd->np", some, texts.roll(1, dims=0))
        return float((where.hits(right) - where.hits(wrong)).mean())

    if torch.equal(features, states.patch_features):
        advice = (
            "These are the patch features. Training never asked them for anything; which of the "
            "four things of a pass goes along the path that was trained?"
        )
    elif torch.allclose(features, features[:, :1].expand_as(features)):
        advice = "Each patch has the same feature, so the map is flat and its maximum an accident."
    else:
        advice = "The largest value does not follow the caption."
    goal = Goal("hits, right minus wrong caption", above=PLACES)
    return judge_goals([goal], [gain(features)], [gain(states.counterfactual_features)], advice)
