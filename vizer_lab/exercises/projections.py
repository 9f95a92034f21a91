"""Chapter 4: a projection moved to the origin, islands half merged, the gap on the first axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from vizer_core.gap import gap_vector, project_pca, shared_neighbours
from vizer_core.gap.projection import Projection
from vizer_lab.exercises.goal import Goal, Number, judge_goals, judge_number
from vizer_lab.practice import Verdict

BOOK_PART = 0.6
LOW, HIGH = 0.6, 0.95  # same-group shares of islands that have half merged
NEIGHBOURS = 15


def judge_moved(points: Tensor, projection: Projection) -> Verdict:
    """Judge points [n, 2] moved so that the text's centre is (0, 0) and every neighbour is kept."""
    if points.shape != projection.points.shape:
        return Verdict(
            False,
            f"Wanted all {len(projection.points)} points, got the shape {[*points.shape]}: what "
            "moves the text must move the others too.",
        )

    def numbers(some: Tensor) -> list[float]:
        text = replace(projection, points=some).of("text")
        kept = shared_neighbours(projection.points, some, k=NEIGHBOURS)
        return [float(text.mean(dim=0).norm()), kept]

    book = projection.points - projection.of("text").mean(dim=0)
    goals = [
        Goal("distance of the text from (0, 0)", below=0.01),
        Goal("neighbours kept", above=0.99),
    ]
    mine = numbers(points)
    if not goals[1].met(mine[1]):
        advice = (
            "Neighbours have changed. They stay if all points are turned, scaled or moved alike."
        )
    elif torch.allclose(points.mean(dim=0), torch.zeros(2), atol=1e-3):
        advice = "You moved the centre of all points there. Subtract the centre of the text."
    else:
        advice = "Every point may move by the same vector. By which one does the text arrive?"
    return judge_goals(goals, mine, numbers(book), advice)


def judge_half_merged(part: Number, same_group: Callable[[float], float]) -> Verdict:
    """Judge a part of the gap to close; `same_group` projects again and gives the share."""
    part = float(part)
    if not 0 <= part <= 1:
        return Verdict(False, f"A part lies between 0 and 1, yours is {part:g}.")
    goal = Goal("same-group share", above=LOW, below=HIGH)
    mine, book = same_group(part), same_group(BOOK_PART)
    advice = (
        "The islands are still apart: close more of the gap."
        if mine >= HIGH
        else "There is one island already: close less of the gap."
    )
    return judge_goals([goal], [mine], [book], advice)


def judge_first_axis(part: Number, image: Tensor, text: Tensor) -> Verdict:
    """Judge the part of the gap's length that lies along the first axis of a PCA."""
    rows = torch.cat([image, text]).double()
    axis = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False).Vh[0]
    gap = gap_vector(image, text).double()
    true = abs(float(gap @ axis) / float(gap.norm()))
    pca = project_pca({"image": image, "text": text})
    step = pca.of("text").mean(dim=0) - pca.of("image").mean(dim=0)
    known = [
        (pca.explained[0], "That is the axis's share of the variance, of which the gap is a part."),
        (true**2, "That is a share of the energy. Of the length, take the root."),
        (-true, "An axis may point either way: take the absolute value."),
        (abs(float(step[0])), "That is the length along the axis. Divide it by the gap norm."),
        (abs(float(step[1])) / float(gap.norm()), "That is the second axis."),
    ]
    return judge_number(part, true, known)
