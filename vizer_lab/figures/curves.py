"""Named curves over one axis: a score along training steps, or along a number of captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from vizer_core.plots.style import COLOURS, MARKERS, WIDE, figure_style, legend_columns, new_figure
from vizer_lab.figures.intervals import require_roles


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
    require_roles(curves, roles)
    with figure_style():
        figure = new_figure(WIDE, 4.0)
        axes = figure.add_subplot()
        for name, (places, heights) in curves.items():
            line = "--" if roles[name] == "control" else "-"
            axes.plot(
                places,
                heights,
                line,
                color=COLOURS[roles[name]],
                marker=MARKERS[roles[name]],
                markersize=4,
                label=name,
            )
        axes.axhline(0, color=COLOURS["ink"], linewidth=0.8)
        axes.set_xlabel(along)
        axes.set_ylabel(label)
        figure.legend(loc="outside upper left", ncols=legend_columns(curves))
    return figure
