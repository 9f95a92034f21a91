"""Figures of captions: the patches that a captioner reads, its candidates, and all systems' words.

Patches are numbered by rank, most attended first. `chosen` counts patches from 0, row by row from
the top left, as in `ImageStates.patch_features`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from vizer_core.plots.style import COLOURS, MARKERS, WIDE, figure_style, new_figure, panel_grid
from vizer_core.textonly.filtering import Candidates

DIM = 0.35  # how much of its contrast an unchosen patch keeps
LINE = 0.19  # inches a line of text
Grid = tuple[int, int]


def draw_sub_regions(
    image: Image.Image,
    chosen: Int[Tensor, " r"],
    weights: Float[Tensor, "k p"],
    grid: Grid,
    *,
    shown: int = 3,
) -> Figure:
    """Draw an image, its chosen patches by rank, and where the first `shown` regions look.

    `weights[j]` is how much region j takes from each patch; brightness runs from nothing to the
    panel's own largest weight.
    """
    if len(chosen) != len(weights) or not 1 <= shown <= len(chosen):
        raise ValueError(
            f"got {len(chosen)} patches, weights of {len(weights)} regions, {shown} to show: "
            "wanted one row of weights a patch, and at least one to show"
        )
    _require_patches(chosen, grid)
    with figure_style():
        columns, lines = panel_grid(2 + shown, most=3)
        figure = new_figure(1.8 * columns, 2.1 * lines)
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes in panels[2 + shown :]:
            axes.remove()
        _show(panels[0], image)
        panels[0].set_title("image")
        _show_chosen(panels[1], image, chosen, grid)
        panels[1].set_title(f"{len(chosen)} patches")
        for rank, axes in enumerate(panels[2 : 2 + shown]):
            _show_weights(axes, image, weights[rank], grid)
            _mark(axes, image, int(chosen[rank]), grid, rank)
            axes.set_title(f"region {rank + 1}")
    return figure


def draw_candidates(
    image: Image.Image,
    candidates: Candidates,
    row: int,
    *,
    truth: Sequence[float] | None = None,
    width: int = 42,
) -> Figure:
    """Draw the different candidates of one image by cosine; the filled one is the caption.

    `truth` scores each of the image's candidates by what is in the image (object F1, for
    instance): its number stands behind the text. "x3" was written three times.
    """
    texts, scores = candidates.texts[row], candidates.scores[row].tolist()
    if truth is not None and len(truth) != len(texts):
        raise ValueError(f"got {len(truth)} truths for {len(texts)} candidates: wanted one each")
    first = {text: i for i, text in reversed(list(enumerate(texts)))}
    order = sorted(first, key=lambda text: (-scores[first[text]], first[text]))
    with figure_style():
        figure = new_figure(WIDE, 2.6 + 0.27 * len(order))
        tall = (1.7, 0.9 + 0.27 * len(order))
        panel, axes = figure.subplots(2, 1, height_ratios=tall)
        _show(panel, image)
        for place, text in enumerate(order):
            colour = COLOURS["region" if place == 0 else "control"]
            fill = colour if place == 0 else "white"
            value = scores[first[text]]
            axes.plot([value], [place], MARKERS["image"], color=colour, mfc=fill, markersize=7)
        axes.set_yticks(
            range(len(order)), [_line(text, texts, first, truth, width) for text in order]
        )
        axes.yaxis.tick_right()
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.margins(x=0.15)
        axes.locator_params(axis="x", nbins=3)
        axes.set_xlabel("cosine with the image")
    return figure


def _line(
    text: str,
    texts: Sequence[str],
    first: Mapping[str, int],
    truth: Sequence[float] | None,
    width: int,
) -> str:
    times = f" x{texts.count(text)}" if texts.count(text) > 1 else ""
    known = "" if truth is None else f"  [{truth[first[text]]:.2f}]"
    return textwrap.shorten(text or "(nothing)", width, placeholder=" ...") + times + known


def draw_caption_gallery(
    images: Sequence[Image.Image],
    chosen: Int[Tensor, "n r"],
    grid: Grid,
    captions: Mapping[str, Sequence[str]],
    *,
    width: int = 40,
) -> Figure:
    """Draw one row per image: the image, its chosen patches, and a line of words by each name.

    Names with the word "reference" are in the colour of texts.
    """
    counts = [len(images), len(chosen), *(len(texts) for texts in captions.values())]
    if not captions or not images or len(set(counts)) > 1:
        raise ValueError(f"got images, patches and captions of {counts}: wanted as many of each")
    _require_patches(chosen, grid)
    blocks = [
        {name: textwrap.wrap(texts[row] or "(nothing)", width) for name, texts in captions.items()}
        for row in range(len(images))
    ]
    heights = [max(1.25, LINE * sum(map(len, block.values())) + 0.1) for block in blocks]
    with figure_style():
        figure = new_figure(WIDE, sum(heights) + 0.15 * len(images))
        panels = figure.subplots(
            len(images), 3, squeeze=False, width_ratios=(1, 1, 5), height_ratios=heights
        )
        for row, (image, block) in enumerate(zip(images, blocks)):
            _show(panels[row, 0], image)
            _show_chosen(panels[row, 1], image, chosen[row], grid, numbers=False)
            _write_block(panels[row, 2], block)
    return figure


def _write_block(axes: Axes, block: Mapping[str, Sequence[str]]) -> None:
    axes.axis("off")
    lines, line = sum(map(len, block.values())), 0
    for name, words in block.items():
        colour = COLOURS["text" if "reference" in name else "ink"]
        for number, part in enumerate(words):
            place = 1 - (line + 0.5) / lines
            if number == 0:
                axes.text(0, place, name, weight="bold", va="center", color=colour)
            axes.text(0.27, place, part, va="center", color=colour)
            line += 1


def _require_patches(chosen: Tensor, grid: Grid) -> None:
    if int(chosen.min()) < 0 or int(chosen.max()) >= grid[0] * grid[1]:
        raise ValueError(
            f"patches run from {int(chosen.min())} to {int(chosen.max())} and the grid is {grid}: "
            "wanted 0 to rows x columns - 1. `top_patches` counts the class token: subtract 1."
        )


def _square(image: Image.Image) -> Image.Image:
    """Cut the image to the square in its middle, which is what CLIP sees."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.convert("RGB").crop((left, top, left + side, top + side))


