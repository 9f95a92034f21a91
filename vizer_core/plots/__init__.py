"""Figures of one's own data: measurements in, figure out, one style.

- `style`: colours by meaning, sizes, SVG and PNG that repeat
- `gap`: pooled histogram with residual, per-dimension means, shift sweep, projections
- `cosines`: MacCap Table 1 with controls, pair-cosine spread, the closer-patch fraction
- `estimates`: one estimate with its interval, the mark that all figures share
- `counts`: histograms from stored counts
- `forest`: estimates with intervals, row by row, or along a sweep
- `training`: reward and KL by step, captions before and after
- `captions`: a gallery of captions, sub-regions, candidates
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_core.plots.captions import draw_candidates as draw_candidates
    from vizer_core.plots.captions import draw_caption_gallery as draw_caption_gallery
    from vizer_core.plots.captions import draw_sub_regions as draw_sub_regions
    from vizer_core.plots.cosines import draw_closer_fraction as draw_closer_fraction
    from vizer_core.plots.cosines import draw_cosine_table as draw_cosine_table
    from vizer_core.plots.cosines import draw_pair_cosines as draw_pair_cosines
    from vizer_core.plots.counts import Counts as Counts
    from vizer_core.plots.counts import draw_counts as draw_counts
    from vizer_core.plots.forest import draw_forest as draw_forest
    from vizer_core.plots.forest import draw_sweep as draw_sweep
    from vizer_core.plots.gap import draw_dimension_means as draw_dimension_means
    from vizer_core.plots.gap import draw_gap_histogram as draw_gap_histogram
    from vizer_core.plots.gap import draw_projections as draw_projections
    from vizer_core.plots.gap import draw_shift_sweep as draw_shift_sweep
    from vizer_core.plots.style import COLOURS as COLOURS
    from vizer_core.plots.style import figure_style as figure_style
    from vizer_core.plots.style import png_bytes as png_bytes
    from vizer_core.plots.style import svg_text as svg_text
    from vizer_core.plots.training import draw_before_after as draw_before_after
    from vizer_core.plots.training import draw_reward as draw_reward

_HOME = {
    "vizer_core.plots.captions": ("draw_candidates", "draw_caption_gallery", "draw_sub_regions"),
    "vizer_core.plots.cosines": ("draw_closer_fraction", "draw_cosine_table", "draw_pair_cosines"),
    "vizer_core.plots.counts": ("Counts", "draw_counts"),
    "vizer_core.plots.forest": ("draw_forest", "draw_sweep"),
    "vizer_core.plots.gap": (
        "draw_dimension_means",
        "draw_gap_histogram",
        "draw_projections",
        "draw_shift_sweep",
    ),
    "vizer_core.plots.style": ("COLOURS", "figure_style", "png_bytes", "svg_text"),
    "vizer_core.plots.training": ("draw_before_after", "draw_reward"),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
