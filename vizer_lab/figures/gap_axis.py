"""Figures of the gap: images and texts along its direction, and its norm by logit scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vizer_core.gap.shift import gap_direction
from vizer_core.plots.estimates import draw_estimate
from vizer_core.plots.style import COLOURS, WIDE, figure_style, new_figure

BINS = 60


def draw_gap_axis(
    pairs: Mapping[str, tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]],
) -> Figure:
    """Draw where images and texts fall along the gap direction, one panel per model.

    `pairs` maps a model's name to its image and text features; 0 is halfway between the means.
    """
    if not pairs:
        raise ValueError('got no features, wanted for instance {"model": (images, texts)}')
    with figure_style():
        figure = new_figure(WIDE, 0.9 + 1.5 * len(pairs))
        panels = figure.subplots(len(pairs), 1, squeeze=False, sharex=True)[:, 0]
        places = {name: _along_gap(image, text) for name, (image, text) in pairs.items()}
        reach = max(float(np.abs(side).max()) for sides in places.values() for side in sides)
        edges = np.linspace(-reach, reach, BINS + 1)
        for axes, (name, sides) in zip(panels, places.items()):
            for label, side in zip(("image", "text"), sides):
                _draw_side(axes, label, np.histogram(side, bins=edges)[0] / len(side), edges)
            axes.set_title(name)
            axes.set_ylabel("share per bin")
            axes.set_ylim(bottom=0)
        panels[-1].set_xlabel(f"place along the gap (n = {len(sides[0]):,} each)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


def _along_gap(image: Tensor, text: Tensor) -> list[np.ndarray]:
    direction = gap_direction(image, text)
    middle = (image.mean(dim=0) + text.mean(dim=0)) / 2
    return [((side - middle) @ direction).cpu().numpy() for side in (image, text)]


def _draw_side(axes: Axes, label: str, share: np.ndarray, edges: np.ndarray) -> None:
    axes.stairs(share, edges, fill=True, color=COLOURS[label], alpha=0.35)
    style = "-" if label == "image" else "--"
    axes.stairs(share, edges, color=COLOURS[label], linestyle=style, label=label)


def draw_scale_curve(points: Sequence[Mapping[str, Any]], *, nulls: Sequence[float] = ()) -> Figure:
    """Draw gap norm and R@1 against the logit scale, each point with its interval over seeds.

    A point has `scale`, and `gap_norm` and `r1` as `Interval`; `held` is False where the scale
    was learned. The dashed line is the gap that sampling alone would give.
    """
    if len(points) < 2:
        raise ValueError(f"got {len(points)} points, wanted at least two logit scales")
    with figure_style():
        figure = new_figure(WIDE, 4.8)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1.4, 1))
        for axes, key, role in ((top, "gap_norm", "image"), (bottom, "r1", "region")):
            ordered = sorted(points, key=lambda point: point["scale"])
            scales = [point["scale"] for point in ordered]
            values = [point[key] for point in ordered]
            axes.plot(scales, [v.estimate for v in values], color=COLOURS[role], alpha=0.4)
            for point, value in zip(ordered, values):
                fill = COLOURS[role] if point["held"] else "white"
                draw_estimate(
                    axes, value, point["scale"], role, upright=True, wide=1.8, markerfacecolor=fill
                )
            axes.set_ylim(bottom=0)
        for null in nulls:
            top.axhline(null, color=COLOURS["control"], linestyle="--", linewidth=1)
        top.set_ylabel("gap norm")
        bottom.set_ylabel("R@1, 1,000 scenes")
        bottom.set_ylim(0, 1)
        bottom.set_xscale("log")
        bottom.set_xticks(scales, [f"{scale:.0f}" for scale in scales])
        bottom.minorticks_off()
        bottom.set_xlabel("logit scale (1 / temperature); hollow: learned, filled: held fixed")
        figure.align_ylabels()
    return figure