def _show(axes: Axes, image: Image.Image) -> None:
    axes.imshow(np.asarray(_square(image)), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)


def _show_chosen(
    axes: Axes, image: Image.Image, chosen: Tensor, grid: Grid, *, numbers: bool = True
) -> None:
    keep = np.zeros(grid[0] * grid[1])
    keep[chosen.cpu().numpy()] = 1
    _show_light(axes, image, keep.reshape(grid))
    for rank, patch in enumerate(chosen.tolist()):
        _mark(axes, image, patch, grid, rank if numbers else None)


def _show_weights(axes: Axes, image: Image.Image, weights: Tensor, grid: Grid) -> None:
    values = weights.cpu().reshape(grid).numpy()
    _show_light(axes, image, values / max(float(values.max()), 1e-12))


def _show_light(axes: Axes, image: Image.Image, light: np.ndarray) -> None:
    """Show the image with its contrast where `light` is 1, and pale where it is 0."""
    pixels = np.asarray(_square(image)).astype(float)
    side = pixels.shape[0]
    rows = np.arange(side) * light.shape[0] // side
    columns = np.arange(side) * light.shape[1] // side
    share = DIM + (1 - DIM) * light[np.ix_(rows, columns)][..., None]
    axes.imshow((255 - (255 - pixels) * share).round().astype("uint8"), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)


def _mark(axes: Axes, image: Image.Image, patch: int, grid: Grid, rank: int | None) -> None:
    side = min(image.size)
    high, wide = side / grid[0], side / grid[1]
    row, column = divmod(patch, grid[1])
    corner = (column * wide - 0.5, row * high - 0.5)
    axes.add_patch(Rectangle(corner, wide, high, fill=False, ec=COLOURS["text"], linewidth=1.4))
    if rank is not None:
        axes.text(
            corner[0] + wide / 2,
            corner[1] + high / 2,
            str(rank + 1),
            ha="center",
            va="center",
            weight="bold",
            color=COLOURS["ink"],
            bbox={"facecolor": "white", "alpha": 0.75, "pad": 0.6, "linewidth": 0},
        )
