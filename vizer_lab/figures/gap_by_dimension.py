"""The gap dimension by dimension: of one pair, and what pooling hides (MacCap section 3.2).

symbol -> name: entries of t_i - x_i -> `gap`; Avg over i of each entry -> `dimension_means`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from vizer_core.gap.histogram import GapHistogram
from vizer_core.plots.style import COLOURS, WIDE, figure_style, legend_columns, new_figure, role_of
from vizer_lab.figures.scenes import show_quoted

COARSE_BINS = 60  # bins shown over the frame
FRAME = 4.0  # standard deviations on each side


def draw_pair_gap(image: Image.Image, caption: str, gap: Float[Tensor, " d"]) -> Figure:
    """Draw one image with its caption, and the entries of its gap, text minus image."""
    values = gap.double().cpu().numpy()
    with figure_style():
        figure = new_figure(WIDE, 2.7)
        left, right = figure.subplots(1, 2, width_ratios=(1, 2.1))
        show_quoted(left, image, caption)
        colours = np.where(values >= 0, COLOURS["text"], COLOURS["image"])
        right.bar(np.arange(len(values)), values, width=1.0, color=colours, linewidth=0)
        right.axhline(0, color=COLOURS["ink"], linewidth=0.8)
        right.set_xlabel(f"dimension (d = {len(values)})")
        right.set_ylabel("text − image")
        right.set_title(f"length {np.sqrt((values**2).sum()):.2f}")
        right.grid(axis="x", visible=False)
        right.margins(x=0.01)
    return figure


def draw_same_pool(histograms: Mapping[str, GapHistogram]) -> Figure:
    """Draw pooled entries, and below them the same entries by dimension.

    The first system is filled; names with a comma are controls, drawn dashed on top. The grey
    band is where 95% of the dimension means lie if n pairs have a true mean of zero.
    """
    if not histograms:
        raise ValueError('got nothing to draw, wanted for instance {"as measured": histogram}')
    first = next(iter(histograms.values()))
    with figure_style():
        figure = new_figure(WIDE, 6.2)
        left, right = figure.subplots(2, 1)
        for name, histogram in histograms.items():
            _draw_pool(left, name, histogram, filled=histogram is first)
            _draw_sorted_means(right, name, histogram)
        n = first.count // first.dim
        band = 1.96 * first.moments.std / n**0.5
        right.axhspan(-band, band, color=COLOURS["control"], alpha=0.25, linewidth=0)
        left.set_xlim(-FRAME * first.moments.std, FRAME * first.moments.std)
        left.set_ylim(bottom=0)
        left.set_xlabel("entry of text − image, all dimensions pooled")
        left.set_ylabel("share of entries per bin")
        left.set_title(f"{first.count:,} entries")
        right.set_xlabel(f"dimensions, sorted by mean (d = {first.dim})")
        right.set_ylabel("mean of the dimension")
        right.set_title(f"mean over n = {n:,} pairs; grey: if it were 0")
        handles, labels = right.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=legend_columns(labels))
    return figure


def _draw_pool(axes: Axes, name: str, histogram: GapHistogram, *, filled: bool) -> None:
    wanted = 2 * FRAME * histogram.moments.std / COARSE_BINS / histogram.bin_width
    shown = histogram.coarsened(2 ** max(0, round(np.log2(max(wanted, 1.0)))))
    share = (shown.counts.double() / shown.count).numpy()
    colour = COLOURS[role_of(name)]
    if filled:
        axes.stairs(share, shown.edges.numpy(), fill=True, color=colour, alpha=0.4)
    else:
        axes.stairs(share, shown.edges.numpy(), color=COLOURS["ink"], linestyle="--", linewidth=1.2)


def _draw_sorted_means(axes: Axes, name: str, histogram: GapHistogram) -> None:
    values = np.sort(histogram.dimension_means.numpy())
    control = role_of(name) == "control"
    axes.plot(
        values,
        color=COLOURS["ink" if control else role_of(name)],
        linestyle="--" if control else "-",
        linewidth=1.5 if control else 2.4,
        label=f"{name}: gap norm {np.sqrt((values**2).sum()):.3f}",
    )
