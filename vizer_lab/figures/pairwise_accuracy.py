"""Figures of scores before training: which tell images apart, and what training then brought.

`draw_pair_scores` shows each score as a table of images by captions, less what belongs to the
image alone and to the caption alone, every caption with the same spread. What is left belongs to
the pair, and a score that tells images apart has it on the diagonal.

`draw_foretelling` sets what was measured before training beside its end, run by run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from vizer_core.metrics.stats import Interval
from vizer_core.plots.estimates import draw_estimate
from vizer_core.plots.style import COLOURS, figure_style, new_figure
from vizer_lab.figures.intervals import require_roles

ROUNDING = 1e-12  # what is left of a table without a pair part
CHANCE = 0.5  # AUC of a score that does not tell images apart
REACH = 3  # of the colours, in standard deviations
SIGNS = ("o", "s", "^", "D", "v", "P", "X", "<")


@dataclass(frozen=True)
class Foretold:
    """One score on one base: its AUC before training, and its ends by panel."""

    base: str
    score: str
    auc: float
    ends: Mapping[str, Interval]


def of_the_pair(scores: Float[np.ndarray, "b k"]) -> Float[np.ndarray, "b k"]:
    """Take row and column means out of a table of scores, and give each column unit spread.

    >>> of_the_pair(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    left = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
    spread = left.std(axis=0)
    flat = spread <= ROUNDING * np.abs(scores).max()
    return np.where(flat, 0.0, left / np.where(flat, 1.0, spread))


def draw_pair_scores(tables: Mapping[str, Float[Tensor, "_ _"]]) -> Figure:
    """Draw tables of image (row) by caption (column); the caption of row i is column i."""
    if not tables or any(t.shape[0] != t.shape[1] or len(t) < 2 for t in tables.values()):
        shapes = {name: tuple(table.shape) for name, table in tables.items()}
        raise ValueError(f"got tables {shapes}: wanted at least one, square, of 2 images or more")
    with figure_style():
        figure = new_figure(2.3 * len(tables) + 0.6, 2.9)
        panels = figure.subplots(1, len(tables), squeeze=False, sharey=True)[0]
        for axes, (name, table) in zip(panels, tables.items()):
            left = of_the_pair(table.double().cpu().numpy())
            image = axes.imshow(left, cmap="PuOr", vmin=-REACH, vmax=REACH)
            axes.set_title(name)
            axes.set_xlabel("caption of image")
            axes.grid(visible=False)
            axes.set_xticks(range(len(left)), [""] * len(left))
            axes.set_yticks(range(len(left)), [""] * len(left))
        panels[0].set_ylabel("image")
        bar = figure.colorbar(image, ax=list(panels), shrink=0.8)
        bar.set_label("score of the pair, in the\ncaption's standard deviations")
    return figure


def draw_foretelling(
    runs: Sequence[Foretold], *, roles: Mapping[str, str], label: str = "gain of training"
) -> Figure:
    """Draw AUC before training against each end, one panel an end, shared by all runs.

    Colour says the score (`roles`: a fixed colour each), the sign says the base. A run that lacks
    an end is left out of that panel.
    """
    if not runs or not any(run.ends for run in runs):
        raise ValueError("got no runs with an end: wanted at least one Foretold with `ends`")
    require_roles([run.score for run in runs], roles)
    ends = list(dict.fromkeys(end for run in runs for end in run.ends))
    bases = list(dict.fromkeys(run.base for run in runs))
    signs = dict(zip(bases, SIGNS * (1 + len(bases) // len(SIGNS))))
    with figure_style():
        figure = new_figure(1.4 + 3.6 * len(ends), 4.2)
        panels = figure.subplots(1, len(ends), squeeze=False, sharex=True, sharey=True)[0]
        for axes, end in zip(panels, ends):
            _draw_end(axes, [run for run in runs if end in run.ends], end, signs, roles)
        panels[0].set_ylabel(label)
        _keys(figure, [run.score for run in runs], signs, roles)
    return figure


def _draw_end(
    axes: Axes,
    runs: Sequence[Foretold],
    end: str,
    signs: Mapping[str, str],
    roles: Mapping[str, str],
) -> None:
    axes.axhline(0, color=COLOURS["ink"], linewidth=1)
    axes.axvline(CHANCE, color=COLOURS["control"], linestyle="--", linewidth=1.2)
    axes.annotate(
        "chance",
        (CHANCE, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(3, -2),
        textcoords="offset points",
        va="top",
        fontsize=9,
        color=COLOURS["control"],
    )
    for run in runs:
        look = {"marker": signs[run.base], "markersize": 7}
        look |= {"markeredgecolor": "white", "markeredgewidth": 0.6}
        where = (run.ends[end], run.auc, roles[run.score])
        draw_estimate(axes, *where, upright=True, wide=1.6, **look)
    axes.set_title(end)
    axes.set_xlabel("AUC before training")


def _keys(
    figure: Figure, scores: Sequence[str], signs: Mapping[str, str], roles: Mapping[str, str]
) -> None:
    colours = [
        Line2D([], [], color=COLOURS[roles[name]], linewidth=4, label=name)
        for name in dict.fromkeys(scores)
    ]
    bases = [
        Line2D([], [], color=COLOURS["ink"], marker=sign, linestyle="", label=f"base: {base}")
        for base, sign in signs.items()
    ]
    figure.legend(handles=colours + bases, loc="outside right upper")
