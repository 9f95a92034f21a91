"""Figures of question answering: where a score comes from, question type by question type."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from vizer_core.metrics.stats import Interval
from vizer_core.plots.estimates import draw_estimate
from vizer_core.plots.style import COLOURS, WIDE, figure_style, legend_columns, new_figure
from vizer_lab.figures.systems import system

MOST = 6  # systems whose marks can be told apart in one row
APART = 0.13  # of one question type's height, between two systems


def draw_by_type(
    scores: Mapping[str, Mapping[str, Interval]], *, counts: Mapping[str, int]
) -> Figure:
    """Draw top-1 by question type, a row a type and a mark a system, with 95% intervals.

    `scores` maps systems, as `figures.systems` knows them, to types to intervals, floors first;
    `counts` says how many questions a type has, and gives the order of the rows.
    """
    _require(scores, counts)
    middle = (len(scores) - 1) / 2
    with figure_style():
        figure = new_figure(WIDE, 1.2 + 0.85 * len(counts))
        axes = figure.add_subplot()
        for number, (name, by_type) in enumerate(scores.items()):
            shown = system(name)
            thin = shown.marker == "|"
            look = {"marker": shown.marker, "markersize": 11 if thin else 6.5}
            look |= {"markeredgewidth": 2 if thin else 1}
            for row, kind in enumerate(counts):
                place = row + APART * (number - middle)
                look["label"] = "" if row else shown.name  # one entry of the legend a system
                draw_estimate(axes, by_type[kind], place, shown.role, wide=2, **look)
        for border in range(1, len(counts)):
            axes.axhline(border - 0.5, color=COLOURS["ink"], linewidth=0.5)
        axes.set_yticks(range(len(counts)), [f"{kind}\nn = {n:,}" for kind, n in counts.items()])
        axes.set_ylim(len(counts) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("share answered right (top-1)")
        columns = legend_columns(system(name).name for name in scores)
        figure.legend(loc="outside upper left", ncols=columns)
    return figure


def _require(scores: Mapping[str, Mapping[str, Interval]], counts: Mapping[str, int]) -> None:
    if not counts or not 1 <= len(scores) <= MOST:
        raise ValueError(
            f"got {len(scores)} systems and {len(counts)} question types: wanted 1 to "
            f"{MOST} systems and at least one type"
        )
    for name, by_type in scores.items():
        absent = [kind for kind in counts if kind not in by_type]
        if absent:
            raise ValueError(f"system {name!r} has no score for {', '.join(absent)}")
