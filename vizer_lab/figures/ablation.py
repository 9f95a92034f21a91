"""Figures of an ablation: what chance finds in a table, and a proxy against a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64
from matplotlib.figure import Figure

from vizer_core.plots.style import COLOURS, MARKERS, WIDE, figure_style, legend_columns, new_figure

Counts = Int64[np.ndarray, " draws"]
Runs = Mapping[str, Sequence[float]]  # name of a row -> one value per seed
Pairs = Mapping[str, Sequence[tuple[float, float]]]  # name of a system -> (x, y) of each run


def draw_chance(counts: Mapping[str, Counts], *, rows: int, roles: Mapping[str, str]) -> Figure:
    """Draw how often chance alone makes 0, 1, 2, ... of `rows` equal settings look different.

    `counts` contains simulated tables by kind of run; each kind has its bars side by side.
    """
    if not counts or any(not len(c) or int(c.max()) > rows for c in counts.values()):
        sizes = {kind: len(c) for kind, c in counts.items()}
        raise ValueError(f"got draws {sizes}, wanted at least 1 a kind, none above rows={rows}")
    width = 0.8 / len(counts)
    with figure_style():
        figure = new_figure(WIDE, 3.4)
        axes = figure.add_subplot()
        for turn, (kind, drawn) in enumerate(counts.items()):
            places = np.arange(rows + 1) + (turn - (len(counts) - 1) / 2) * width
            shares = np.bincount(drawn, minlength=rows + 1) / len(drawn)
            axes.bar(places, shares, width, color=COLOURS[roles[kind]], label=kind)
        axes.set_xticks(range(0, rows + 1, 1 + rows // 12))
        axes.set_xlabel(f"settings that look different, of {rows} equal ones")
        axes.set_ylabel("share of simulated tables")
        axes.legend()
    return figure


def draw_proxy(
    pairs: Pairs, *, labels: tuple[str, str], roles: Mapping[str, str], base: float | None = None
) -> Figure:
    """Draw a proxy against the score it stands for, one point per run; the legend names systems.

    `labels` name the two axes; a dotted line shows the score of the untrained `base`.
    """
    if not pairs or not all(pairs.values()):
        raise ValueError('got no points, wanted for instance {"vizer_g": [(0.9, 0.6)]}')
    with figure_style():
        figure = new_figure(WIDE, 4.0)
        axes = figure.add_subplot()
        for name, found in pairs.items():
            x, y = zip(*found)
            look = {"color": COLOURS[roles[name]], "linestyle": "", "alpha": 0.8, "label": name}
            axes.plot(x, y, MARKERS[roles[name]], **look)
        if base is not None:
            axes.axhline(base, color=COLOURS["ink"], linestyle=":", linewidth=1.2)
            axes.annotate(
                "base",
                (1.0, base),
                xycoords=("axes fraction", "data"),
                xytext=(-2, 3),
                textcoords="offset points",
                ha="right",
            )
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        figure.legend(loc="outside upper left", ncols=legend_columns(pairs))
    return figure
