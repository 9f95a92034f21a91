"""Why mismatched pairs hold a gap open: nine points on a sphere (Liang et al. 2022, appendix).

Nine images lie on the circle of height z, their nine texts at the same angles on the circle of
height -z; the gap is 2|z|. With every pair right, the contrastive loss is least at z = 0. Swap the
texts of two images that stand almost at the same angle (labels 3 and 8: -90 degrees and 1.53 pi)
and, at a low temperature, the least loss moves far away from zero: a gap pays for wrong pairs.

Where we differ: the text says that two labels are swapped, and here two are. The authors' notebook
swaps views of one array (a, b = b, a on elements that are views), so that the second assignment
reads what the first has written, and only one of the two labels changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.gap.shift import contrastive_loss

ANGLES = (0.0, math.pi, math.pi / 2, -math.pi / 2, math.pi / 4, -math.pi / 4)
ANGLES += (3 * math.pi / 4, -3 * math.pi / 4, 1.53 * math.pi)
MISMATCHED = (3, 8)
HEIGHTS = 100  # grid of z from -1 to 1


@dataclass(frozen=True, eq=False)
class SphereSweep:
    """The symmetric contrastive loss at each height."""

    heights: Float[Tensor, " k"]
    losses: Float[Tensor, " k"]

    @property
    def best_height(self) -> float:
        """Absolute height with the least loss: half of the gap that the loss prefers."""
        return abs(float(self.heights[self.losses.argmin()]))


def sphere_points(height: float) -> Float[Tensor, "n d"]:
    """Place the nine directions on the unit sphere at one height.

    >>> sphere_points(1.0)[0].abs()
    tensor([0., 0., 1.])
    """
    if not -1 <= height <= 1:
        raise ValueError(f"height is {height}, wanted -1 to 1: the sphere ends there")
    angles = torch.tensor(ANGLES, dtype=torch.float64)
    radius = math.sqrt(1 - height**2)
    flat = torch.full_like(angles, height)
    points = torch.stack([radius * angles.cos(), radius * angles.sin(), flat], dim=1)
    return points.float()


def sweep_sphere(*, logit_scale: float, mismatch: bool) -> SphereSweep:
    """Take the loss over 100 heights, with all pairs right or with two texts swapped.

    >>> sweep_sphere(logit_scale=100.0, mismatch=False).best_height < 0.02
    True
    """
    if logit_scale <= 0:
        raise ValueError(f"logit_scale is {logit_scale}, wanted a positive number")
    order = list(range(len(ANGLES)))
    if mismatch:
        first, second = MISMATCHED
        order[first], order[second] = second, first
    heights = torch.linspace(-1, 1, HEIGHTS)
    losses = [
        contrastive_loss(
            sphere_points(z), sphere_points(-z)[order], logit_scale=logit_scale, batch_size=9
        ).symmetric
        for z in heights.tolist()
    ]
    return SphereSweep(heights=heights, losses=torch.tensor(losses))
