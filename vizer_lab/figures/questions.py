"""Figures of question answering: where a score comes from, question type by question type."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from vizer_core.metrics.stats import Interval
from vizer_core.plots.style import COLOURS, figure_style, new_figure

LOOKS = (  # colour and marker of each row, in the order in which systems are passed
    ("control", "|"), ("control", "D"), ("accent", "v"), ("image", "o"), ("region", "s"),
    ("text", "^"),
)  # fmt: skip
APART = 0.13  # of one question type's height, between two systems


def draw_by_type(
    scores: Mapping[str, Mapping[str, Interval]], *, counts: Mapping[str, int]
) -> Figure:
    """Draw top-1 by question type, a row a type and a mark a system, with 95% intervals.

    `scores` maps systems to types to intervals, floors first; `counts` says how many questions a
    type has, and gives the order of the rows.
    """
    _require(scores, counts)
    middle = (len(scores) - 1) / 2
    with figure_style():
        figure = new_figure(6.8, 1.2 + 0.85 * len(counts))
        axes = figure.add_subplot()
        for number, (system, by_type) in enumerate(scores.items()):
            colour, marker = LOOKS[number]
            places = [row + APART * (number - middle) for row in range(len(counts))]
            found = [by_type[kind] for kind in counts]
            axes.hlines(
                places, [v.low for v in found], [v.high for v in found],
                color=COLOURS[colour], linewidth=2, alpha=0.55,
            )  # fmt: skip
            axes.plot(
                [v.mean for v in found], places, marker, color=COLOURS[colour],
                markersize=11 if marker == "|" else 6.5, markeredgewidth=2 if marker == "|" else 1,
                label=system,
            )  # fmt: skip
        for border in range(1, len(counts)):
            axes.axhline(border - 0.5, color=COLOURS["ink"], linewidth=0.5)
        axes.set_yticks(range(len(counts)), [f"{kind}\nn = {n:,}" for kind, n in counts.items()])
        axes.set_ylim(len(counts) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("share answered right (top-1)")
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def _require(scores: Mapping[str, Mapping[str, Interval]], counts: Mapping[str, int]) -> None:
    if not counts or not 1 <= len(scores) <= len(LOOKS):
        raise ValueError(
            f"got {len(scores)} systems and {len(counts)} question types: wanted 1 to "
            f"{len(LOOKS)} systems and at least one type"
        )
    for system, by_type in scores.items():
        absent = [kind for kind in counts if kind not in by_type]
        if absent:
            raise ValueError(f"system {system!r} has no score for {', '.join(absent)}")
