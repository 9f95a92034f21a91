"""Figures that show images: images with captions, and maps of patch values laid over them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from vizer_core.plots.style import COLOURS, WIDE, figure_style, new_figure, panel_grid

LETTERS = 12  # of a caption to an inch
QUOTE_WIDTH = 22  # characters in a line under an image that stands beside a figure
AROUND = 0.2  # inches above an image, and between it and its words
FRAME = "#C4C4C4"  # the edge of an image


def draw_images(images: Sequence[Image.Image], captions: Sequence[str]) -> Figure:
    """Draw images, three side by side, each above its caption."""
    if not images or len(images) != len(captions):
        raise ValueError(
            f"got {len(images)} images and {len(captions)} captions: wanted one caption per image"
        )
    filled = [textwrap.fill(caption, 2 * LETTERS) for caption in captions]
    rows_of_words = max(1 + text.count("\n") for text in filled)
    with figure_style():
        columns, lines = panel_grid(len(images), most=2 if len(images) == 4 else 3)
        figure = new_figure(2.0 * columns, (2.1 + 0.2 * max(rows_of_words, 2)) * lines)
        cells = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes in cells[len(images) :]:
            axes.remove()
        for axes, image, caption in zip(cells, images, filled):
            _show(axes, image)
            axes.set_xlabel(caption)
        _fit_height(figure, lines)
    return figure


def _fit_height(figure: Figure, lines: int) -> None:
    """Make a figure as high as its lines of images and words: what the layout leaves is a gap."""
    figure.draw_without_rendering()
    sides = [axes.get_window_extent().height for axes in figure.axes]
    words = [axes.xaxis.label.get_window_extent().height for axes in figure.axes]
    figure.set_figheight(lines * ((max(sides) + max(words)) / figure.dpi + AROUND))


def draw_patch_maps(
    images: Sequence[Image.Image],
    captions: Sequence[str],
    maps: Mapping[str, Float[Tensor, "n p"]],
    grid: tuple[int, int],
) -> Figure:
    """Draw one row per image: the image, then each map over it; a box marks the largest value.

    Colours run from each panel's own least to its own largest value, so compare places, not
    colours, between panels.
    """
    counts = [len(images), len(captions), *(len(values) for values in maps.values())]
    if not maps or not images or len(set(counts)) > 1:
        raise ValueError(f"got images, captions and maps of {counts}: wanted as many of each")
    with figure_style():
        inches = min(1.9, WIDE / (1 + len(maps)))
        figure = new_figure(inches * (1 + len(maps)), (inches + 0.35) * len(images) + 0.3)
        panels = figure.subplots(len(images), 1 + len(maps), squeeze=False)
        for row, (image, caption) in enumerate(zip(images, captions)):
            _show(panels[row, 0], image)
            panels[row, 0].set_xlabel(textwrap.fill(caption, int(LETTERS * inches)))
            for axes, values in zip(panels[row, 1:], maps.values()):
                _show_map(axes, image, values[row].cpu().reshape(grid).numpy())
        for axes, name in zip(panels[0], ("image", *maps)):
            axes.set_title(name)
    return figure


def show_quoted(axes: Axes, image: Image.Image, caption: str) -> None:
    """Show an image without ticks and frame, its caption below it in quotes."""
    _show(axes, image, "nearest" if image.width < 100 else None)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(textwrap.fill(f"“{caption}”", QUOTE_WIDTH))


def _show(axes: Axes, image: Image.Image, interpolation: str | None = "nearest") -> None:
    axes.imshow(np.asarray(image), interpolation=interpolation)
    _frame(axes)


def _frame(axes: Axes) -> None:
    """Draw a thin line on all four sides, and no ticks: some scenes end in white."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=FRAME, linewidth=0.8)


def _show_map(axes: Axes, image: Image.Image, values: np.ndarray) -> None:
    """Lay patch values over the grey image; the image is cut to the square that CLIP sees."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    grey = image.convert("L").crop((left, top, left + side, top + side))
    box = (0, side, side, 0)
    axes.imshow(np.asarray(grey), cmap="gray", extent=box, interpolation="nearest")
    axes.imshow(values, cmap="viridis", alpha=0.6, extent=box, interpolation="nearest")
    row, column = np.unravel_index(values.argmax(), values.shape)
    high, wide = side / values.shape[0], side / values.shape[1]
    axes.add_patch(
        Rectangle(
            (column * wide, row * high), wide, high, fill=False, ec=COLOURS["text"], linewidth=2
        )
    )
    _frame(axes)
