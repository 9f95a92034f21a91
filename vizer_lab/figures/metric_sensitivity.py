"""Figures of metric sensitivity: what each metric does to each edit, and how it ranks captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vizer_core.metrics.stats import Interval
from vizer_core.plots.estimates import draw_estimate
from vizer_core.plots.style import COLOURS, WIDE, figure_style, new_figure
from vizer_lab.names import in_words

MAP = "RdBu"  # red: falls, white: no change, blue: rises; apart for colour-blind eyes
LABELS = {
    "self_retrieval_r1": "self-retrieval",
    "object_f1": "object F1 (truth)",
    "statement_accuracy": "accuracy (truth)",
}
Groups = Mapping[str, Sequence[str]]


def _label(metric: str) -> str:
    return LABELS.get(metric, in_words(metric))


def _words(value: Interval | None) -> tuple[str, str]:
    """Return a cell's text and its colour; a number in brackets is not told apart from zero."""
    if value is None:
        return "–", COLOURS["control"]
    text = f"{value.mean:+.2f}".replace("+0.00", "0").replace("-0.00", "0").replace("0.", ".")
    if value.low <= 0 <= value.high:
        return f"({text})", COLOURS["ink"]
    return text, "white" if abs(value.mean) > 0.7 else COLOURS["ink"]


def draw_sensitivity(
    shares: Mapping[tuple[str, str], Interval], *, groups: Groups, metrics: Sequence[str]
) -> Figure:
    """Draw a table of changes, edits by metrics, grouped rows with a rule between the groups.

    A cell is the change as a share of the fall to another image's caption; brackets mean that its
    95% interval contains zero, and a dash that there is no number.
    """
    edits = [edit for group in groups.values() for edit in group]
    if not edits or not metrics:
        raise ValueError(f"got {len(edits)} edits and {len(metrics)} metrics: wanted some of both")
    cells = [[shares.get((edit, metric)) for metric in metrics] for edit in edits]
    means = np.array([[np.nan if c is None else c.mean for c in row] for row in cells])
    with figure_style():
        figure = new_figure(min(WIDE, 2.0 + 0.6 * len(metrics)), 1.3 + 0.29 * len(edits))
        axes = figure.add_subplot()
        axes.pcolormesh(means, cmap=MAP, vmin=-1, vmax=1)
        for row, line in enumerate(cells):
            for column, value in enumerate(line):
                text, colour = _words(value)
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour)
        axes.set_xticks(
            np.arange(len(metrics)) + 0.5, [_label(m) for m in metrics], rotation=40, ha="left"
        )
        axes.set_yticks(np.arange(len(edits)) + 0.5, [in_words(edit) for edit in edits])
        axes.invert_yaxis()
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        _rules(axes, [len(group) for group in groups.values()])
    return figure


def _rules(axes: Axes, sizes: Sequence[int]) -> None:
    for place in np.cumsum(sizes)[:-1]:
        axes.axhline(place, color=COLOURS["ink"], linewidth=1.5)


def draw_agreement(
    levels: Mapping[str, Mapping[str, Interval]], *, references: Sequence[str] = ()
) -> Figure:
    """Draw each metric's rank agreement with the truth, one panel a level, sorted by the first.

    `references` names the metrics that read reference captions: vermilion; the others are blue,
    and `length`, which reads nothing, is grey.
    """
    if not levels:
        raise ValueError('got no levels, wanted for instance {"caption": {"cider": Interval(...)}}')
    first = next(iter(levels.values()))
    order = sorted(first, key=lambda metric: first[metric].mean)
    with figure_style():
        figure = new_figure(5.2, 0.9 + len(levels) * (0.5 + 0.3 * len(order)))
        panels = figure.subplots(len(levels), 1, squeeze=False, sharex=True)[:, 0]
        for axes, (level, found) in zip(panels, levels.items()):
            for place, metric in enumerate(order):
                value = found[metric]
                role = "text" if metric in references else "image"
                role = "control" if metric == "length" else role
                draw_estimate(axes, value, place, role)
            axes.set_title(level)
            axes.set_yticks(range(len(order)), [_label(metric) for metric in order])
        panels[-1].set_xlabel("Kendall's tau with the truth")
        panels[0].set_xlim(min(0.0, *(v.low for f in levels.values() for v in f.values())), 1)
    return figure
