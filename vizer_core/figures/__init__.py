"""The figures of the book: data in, figure out, one style.

- `style`: colours by meaning, sizes, PNG bytes that repeat
- `cosines`: MacCap Table 1 with controls, pair-cosine spread, the closer-patch fraction
- `scenes`: pictures with captions, maps over pictures; `rates`: intervals, gap against logit scale
- `reactions`: what each metric does to each edit of a caption, and how it ranks captions
- `gap`: pooled histogram with residual, per-dimension means, shift sweep, sphere, projections
- `series`, imported from its file: the same rows read in several ways, with intervals
- `improvement`, `frontier`, `hearing`, from their files: the map of label-free improvement,
  precision against recall along the temperature, scores of pairs and what they foretold
- `training`, imported from its file: reward and KL by step, loss against changed captions,
  captions before and after
"""

from vizer_core.figures.cosines import draw_closer_fraction, draw_cosine_table, draw_pair_cosines
from vizer_core.figures.gap import (
    draw_dimension_means,
    draw_gap_histogram,
    draw_projections,
    draw_shift_sweep,
    draw_sphere,
)
from vizer_core.figures.rates import draw_gap_axis, draw_intervals, draw_scale_curve
from vizer_core.figures.reactions import draw_agreement, draw_reactions
from vizer_core.figures.scenes import draw_images, draw_patch_maps
from vizer_core.figures.style import COLOURS, figure_style, png_bytes

__all__ = [
    "COLOURS",
    "draw_agreement",
    "draw_closer_fraction",
    "draw_cosine_table",
    "draw_dimension_means",
    "draw_gap_axis",
    "draw_gap_histogram",
    "draw_images",
    "draw_intervals",
    "draw_pair_cosines",
    "draw_patch_maps",
    "draw_projections",
    "draw_reactions",
    "draw_scale_curve",
    "draw_shift_sweep",
    "draw_sphere",
    "figure_style",
    "png_bytes",
]
