"""Precision against recall along the temperature: is a gain more than cooler drawing?

Cooling trades nothing away on these models: drawn with less chance, captions say more that is true.
So a trained model is to be compared with the whole curve of the untrained one, from temperature 1
through .7 to greedy, and not with one point of it. Above the curve something was gained; along it,
a temperature was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vizer_core.plots.estimates import Estimate, draw_estimate, draw_interval
from vizer_core.plots.style import COLOURS, MARKERS, WIDE, figure_style, legend_columns, new_figure
from vizer_lab.figures.intervals import require_roles

Point = tuple[Estimate, Estimate]  # recall, precision
Curve = Mapping[str, Point]  # how it was decoded -> point, the warmest first
COLUMNS = 2
EQUAL = (0.2, 0.4, 0.6, 0.8, 0.9)
ROOM = 0.02  # beyond 1, so that a mark at the edge is whole


def draw_precision_recall(
    panels: Mapping[str, Mapping[str, Curve]], *, roles: Mapping[str, str]
) -> Figure:
    """Draw one panel per base, one curve per system, one point a way of decoding, with intervals.

    Faces pale as captions are drawn cooler. Thin lines join points of equal F1.
    """
    ways = _require(panels, roles)
    columns = min(COLUMNS, len(panels))
    rows = ceil(len(panels) / columns)
    with figure_style():
        figure = new_figure(min(WIDE, 1.4 + 2.9 * columns), 1.5 + 2.7 * rows)
        cells = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axes, (title, curves) in zip(cells, panels.items()):
            _draw_panel(axes, curves, roles, ways)
            _draw_equal_f1(axes, *(_least(panels, side) for side in (0, 1)))
            axes.set_title(title)
            axes.set_xlabel("recall of objects")
            axes.xaxis.set_tick_params(labelbottom=True)
        for axes in cells[len(panels) :]:
            axes.remove()
        for axes in cells[::columns]:
            axes.set_ylabel("precision of objects")
        names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
        keys = [_key(COLOURS[roles[name]], MARKERS[roles[name]], 1.0, name) for name in names]
        keys += [_key(COLOURS["ink"], "o", _face(ways, way), way) for way in ways]
        figure.legend(
            handles=keys,
            loc="outside upper left",
            ncols=min(columns + 1, legend_columns([*names, *ways])),
        )
    return figure


def _draw_panel(
    axes: Axes, curves: Mapping[str, Curve], roles: Mapping[str, str], ways: Sequence[str]
) -> None:
    for name, curve in curves.items():
        colour, sign = COLOURS[roles[name]], MARKERS[roles[name]]
        points = list(curve.values())
        recall, precision = [r.mean for r, _ in points], [p.mean for _, p in points]
        axes.plot(recall, precision, color=colour, linewidth=1.2, alpha=0.7)
        for way, (r, p) in curve.items():
            draw_interval(axes, p, r.mean, roles[name], upright=True, wide=1)
            look = {"markerfacecolor": _mix(colour, _face(ways, way))}
            look |= {"markersize": 10 if sign == "*" else 6}
            draw_estimate(axes, r, p.mean, roles[name], wide=1, **look)


def _least(panels: Mapping[str, Mapping[str, Curve]], side: int) -> float:
    """Return where an axis begins: the tenth below all intervals, with room for a mark."""
    curves = [curve for found in panels.values() for curve in found.values()]
    low = min(point[side].low for curve in curves for point in curve.values())
    return max(0.0, floor(10 * (low - ROOM)) / 10)


def _draw_equal_f1(axes: Axes, left: float, low: float) -> None:
    """Draw and name the lines of equal F1 in a panel that begins at `left` and `low`."""
    axes.set_xlim(left, 1 + ROOM)
    axes.set_ylim(low, 1 + ROOM)
    for f1 in EQUAL:
        recall = np.linspace(f1 / 2 + 1e-3, 1, 200)
        precision = f1 * recall / (2 * recall - f1)
        axes.plot(recall[precision <= 1], precision[precision <= 1], color="#D5D5D5", linewidth=0.8)
        name = {"s": f"F1 {f1:.1f}", "color": COLOURS["control"], "va": "bottom"}
        if f1 / (2 - f1) > low:
            axes.text(0.99, f1 / (2 - f1), ha="right", **name)
        elif 2 * low > f1 and f1 * low / (2 * low - f1) > left:  # it leaves below
            axes.text(f1 * low / (2 * low - f1), low, ha="left", **name)
    axes.grid(visible=False)


def _face(ways: Sequence[str], way: str) -> float:
    """Return how much of its colour a point's face keeps: the coolest is white."""
    return 1.0 - ways.index(way) / max(1, len(ways) - 1)


def _mix(colour: str, share: float) -> tuple[float, ...]:
    return tuple(share * part + 1 - share for part in to_rgb(colour))


def _key(colour: str, sign: str, face: float, label: str) -> Line2D:
    look = {"markerfacecolor": _mix(colour, face), "linestyle": ""}
    return Line2D([], [], color=colour, marker=sign, label=label, **look)


def _require(
    panels: Mapping[str, Mapping[str, Curve]], roles: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the ways of decoding, as the longest curve has them."""
    curves = {name: curve for found in panels.values() for name, curve in found.items()}
    if not curves or not all(c for found in panels.values() for c in found.values()):
        raise ValueError("got no points, wanted {base: {system: {way: (recall, precision)}}}")
    require_roles(curves, roles)
    every = [tuple(c) for found in panels.values() for c in found.values()]
    return tuple(dict.fromkeys(way for ways in sorted(every, key=len)[::-1] for way in ways))
