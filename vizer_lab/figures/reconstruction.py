"""Figures of text-only training: noise as an angle, losses, and what noise costs and gives.

symbol -> name: sigma^2 -> variance, D -> width, N_cr -> copies. An angle is that between a text
feature and its noised self; an image lies at an angle from its caption too, and that is the mark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from vizer_core.metrics.stats import Interval
from vizer_core.plots.estimates import draw_estimate_curve
from vizer_core.plots.style import (
    COLOURS,
    MARKERS,
    WIDE,
    figure_style,
    legend_columns,
    new_figure,
    panel_grid,
)
from vizer_core.plots.training import running_mean
from vizer_core.textonly.noise import GaussianNoise

LINES = {"text": "-", "image": "-", "region": "-", "control": "--"}
SMOOTH = 40  # steps in the running mean of a loss


def draw_noise_cosine(
    measured: Mapping[int, Mapping[float, float]], width: int, *, pair: float, matched: float
) -> Figure:
    """Draw the cosine of a text with its noised self by variance: curves expected, dots measured.

    `measured[m]` has, by variance, the cosine with the mean of m noisy copies. Dotted lines show
    the mean cosine of `pair`s and the variance whose single copy is `matched` to it.
    """
    if not measured or not all(measured.values()):
        raise ValueError("got no cosines, wanted for instance {1: {0.01: 0.66}, 10: {0.01: 0.94}}")
    variances = [v for found in measured.values() for v in found] + [matched]
    grid = np.geomspace(min(variances) / 2, 2 * max(variances), 100)
    with figure_style():
        figure = new_figure(WIDE, 3.6)
        axes = figure.add_subplot()
        for (copies, found), role in zip(measured.items(), ("text", "region", "image", "control")):
            expected = [GaussianNoise(v).expected_cosine(width, copies=copies) for v in grid]
            label = "one noisy copy" if copies == 1 else f"mean of {copies} noisy copies"
            axes.plot(grid, expected, color=COLOURS[role], linewidth=1.2)
            axes.plot(
                list(found), list(found.values()), MARKERS[role], color=COLOURS[role], label=label
            )
        axes.axhline(pair, color=COLOURS["ink"], linestyle=":", linewidth=1.2)
        axes.axvline(matched, color=COLOURS["ink"], linestyle=":", linewidth=1.2)
        axes.annotate(
            "an image and its caption",
            (grid[0], pair),
            xytext=(2, -12),
            textcoords="offset points",
        )
        axes.set_xscale("log")
        ticks = sorted({v for found in measured.values() for v in found})
        axes.set_xticks(ticks, [f"{v:g}" for v in ticks])
        axes.minorticks_off()
        axes.set_ylim(0, 1.03)
        axes.set_xlabel("noise variance in each coordinate")
        axes.set_ylabel("cosine with the clean text feature")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    return figure


def draw_losses(
    losses: Mapping[str, Sequence[float]], *, levels: Mapping[str, float], label: str
) -> Figure:
    """Draw training losses by step, with dotted lines at known levels; thin lines are steps."""
    if not losses or not all(len(values) for values in losses.values()):
        raise ValueError('got no losses, wanted for instance {"no noise": [2.0, 1.9]}')
    with figure_style():
        figure = new_figure(WIDE, 3.4)
        axes = figure.add_subplot()
        for (name, values), role in zip(losses.items(), ("text", "image", "region", "control")):
            steps = np.arange(1, len(values) + 1)
            axes.plot(steps, values, color=COLOURS[role], alpha=0.2, linewidth=1)
            axes.plot(steps, running_mean(values, width=SMOOTH), color=COLOURS[role], label=name)
        ends = [float(np.mean(values[-SMOOTH:])) for values in losses.values()]
        for name, level in levels.items():
            under = level < min(ends)  # on the side of the line where no curve ends
            axes.axhline(level, color=COLOURS["ink"], linestyle=":", linewidth=1.2)
            axes.annotate(
                name,
                (1, level),
                xycoords=("axes fraction", "data"),
                xytext=(0, -3 if under else 3),
                textcoords="offset points",
                ha="right",
                va="top" if under else "bottom",
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel(f"step (thick: mean of {SMOOTH} steps)")
        axes.set_ylabel(label)
        axes.legend(loc="lower left")
    return figure


def draw_trade_off(
    panels: Mapping[str, Mapping[str, Mapping[float, Interval]]],
    *,
    roles: Mapping[str, str],
    mark: float | None = None,
) -> Figure:
    """Draw one panel per metric and one curve a reading, over the angle that the noise turns by.

    Angles are in degrees; bars are 95% intervals. The dotted line stands at `mark`, the angle
    between an image and its caption, where there are images.
    """
    if not panels or not all(curves and all(curves.values()) for curves in panels.values()):
        raise ValueError('got no points, wanted {"CIDEr": {"text": {0.0: Interval(...)}}}')
    strange = {
        name for curves in panels.values() for name in curves if roles.get(name) not in LINES
    }
    if strange:
        raise ValueError(
            f"no role for {sorted(strange)}: wanted one of {', '.join(LINES)} for each"
        )
    with figure_style():
        columns, lines = panel_grid(len(panels))
        figure = new_figure(min(WIDE, 3.2 * columns), 0.4 + 3 * lines)
        cells = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes in cells[len(panels) :]:
            axes.remove()
        for axes, (metric, curves) in zip(cells, panels.items()):
            for turn, (name, points) in enumerate(curves.items()):
                apart = {angle + 0.7 * turn: value for angle, value in points.items()}
                role = roles[name]
                look = {"linestyle": LINES[role], "markersize": 5}
                draw_estimate_curve(axes, name, apart, role, **look)
            if mark is not None:
                axes.axvline(mark, color=COLOURS["ink"], linestyle=":", linewidth=1.2)
            axes.set_ylim(bottom=0)
            axes.set_title(metric)
            axes.set_xlabel("angle of the noise, degrees")
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside upper left", ncols=legend_columns(roles)
        )
    return figure
