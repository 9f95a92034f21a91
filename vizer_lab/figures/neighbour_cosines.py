"""One image among the others: how near is its own caption, and how near are strangers?

symbol -> name: cos(x_i, t_i) -> `own`; cos(x_i, x_j) -> `to_images`; cos(x_i, t_j) -> `to_texts`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from vizer_core.plots.style import COLOURS, WIDE, figure_style, new_figure
from vizer_lab.figures.scenes import show_quoted

BINS = 40


def draw_neighbour_cosines(
    image: Image.Image,
    caption: str,
    *,
    own: float,
    to_images: Float[Tensor, " n"],
    to_texts: Float[Tensor, " m"],
) -> Figure:
    """Draw an image, and its cosines to other images, to others' captions and to its own."""
    series = {
        "other images": (to_images.double().cpu().numpy(), COLOURS["image"], "-"),
        "captions of other images": (to_texts.double().cpu().numpy(), COLOURS["text"], "--"),
    }
    low = min(values.min() for values, _, _ in series.values())
    high = max(own, *(values.max() for values, _, _ in series.values()))
    edges = np.linspace(low, high, BINS + 1)
    with figure_style():
        figure = new_figure(WIDE, 3.3)
        left, right = figure.subplots(1, 2, width_ratios=(1, 2.1))
        show_quoted(left, image, caption)
        for name, (values, colour, line) in series.items():
            share = np.histogram(values, bins=edges)[0] / len(values)
            label = f"{name} (n = {len(values):,})"
            right.stairs(share, edges, color=colour, linestyle=line, linewidth=1.6, label=label)
        right.axvline(own, color=COLOURS["ink"], linewidth=2, label="its own caption")
        right.set_xlabel("cosine with this image")
        right.set_ylabel("share per bin")
        right.set_ylim(bottom=0)
        right.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
    return figure
