"""Chapter 4: of a point's k nearest neighbours, how many are of its own kind?"""

from __future__ import annotations

import torch
from torch import Tensor

from vizer_core.gap import same_group_share
from vizer_core.runtime import seeded
from vizer_core.shapes import unit_norm
from vizer_lab.practice.task import Case, Task


def answer(points: Tensor, kind: Tensor, k: int) -> float:
    """Return the mean share over all points, by the package."""
    names = [str(int(label)) for label in kind]
    shares = same_group_share(points, names, k=k)
    return sum(shares[name] for name in names) / len(names)


def cases() -> list[Case]:
    """Two clouds on a sphere, far apart or mixed, with more or fewer neighbours."""
    found = []
    for n, apart, k in ((12, 0.6, 3), (20, 0.3, 5), (15, 1.0, 4)):
        noise = seeded(n)
        kind = torch.arange(n) % 3 % 2  # two of one kind for each of the other
        points = torch.randn(n, 3, generator=noise)
        points[:, 0] += apart * (2 * kind - 1)
        found.append(Case(f"{n} points and k = {k}", (unit_norm(points), kind, k)))
    return found


def _share(points: Tensor, kind: Tensor, rows: Tensor) -> float:
    return float((kind[rows] == kind[:, None]).float().mean())


def _cosines(points: Tensor) -> Tensor:
    """Return the cosines of all pairs of points; with itself, less than any."""
    return (points @ points.T).fill_diagonal_(-torch.inf)


def counts_itself(points: Tensor, kind: Tensor, k: int) -> float:
    """A point counts as its own neighbour, and it is always of its own kind. Leave it out: set the
    diagonal of the cosines to minus infinity."""
    return _share(points, kind, (points @ points.T).topk(k, dim=1).indices)


def farthest(points: Tensor, kind: Tensor, k: int) -> float:
    """These are the farthest points. The nearest have the largest cosines (or the smallest
    distances)."""
    return _share(points, kind, (points @ points.T).topk(k, dim=1, largest=False).indices)


def of_the_other_kind(points: Tensor, kind: Tensor, k: int) -> float:
    """That is the share of neighbours of the other kind: 1 minus what is wanted."""
    return 1 - answer(points, kind, k)


def nearest_only(points: Tensor, kind: Tensor, k: int) -> float:
    """Only the nearest neighbour is counted. Take the k nearest."""
    return answer(points, kind, 1)


def count_not_share(points: Tensor, kind: Tensor, k: int) -> float:
    """That is how many of the k neighbours are of the own kind. Divide by k for a share."""
    return k * answer(points, kind, k)


def the_kinds_apart(points: Tensor, kind: Tensor, k: int) -> float:
    """You averaged the kinds first and then the means of the kinds. Every point counts the same
    here: take one mean over all points."""
    shares = same_group_share(points, [str(int(label)) for label in kind], k=k)
    return sum(shares.values()) / len(shares)


def one_too_many(points: Tensor, kind: Tensor, k: int) -> float:
    """You took k + 1 neighbours, and the first of them is the point itself. Leave the first out."""
    return _share(points, kind, (points @ points.T).topk(k + 1, dim=1).indices)


TASK = Task(
    answer=answer,
    cases=cases,
    mistakes=(
        counts_itself,
        farthest,
        of_the_other_kind,
        nearest_only,
        count_not_share,
        the_kinds_apart,
        one_too_many,
    ),
    at_home="`vizer_core.gap.same_group_share`, kind by kind",
)
