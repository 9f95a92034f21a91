"""Histograms from stored counts: the figure without the data that were counted.

A results file keeps where the first bin starts, how wide a bin is, and the counts; anyone can draw
them again without the features, which may be large or somebody else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vizer_core.plots.style import COLOURS, WIDE, figure_style, new_figure, role_of

DASHES = ("--", ":", "-.")
FLOOR, HEADROOM = 0.5, 3.0  # of one entry and of the highest bin: ends of a logarithmic axis


@dataclass(frozen=True)
class Counts:
    """Counts in bins [start + i width, start + (i + 1) width)."""

    start: float
    width: float
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.counts or min(self.counts) < 0 or not sum(self.counts) or self.width <= 0:
            raise ValueError(
                f"got {len(self.counts)} bins of width {self.width} with {sum(self.counts)} "
                "entries: wanted at least one entry, in bins of a positive width"
            )

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Counts:
        """Read `start`, `width` and `counts` as a results file contains them."""
        return cls(float(stored["start"]), float(stored["width"]), tuple(stored["counts"]))

    @property
    def edges(self) -> Float64[np.ndarray, " edges"]:
        """The bins' edges."""
        return self.start + self.width * np.arange(len(self.counts) + 1)

    @property
    def mean(self) -> float:
        """Mean, each entry taken from the middle of its bin.

        >>> Counts(0.0, 1.0, (1, 0, 1)).mean
        1.5
        """
        return float(np.average(self.edges[:-1] + self.width / 2, weights=self.counts))

    @property
    def std(self) -> float:
        """Population standard deviation, each entry taken from the middle of its bin."""
        middles = self.edges[:-1] + self.width / 2
        return float(np.average((middles - self.mean) ** 2, weights=self.counts) ** 0.5)


def draw_counts(
    panels: Mapping[str, Mapping[str, Counts]],
    *,
    label: str,
    normal: bool = False,
    logarithmic: bool = False,
) -> Figure:
    """Draw histograms below each other, one panel a title, one outline a name within it.

    Names decide colours (`style.role_of`); further outlines of one colour are dashed. `normal`
    adds the normal curve of the same mean and deviation; on a `logarithmic` axis its tails show.
    """
    if not panels or not all(panels.values()):
        raise ValueError('got nothing to draw, wanted for instance {"title": {"name": counts}}')
    with figure_style():
        figure = new_figure(WIDE, 3.2 * len(panels))
        cells = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (title, curves) in zip(cells, panels.items(), strict=True):
            _draw_curves(axes, curves, normal=normal)
            axes.set_title(title)
            axes.set_xlabel(label)
            if logarithmic:
                one = [1 / sum(each.counts) / each.width for each in curves.values()]
                highest = max(max(c.counts) * unit for c, unit in zip(curves.values(), one))
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter("{x:g}")  # a power's raised digits are too small
                axes.set_ylim(FLOOR * min(one), HEADROOM * highest)
            else:
                axes.set_ylim(bottom=0)
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.1), ncols=2, handlelength=1.6)
            axes.set_ylabel("density")
    return figure


def _draw_curves(axes: Axes, curves: Mapping[str, Counts], *, normal: bool) -> None:
    dashes, seen = cycle(DASHES), set()
    for name, each in curves.items():
        role = role_of(name)
        style = next(dashes) if role in seen or role == "control" else "-"
        seen.add(role)
        density = np.array(each.counts) / sum(each.counts) / each.width
        axes.stairs(density, each.edges, color=COLOURS[role], linestyle=style, label=name)
        if normal:
            x = np.linspace(each.edges[0], each.edges[-1], 400)
            height = np.exp(-(((x - each.mean) / each.std) ** 2) / 2)
            curve = height / each.std / np.sqrt(2 * np.pi)
            axes.plot(x, curve, "--", color=COLOURS["ink"], linewidth=1.2, label="normal")
