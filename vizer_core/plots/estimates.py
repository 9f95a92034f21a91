"""One estimate with its 95% interval, the same mark in every figure: a bar through a dot.

`draw_estimate` is a row of a forest, or with `upright` a point over a place of the x axis;
`draw_interval` is its bar alone, `draw_estimate_curve` a curve of estimates. Colours and markers
are those of a role (`plots.style`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from matplotlib.axes import Axes

from vizer_core.plots.style import COLOURS, MARKERS

Number = float | int
LINES = {"image": "-", "region": "-", "text": "--", "control": ":", "accent": "-", "ink": "-"}


@runtime_checkable
class Estimate(Protocol):
    """A number with its interval, as `metrics.stats.Interval`."""

    @property
    def mean(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def draw_interval(
    axes: Axes,
    value: Estimate,
    place: Number,
    role: str,
    *,
    upright: bool = False,
    wide: Number = 3,
) -> None:
    """Draw the bar from the lower to the upper end, lying at the height `place`, or upright there.

    The bar is paler than its dot, so that several at one place can be told apart.
    """
    ends, there = [value.low, value.high], [place, place]
    x, y = (there, ends) if upright else (ends, there)
    axes.plot(x, y, color=COLOURS[role], linewidth=wide, alpha=0.6)


def draw_estimate(
    axes: Axes,
    value: Estimate,
    place: Number,
    role: str,
    *,
    upright: bool = False,
    wide: Number = 3,
    number: str = "",
    **dot: object,
) -> None:
    """Draw an estimate and its interval: a dot on its bar, and a `number` in words above it.

    `dot` are matplotlib's words for the dot where it differs from the role's: `label`, `marker`,
    `markersize`, `markerfacecolor`.
    """
    draw_interval(axes, value, place, role, upright=upright, wide=wide)
    x, y = (place, value.mean) if upright else (value.mean, place)
    look = {"marker": MARKERS[role], "markersize": 6, "linestyle": "", "color": COLOURS[role]}
    axes.plot(x, y, **(look | dot))
    if number:
        place_above = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
        axes.annotate(number, (x, y), **place_above)


def draw_estimate_curve(
    axes: Axes, name: str, points: Mapping[float, Estimate], role: str, **line: object
) -> None:
    """Draw estimates over their places, joined, each with its upright interval.

    `line` are matplotlib's words for the curve where it differs from the role's.
    """
    places = sorted(points)
    for place in places:
        draw_interval(axes, points[place], place, role, upright=True, wide=1.8)
    look = {"marker": MARKERS[role], "linestyle": LINES[role], "color": COLOURS[role]}
    axes.plot(places, [points[place].mean for place in places], label=name, **(look | line))
