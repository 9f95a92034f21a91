"""The book's own figures, in the style of `vizer_core.plots`.

- `systems`: what every system is called and which colour it has; a forest of them
- `scenes`: images with captions, maps over images; `marked`: captions with their true words marked
- `intervals`: estimates in rows, one or several a row; `curves`: named curves
- `gap_axis`, `gap_by_dimension`, `neighbour_cosines`: images and texts along the gap, by logit
  scale, by dimension, and around one image
- `metric_sensitivity`: what each metric does to each edit of a caption, and how it ranks captions
- `precision_recall`: of objects, along the temperature; `improvement`: the map of label-free gains
- `pairwise_accuracy`: scores of pairs, and what they foretold; `ablation`, `questions`,
`reconstruction`
"""

from vizer_lab.figures.gap_axis import draw_gap_axis, draw_scale_curve
from vizer_lab.figures.intervals import draw_grouped_intervals, draw_intervals
from vizer_lab.figures.metric_sensitivity import draw_agreement, draw_sensitivity
from vizer_lab.figures.scenes import draw_images, draw_patch_maps
from vizer_lab.figures.systems import draw_systems

__all__ = [
    "draw_agreement",
    "draw_gap_axis",
    "draw_grouped_intervals",
    "draw_images",
    "draw_intervals",
    "draw_patch_maps",
    "draw_scale_curve",
    "draw_sensitivity",
    "draw_systems",
]
