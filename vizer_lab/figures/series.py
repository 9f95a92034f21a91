"""Rows that are read in several ways: panels of dots with intervals, one dot a reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vizer_core.metrics.stats import Interval
from vizer_core.plots.style import COLOURS, MARKERS, figure_style, new_figure

STEP = 0.22  # of a row, between its series
ROLES = ("image", "text", "region", "control", "accent")
SIGNS = MARKERS | {"accent": "v"}
PER_ROW = 0.18

Series = Mapping[str, Interval]  # row -> estimate
Panel = Mapping[str, Series]  # series -> row -> estimate


def draw_series(
    panels: Mapping[str, Panel],
    *,
    label: str,
    roles: Mapping[str, str],
    zero: float | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw panels side by side; each row holds one dot with its 95% interval for every series.

    `roles` gives every series one of the book's fixed colours (`image`, `text`, `region`,
    `control`, `accent`). A series may lack rows. `zero` draws a dashed line.
    """
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    if not names or any(not series for panel in panels.values() for series in panel.values()):
        raise ValueError(
            "got no series, or an empty one: wanted {panel: {series: {row: Interval}}}"
        )
    _require_roles(names, roles)
    rows = list(dict.fromkeys(r for p in panels.values() for series in p.values() for r in series))
    with figure_style():
        height = 1.5 + len(rows) * (PER_ROW + 0.1 * len(names))
        figure = new_figure(7.2 if len(panels) > 1 else 6.4, height)
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
        figure.legend(shown.values(), shown, loc="outside upper left", ncols=min(3, len(names)))
    return figure


def _draw_panel(axes: Axes, panel: Panel, scale: tuple[list[str], list[str], Mapping]) -> None:
    rows, names, roles = scale
    for name, series in panel.items():
        role, place = roles[name], names.index(name) - (len(names) - 1) / 2
        heights = [rows.index(row) + STEP * place for row in series]
        lows = [value.low for value in series.values()]
        highs = [value.high for value in series.values()]
        axes.hlines(heights, lows, highs, color=COLOURS[role], linewidth=2.2)
        means = [value.mean for value in series.values()]
        axes.plot(means, heights, SIGNS[role], color=COLOURS[role], markersize=6, label=name)
    axes.grid(visible=False, axis="y")


def draw_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    along: str,
    label: str,
    roles: Mapping[str, str],
) -> Figure:
    """Draw named curves, each (places, heights); the legend names them, `roles` colours them.

    A curve whose role is `control` is dashed.
    """
    if not curves or any(len(x) != len(y) or not len(x) for x, y in curves.values()):
        raise ValueError("got no curves, or places and heights of different numbers")
    _require_roles(list(curves), roles)
    with figure_style():
        figure = new_figure(6.8, 4.0)
        axes = figure.add_subplot()
        for name, (places, heights) in curves.items():
            line = "--" if roles[name] == "control" else "-"
            axes.plot(places, heights, line, color=COLOURS[roles[name]],
                      marker=SIGNS[roles[name]], markersize=4, label=name)  # fmt: skip
        axes.axhline(0, color=COLOURS["ink"], linewidth=0.8)
        axes.set_xlabel(along)
        axes.set_ylabel(label)
        figure.legend(loc="outside upper left", ncols=2)
    return figure


def _require_roles(names: Sequence[str], roles: Mapping[str, str]) -> None:
    if wrong := [name for name in names if roles.get(name) not in ROLES]:
        raise ValueError(f"no role for the series {wrong}: wanted one of {', '.join(ROLES)} each")
