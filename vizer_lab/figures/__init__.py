"""The book's own figures, in the style of `vizer_core.plots`.

- `scenes`: images with captions, maps over images; `marked`: captions with their true words marked;
  `rates`: intervals, gap against logit scale
- `reactions`: what each metric does to each edit of a caption, and how it ranks captions
- from their files: `series`, the same rows read in several ways, with intervals; `improvement`,
  `frontier`, `hearing`, the map of label-free improvement, precision against recall along the
  temperature, scores of pairs and what they foretold; `ablation`, `company`, `entries`,
  `questions`, `reconstruction`
"""

from vizer_lab.figures.rates import draw_gap_axis, draw_intervals, draw_scale_curve
from vizer_lab.figures.reactions import draw_agreement, draw_reactions
from vizer_lab.figures.scenes import draw_images, draw_patch_maps

__all__ = [
    "draw_agreement",
    "draw_gap_axis",
    "draw_images",
    "draw_intervals",
    "draw_patch_maps",
    "draw_reactions",
    "draw_scale_curve",
]
