"""Figures of an ablation: settings with their seeds, what chance finds, a proxy against a score.

A mean over seeds hides what decides whether a setting matters: how far apart its own seeds lie. So
every forest here shows each seed as a point under its mean, and the control has rows of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64
from matplotlib.figure import Figure

from vizer_core.figures.forest import Panel, draw_forest
from vizer_core.figures.style import COLOURS, MARKERS, figure_style, new_figure

Runs = Mapping[str, Sequence[float]]  # name of a row -> one value a seed
Pairs = Mapping[str, Sequence[tuple[float, float]]]  # name of a system -> (x, y) of each run


def draw_seed_forest(
    panels: Mapping[str, Panel],
    points: Mapping[str, Runs],
    *,
    roles: Mapping[str, str],
    legend: Mapping[str, str],
    mark: str | None = None,
) -> Figure:
    """Draw a forest whose rows show each seed as a small open circle below the mean.

    `points` holds, for every panel, one value a seed of each row; rows without are bare.
    """
    if strange := sorted(set(points) ^ set(panels)):
        raise ValueError(
            f"panels are {', '.join(panels)}, points are given for {', '.join(points)}: "
            f"{', '.join(strange)} differ"
        )
    figure = draw_forest(panels, roles=roles, legend=legend, mark=mark)
    rows = list(next(iter(panels.values())))
    with figure_style():
        for axes, runs in zip(figure.axes, points.values()):
            for place, name in enumerate(rows):
                values = list(runs.get(name, ()))
                axes.plot(
                    values, [place + 0.27] * len(values), "o", color=COLOURS[roles[name]],
                    markersize=4, markerfacecolor="none", linestyle="",
                )  # fmt: skip
    return figure


def draw_chance(
    counts: Int64[np.ndarray, " draws"], *, rows: int, observed: int | None = None
) -> Figure:
    """Draw how often chance alone makes 0, 1, 2, ... of `rows` equal settings look different.

    A line marks the number that was `observed` in a real table, if there is one.
    """
    if not len(counts) or int(counts.max()) > rows:
        raise ValueError(f"got {len(counts)} draws, wanted at least 1, none above rows={rows}")
    shares = np.bincount(counts, minlength=rows + 1) / len(counts)
    with figure_style():
        figure = new_figure(6.4, 3.2)
        axes = figure.add_subplot()
        axes.bar(range(rows + 1), shares, color=COLOURS["control"], width=0.7)
        if observed is not None:
            axes.axvline(observed, color=COLOURS["region"], linestyle="--")
            axes.annotate(
                f"the table has {observed}", (observed, 0.94), xytext=(5, 0), rotation=90,
                xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
            )  # fmt: skip
        axes.set_xticks(range(0, rows + 1, 1 + rows // 12))
        axes.set_xlabel(f"settings that look different, of {rows} equal ones")
        axes.set_ylabel("share of simulated tables")
    return figure


def draw_proxy(
    pairs: Pairs, *, labels: tuple[str, str], roles: Mapping[str, str], base: float | None = None
) -> Figure:
    """Draw a proxy against the score it stands for, one point a run and a name for each system.

    `labels` name the two axes; a dotted line shows the score of the untrained `base`.
    """
    if not pairs or not all(pairs.values()):
        raise ValueError('got no points, wanted for instance {"vizer_g": [(0.9, 0.6)]}')
    with figure_style():
        figure = new_figure(6.8, 4.0)
        axes = figure.add_subplot()
        for name, found in pairs.items():
            x, y = zip(*found)
            role = roles[name]
            axes.plot(x, y, MARKERS[role], color=COLOURS[role], linestyle="", alpha=0.8)
            right = np.mean(x) > 0.6
            axes.annotate(
                name, (float(np.mean(x)), float(np.mean(y))), xytext=(-9 if right else 9, 0),
                textcoords="offset points", ha="right" if right else "left", va="center",
                fontsize=9, color=COLOURS[role],
            )  # fmt: skip
        if base is not None:
            axes.axhline(base, color=COLOURS["ink"], linestyle=":", linewidth=1.2)
            axes.annotate(
                "base", (1.0, base), xycoords=("axes fraction", "data"), xytext=(-2, 3),
                textcoords="offset points", ha="right", fontsize=9,
            )  # fmt: skip
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
    return figure
