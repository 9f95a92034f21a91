"""How a model begins: under each image, the probabilities of its two likeliest first words."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from vizer_core.plots.style import COLOURS, MARKERS, figure_style, new_figure

ROLES = ("image", "text")  # of images that begin with the first of the two words, and others


def draw_first_words(chances: Float[Tensor, "n w"], words: Sequence[str]) -> Figure:
    """Draw one mark an image: how probable each of two first words is; the line is the draw.

    Where these are the two likeliest words, greedy decoding begins with the one on whose side of
    the line the mark lies.
    """
    if chances.shape[1] != 2 or len(words) != 2:
        raise ValueError(
            f"got probabilities {tuple(chances.shape)} of {len(words)} words: wanted [n, 2] of 2"
        )
    first, second = chances.cpu().T
    with figure_style():
        figure = new_figure(5.2, 4.0)
        axes = figure.add_subplot()
        for role, word, side in zip(ROLES, words, (first >= second, first < second)):
            count = int(side.sum())
            axes.scatter(
                first[side],
                second[side],
                s=14,
                marker=MARKERS[role],
                color=COLOURS[role],
                alpha=0.7,
                label=f'"{word}" likelier: {count} images',
            )
        top = float(chances.max()) * 1.05
        axes.plot([0, top], [0, top], "--", color=COLOURS["ink"], linewidth=1)
        axes.set(xlim=(0, top), ylim=(0, top), aspect="equal")
        axes.set_xlabel(f'probability of "{words[0]}" as first word')
        axes.set_ylabel(f'probability of "{words[1]}"')
        figure.legend(loc="outside upper left")
    return figure
