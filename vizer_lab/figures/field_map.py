"""The field on one map: what each idea changes, against what it needs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from vizer_core.plots.style import COLOURS, WIDE, figure_style, new_figure

LETTERS = 13  # of a name to a line
APART = 1.25  # lines that a name of one line takes

Entry = tuple[str, str, str]  # name, what it changes, what it needs


def placed(
    entries: Sequence[Entry], columns: Sequence[str], rows: Sequence[str]
) -> dict[tuple[int, int], list[str]]:
    """Return the names in each field of the map.

    >>> placed([("crops", "decoding", "nothing")], ["data", "decoding"], ["nothing"])
    {(0, 1): ['crops']}
    """
    found: dict[tuple[int, int], list[str]] = {}
    for name, changes, needs in entries:
        if changes not in columns or needs not in rows:
            raise ValueError(
                f"{name} changes {changes!r} and needs {needs!r}: wanted one of {list(columns)} "
                f"and of {list(rows)}"
            )
        found.setdefault((rows.index(needs), columns.index(changes)), []).append(name)
    return found


def _lines(names: Sequence[str]) -> float:
    return sum((name.count("\n") + APART for name in names), 0.0)


def draw_field_map(
    entries: Sequence[Entry],
    columns: Sequence[str],
    rows: Sequence[str],
    *,
    marks: Mapping[str, str] | None = None,
) -> Figure:
    """Write each name into the field of what it changes (columns) and needs (rows).

    `marks` puts a sign before a name, such as "+" for a gain that was found. What a row of the map
    needs grows from top to bottom.
    """
    marks = marks or {}
    fields = {
        place: [textwrap.fill(f"{marks.get(name, '')} {name}".strip(), LETTERS) for name in names]
        for place, names in placed(entries, columns, rows).items()
    }
    tall = [
        max(_lines(fields.get((r, c), ())) for c in range(len(columns))) for r in range(len(rows))
    ]
    heights = [max(2, count) + 1 for count in tall]
    with figure_style():
        figure = new_figure(WIDE, 0.2 * sum(heights) + 0.5)
        axes = figure.add_subplot()
        top = 0.0
        for r, height in enumerate(heights):
            for c in range(len(columns)):
                line = top + 0.5
                for name in fields.get((r, c), ()):
                    axes.text(c + 0.05, line, name, va="top", linespacing=1.1)
                    line += _lines([name])
            if r:
                axes.axhline(top, color=COLOURS["control"], linewidth=0.8)
            top += height
        for c in range(1, len(columns)):
            axes.axvline(c, color=COLOURS["control"], linewidth=0.8)
        axes.set_xlim(0, len(columns))
        axes.set_ylim(top, 0)
        axes.set_xticks([c + 0.5 for c in range(len(columns))], columns)
        edges = [sum(heights[:r]) for r in range(len(rows))]
        middles = [edge + height / 2 for edge, height in zip(edges, heights, strict=True)]
        axes.set_yticks(middles, rows)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.grid(False)
        axes.set_ylabel("needs")
        axes.set_xlabel("changes")
        axes.xaxis.set_label_position("top")
    return figure
