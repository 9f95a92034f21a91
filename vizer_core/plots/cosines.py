"""Figures of pair cosines: MacCap Table 1 with its controls, and the closer-patch fraction.

Every function takes data, never a model, and returns a figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vizer_core.gap.closer import CloserFraction
from vizer_core.gap.regions import CosineRow
from vizer_core.plots.estimates import draw_estimate
from vizer_core.plots.style import (
    COLOURS,
    MARKERS,
    WIDE,
    figure_style,
    legend_columns,
    new_figure,
    role_of,
)

BINS = 60
DASHES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))


def draw_pair_cosines(
    cosines: Mapping[str, Tensor], *, label: str = "cosine of image side and caption"
) -> Figure:
    """Draw the spread of pair cosines, one outline for each system on common bins.

    Names decide colours (`style.role_of`); controls are grey and dashed. A tick on the axis
    marks each mean.
    """
    if not cosines:
        raise ValueError('got nothing to draw, wanted for instance {"global": cosines}')
    values = {name: series.double().cpu().numpy() for name, series in cosines.items()}
    low, high = min(v.min() for v in values.values()), max(v.max() for v in values.values())
    edges = np.linspace(low, high if high > low else low + 1e-3, BINS + 1)
    dashes = iter(DASHES * len(values))
    with figure_style():
        figure = new_figure(WIDE, 3.6)
        axes = figure.add_subplot()
        for name, series in values.items():
            role = role_of(name)
            style = next(dashes) if role == "control" else "-"
            mean = series.mean()
            axes.stairs(
                np.histogram(series, bins=edges)[0] / len(series),
                edges,
                color=COLOURS[role],
                linestyle=style,
                linewidth=1.6,
                label=f"{name}: mean {mean:.3f}",
                fill=False,
            )
            axes.axvline(mean, ymax=0.04, color=COLOURS[role], linewidth=3)
        axes.set_xlabel(label)
        axes.set_ylabel(f"share of pairs per bin (n = {_counts(values)})")
        axes.set_ylim(bottom=0)
        _legend_above(axes)
    return figure


def draw_cosine_table(rows: Sequence[CosineRow]) -> Figure:
    """Draw MacCap Table 1 as dots: mean with minimum and maximum, and the gain over global.

    The gain carries its paired 95% interval; the dashed line is no gain at all.
    """
    if not rows:
        raise ValueError("got no rows, wanted the list that gap.cosine_table returns")
    height = 1.3 + 0.36 * len(rows)
    with figure_style():
        figure = new_figure(WIDE, height)
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
        for place, row in enumerate(rows):
            role = role_of(row.system)
            left.plot([row.minimum, row.maximum], [place] * 2, color=COLOURS[role], linewidth=1)
            left.plot([row.minimum, row.maximum], [place] * 2, "|", color=COLOURS[role])
            left.plot(row.mean.estimate, place, MARKERS[role], color=COLOURS[role], markersize=6)
            draw_estimate(right, row.gain, place, role, wide=1.8)
        left.set_yticks(range(len(rows)), [row.system for row in rows])
        left.invert_yaxis()
        left.set_xlabel("pair cosine:\nmean, minimum, maximum")
        left.margins(y=0.12)
        right.axvline(0, color=COLOURS["ink"], linestyle="--", linewidth=1)
        right.set_xlabel("gain over global,\npaired 95% interval")
        right.tick_params(left=False)
        right.locator_params(axis="x", nbins=4)
        left.set_title(f"n = {rows[0].n:,} pairs")
    return figure


def draw_closer_fraction(found: CloserFraction) -> Figure:
    """Draw the share of pairs in which some patch is closer, above what chance gives."""
    entries = [
        ("this image's patches", found.fraction, "region"),
        ("another image's patches", found.other_image, "control"),
        ("another image's caption", found.other_caption, "control"),
    ]
    points = [
        (f"if patches won independently\n(each {found.patch_win_rate:.1%})", found.if_independent),
        (f"if global were one more patch\n(p/(p+1), p = {found.patches})", found.if_exchangeable),
    ]
    with figure_style():
        figure = new_figure(WIDE, 2.9)
        axes = figure.add_subplot()
        for place, (_, interval, role) in enumerate(entries):
            number = f"{interval.estimate:.3f}"
            draw_estimate(axes, interval, place, role, number=number, markersize=7)
        for place, (_, value) in enumerate(points, start=len(entries)):
            axes.plot(value, place, "D", color=COLOURS["control"], mfc="white", markersize=6)
        names = [name for name, _, _ in entries] + [name for name, _ in points]
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.margins(y=0.14)
        axes.set_xlim(-0.06, 1.06)
        axes.set_xlabel(f"share of pairs with a patch closer\nthan the image (n = {found.n:,})")
    return figure


def _counts(values: Mapping[str, np.ndarray]) -> str:
    sizes = sorted({len(series) for series in values.values()})
    return " to ".join(f"{size:,}" for size in {sizes[0]: 0, sizes[-1]: 0})


def _legend_above(axes: Axes) -> None:
    columns = legend_columns(axes.get_legend_handles_labels()[1], most=2)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2)
