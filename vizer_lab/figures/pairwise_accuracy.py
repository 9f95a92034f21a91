"""The figure of scores before training: which of them tell images apart.

`draw_pair_scores` shows each score as a table of images by captions, less what belongs to the
image alone and to the caption alone, every caption with the same spread. What is left belongs to
the pair, and a score that tells images apart has it on the diagonal.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from vizer_core.plots.style import WIDE, figure_style, new_figure, panel_grid
from vizer_core.vizer.pairwise_accuracy import pair_part

ROUNDING = 1e-12  # what is left of a table without a pair part
CHANCE = 0.5  # AUC of a score that does not tell images apart
REACH = 3  # of the colours, in standard deviations
SIGNS = ("o", "s", "^", "D", "v", "P", "X", "<")


def of_the_pair(scores: Float[np.ndarray, "b k"]) -> Float[np.ndarray, "b k"]:
    """Take row and column means out of a table of scores, and give each column unit spread.

    >>> of_the_pair(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    left = pair_part(scores)
    spread = left.std(axis=0)
    flat = spread <= ROUNDING * np.abs(scores).max()
    return np.where(flat, 0.0, left / np.where(flat, 1.0, spread))


def draw_pair_scores(tables: Mapping[str, Float[Tensor, "_ _"]]) -> Figure:
    """Draw tables of image (row) by caption (column); the caption of row i is column i."""
    if not tables or any(t.shape[0] != t.shape[1] or len(t) < 2 for t in tables.values()):
        shapes = {name: tuple(table.shape) for name, table in tables.items()}
        raise ValueError(f"got tables {shapes}: wanted at least one, square, of 2 images or more")
    with figure_style():
        columns, lines = panel_grid(len(tables))
        figure = new_figure(min(WIDE, 2.5 * columns + 1), 2.6 * lines + 0.2)
        panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
        for axes in panels[len(tables) :]:
            axes.remove()
        panels = panels[: len(tables)]
        for axes, (name, table) in zip(panels, tables.items()):
            left = of_the_pair(table.double().cpu().numpy())
            image = axes.pcolormesh(left, cmap="PuOr", vmin=-REACH, vmax=REACH, rasterized=True)
            axes.set_aspect("equal")
            axes.set_title(name)
            axes.set_xlabel("caption of image")
            axes.grid(visible=False)
            axes.set(xticks=[], yticks=[])
            axes.set_ylabel("image")
        panels[0].invert_yaxis()
        bar = figure.colorbar(image, ax=list(panels), shrink=0.8)
        bar.set_label("score of the pair, in the\ncaption's standard deviations")
    return figure
