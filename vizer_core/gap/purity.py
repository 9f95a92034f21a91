"""Do the groups of a space form islands? The share of neighbours that belong to one's own group.

MacCap figure 6 shows islands in a projection. This number can be taken of the projection and of the
space that it draws, so the two can be compared. 1: every point has its own kind around it; with
groups of equal size and no islands it is one over the number of groups.

symbol -> name: k -> neighbours compared.

Where we differ: the paper gives a projection only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def same_group_share(
    space: Float[Tensor, "n c"], labels: Sequence[str], *, k: int = 15
) -> dict[str, float]:
    """Return, by group, how many of a point's k nearest neighbours are of its own group.

    Distances are Euclidean; between unit vectors they rank as cosines do.

    >>> line = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    >>> same_group_share(line, ["left", "left", "right", "right"], k=1)
    {'left': 1.0, 'right': 1.0}
    """
    n = len(space)
    if len(labels) != n:
        raise ValueError(f"got {len(labels)} labels for {n} points, wanted one each")
    if not 1 <= k < n:
        raise ValueError(f"k is {k}, wanted 1 to {n - 1} for {n} points")
    names = list(dict.fromkeys(labels))
    group = torch.tensor([names.index(label) for label in labels])
    points = space.detach().cpu().double()
    distances = torch.cdist(points, points).fill_diagonal_(torch.inf)
    near = distances.topk(k, dim=1, largest=False).indices
    own = (group[near] == group[:, None]).double().mean(dim=1)
    return {name: float(own[group == index].mean()) for index, name in enumerate(names)}
