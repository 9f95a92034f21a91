"""Rows of estimates with their 95% intervals: one per row, or several, as many as there are ways.

A table of systems by metrics is `vizer_core.plots.forest`; here rows are conditions, kinds of
words, bases, types of question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vizer_core.metrics.stats import Interval
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

STEP = 0.22  # of a row, between the estimates that it contains
PER_ROW = 0.18

Estimates = Mapping[str, Interval]  # row -> estimate
Panel = Mapping[str, Estimates]  # way of measuring -> row -> estimate


def draw_intervals(
    intervals: Mapping[str, Interval],
    *,
    label: str,
    chance: float | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw one row per system: its estimate and 95% interval; the dashed line is chance.

    A comma or one of `plots.style.role_of`'s words in a name marks a control: grey.
    """
    if not intervals:
        raise ValueError('got no intervals, wanted for instance {"patches": Interval(...)}')
    with figure_style():
        figure = new_figure(WIDE, 1.3 + 0.4 * len(intervals))
        axes = figure.add_subplot()
        for place, (name, value) in enumerate(intervals.items()):
            number = f"{value.estimate:.2f}"
            draw_estimate(axes, value, place, role_of(name), number=number, markersize=7)
        if chance is not None:
            axes.axvline(chance, color=COLOURS["ink"], linestyle="--", linewidth=1)
            axes.set_title(f"dashed: chance, {chance:.2f}")
        axes.set_yticks(range(len(intervals)), list(intervals))
        axes.invert_yaxis()
        axes.margins(y=0.16)
        if limits is not None:
            axes.set_xlim(*limits)
        axes.set_xlabel(label)
    return figure


def draw_grouped_intervals(
    panels: Mapping[str, Panel],
    *,
    label: str,
    roles: Mapping[str, str],
    zero: float | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw panels side by side; each row contains a group of dots, one for every way of measuring.

    `panels` maps a title to ways to rows to estimates. `roles` gives every way one of the book's
    fixed colours (`plots.style.MARKERS`). A way may lack rows. `zero` draws a dashed line.
    """
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    if not names or any(not found for panel in panels.values() for found in panel.values()):
        raise ValueError("got no estimates for a way: wanted {panel: {way: {row: Interval}}}")
    require_roles(names, roles)
    rows = list(dict.fromkeys(r for p in panels.values() for found in p.values() for r in found))
    with figure_style():
        height = 1.5 + len(rows) * (PER_ROW + 0.1 * len(names))
        figure = new_figure(WIDE, height)
        drawn = figure.subplots(1, len(panels), sharey=True, sharex=True, squeeze=False)[0]
        for axes, (title, panel) in zip(drawn, panels.items()):
            _draw_panel(axes, panel, (rows, names, roles))
            axes.set_title(title)
            axes.set_xlabel(label)
            if zero is not None:
                axes.axvline(zero, color=COLOURS["ink"], linestyle="--", linewidth=1)
        drawn[0].set_yticks(range(len(rows)), rows)
        drawn[0].set_ylim(len(rows) - 0.5, -0.5)
        if limits is not None:
            drawn[0].set_xlim(*limits)
        shown = {}
        for axes in drawn:
            shown |= dict(zip(*reversed(axes.get_legend_handles_labels())))
        figure.legend(shown.values(), shown, loc="outside upper left", ncols=legend_columns(shown))
    return figure


def _draw_panel(axes: Axes, panel: Panel, scale: tuple[list[str], list[str], Mapping]) -> None:
    rows, names, roles = scale
    for name, found in panel.items():
        place = names.index(name) - (len(names) - 1) / 2
        for row, value in found.items():
            height = rows.index(row) + STEP * place
            draw_estimate(axes, value, height, roles[name], wide=2.2, label=name)
    axes.grid(visible=False, axis="y")


def require_roles(names: Iterable[str], roles: Mapping[str, str]) -> None:
    """Raise `ValueError` unless every name has one of the book's roles."""
    if wrong := [name for name in dict.fromkeys(names) if roles.get(name) not in MARKERS]:
        raise ValueError(f"no role for {wrong}: wanted one of {', '.join(MARKERS)} each")
