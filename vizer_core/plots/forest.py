"""Figures of a results table: systems by metrics with intervals, and a score along a sweep.

A forest has one row per system and one panel per metric, so that a row that does well in one panel
and badly in the next is seen at once. What a row is decides its colour and marker:

===========  ===================================================================
role         meaning
===========  ===================================================================
image        a method
region       the method that the chapter is about, and its variants
control      a row that should fail
text         a bound: it reads what a method may not
===========  ===================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vizer_core.metrics.stats import Interval
from vizer_core.plots.estimates import draw_estimate, draw_estimate_curve
from vizer_core.plots.style import (
    COLOURS,
    MARKERS,
    WIDE,
    figure_style,
    legend_columns,
    new_figure,
    panel_grid,
)

APART = 0.04  # of the smallest distance between settings
Panel = Mapping[str, Interval]


def draw_forest(
    panels: Mapping[str, Panel],
    *,
    roles: Mapping[str, str],
    legend: Mapping[str, str],
    mark: str | None = None,
) -> Figure:
    """Draw one row per system and one panel per metric, each estimate with its 95% interval.

    The rows are those of the first panel, in its order; `roles` gives each its role and `legend`
    the words for a role. A dotted line runs through the estimate of `mark` in every panel.
    """
    rows = _rows(panels, roles)
    if mark is not None and mark not in rows:
        raise ValueError(f"no row {mark!r} to mark: wanted one of {', '.join(rows)}")
    with figure_style():
        columns, lines = panel_grid(len(panels))
        figure = new_figure(WIDE, 0.7 + lines * (0.5 + 0.3 * len(rows)))
        cells = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
        for axes in cells[len(panels) :]:
            axes.remove()
        for axes, (label, found) in zip(cells, panels.items()):
            for place, name in enumerate(rows):
                if name in found:
                    draw_estimate(axes, found[name], place, roles[name])
            if mark is not None and mark in found:
                axes.axvline(found[mark].estimate, color=COLOURS["control"], linestyle=":")
            axes.set_yticks(range(len(rows)), rows)
            axes.set_ylim(len(rows) - 0.4, -0.6)
            axes.set_xlabel(label)
        figure.legend(
            handles=[_key(role, words) for role, words in legend.items()],
            loc="outside upper left",
            ncols=legend_columns(legend.values(), most=4),
        )
    return figure


def _rows(panels: Mapping[str, Panel], roles: Mapping[str, str]) -> list[str]:
    if not panels or not next(iter(panels.values())):
        raise ValueError('got no rows, wanted for instance {"CIDEr": {"maccap": Interval(...)}}')
    rows = list(next(iter(panels.values())))
    strange = {name: roles.get(name) for name in rows if roles.get(name) not in MARKERS}
    if strange:
        raise ValueError(f"roles are {strange}: wanted one of {', '.join(MARKERS)} for each row")
    return rows


def _key(role: str, words: str) -> Line2D:
    return Line2D([], [], color=COLOURS[role], marker=MARKERS[role], linestyle="", label=words)


def draw_sweep(
    curves: Mapping[str, Mapping[float, Interval]],
    *,
    labels: tuple[str, str],
    roles: Mapping[str, str],
    log: bool = False,
    level: tuple[str, float] | None = None,
) -> Figure:
    """Draw a score along a setting, one curve per system, a bar for each 95% interval.

    `labels` name the setting and the score. `log` spaces the setting by its logarithm. Points of
    several curves at one setting stand a little apart, so that their bars can be told. `level`
    names a score that does not depend on the setting: a dotted line.
    """
    if not curves or not all(curves.values()):
        raise ValueError('got no points, wanted for instance {"regions": {1.0: Interval(...)}}')
    with figure_style():
        figure = new_figure(WIDE, 3.6)
        axes = figure.add_subplot()
        if log:
            axes.set_xscale("log")
        at = sorted({x for points in curves.values() for x in points})
        shift = APART * min((high - low for low, high in pairwise(at)), default=1.0)
        for turn, (name, points) in enumerate(curves.items()):
            apart = {(x * 1.03**turn if log else x + shift * turn): y for x, y in points.items()}
            draw_estimate_curve(axes, name, apart, roles[name])
        axes.set_xticks(at, [f"{x:g}" for x in at])
        axes.minorticks_off()
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        if level is not None:
            axes.axhline(level[1], color=COLOURS["control"], linestyle=":", label=level[0])
        if min(value.low for points in curves.values() for value in points.values()) >= 0:
            axes.set_ylim(bottom=0)
        if len(curves) > 1 or level is not None:
            axes.legend()
    return figure
