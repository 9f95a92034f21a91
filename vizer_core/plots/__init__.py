"""Figures of one's own data: measurements in, figure out, one style.

- `style`: colours by meaning, sizes, PNG bytes that repeat
- `gap`: pooled histogram with residual, per-dimension means, shift sweep, projections
- `cosines`: MacCap Table 1 with controls, pair-cosine spread, the closer-patch fraction
- `estimates`: one estimate with its interval, the mark that all figures share
- `counts`, imported from its file: histograms from stored counts
- `forest`, imported from its file: estimates with intervals, row by row, or along a sweep
- `training`, imported from its file: reward and KL by step, captions before and after
- `captions`, imported from its file: a gallery of captions, sub-regions, candidates
"""

from vizer_core.plots.cosines import draw_closer_fraction, draw_cosine_table, draw_pair_cosines
from vizer_core.plots.gap import (
    draw_dimension_means,
    draw_gap_histogram,
    draw_projections,
    draw_shift_sweep,
)
from vizer_core.plots.style import COLOURS, figure_style, png_bytes

__all__ = [
    "COLOURS",
    "draw_closer_fraction",
    "draw_cosine_table",
    "draw_dimension_means",
    "draw_gap_histogram",
    "draw_pair_cosines",
    "draw_projections",
    "draw_shift_sweep",
    "figure_style",
    "png_bytes",
]
