"""The book's own figures, in the style of `vizer_core.plots`.

- `systems`: what every system is called and which colour it has; a forest of them
- `scenes`: images with captions, maps over images; `marked`: captions with their true words marked,
  `gallery`: the same in a notebook; `tinted`: a caption whose words are tinted by a number each
- `diagrams`: boxes on a grid; `sketch`: a sheet for diagrams in light and dark; `method_diagrams`,
  `vlm_diagrams`: the seven of the book, by `draw_method`
- `first_words`: how a model begins its captions
- `field_map`: what the field's ideas change and need
- `intervals`: estimates in rows, one or several a row; `curves`: named curves
- `gap_axis`, `gap_by_dimension`, `neighbour_cosines`: images and texts along the gap, by logit
  scale, by dimension, and around one image
- `metric_sensitivity`: what each metric does to each edit of a caption, and how it ranks captions
- `precision_recall`: of objects, along the temperature, `temperature_curves` the same of a results
  file
- `pairwise_accuracy`: scores of pairs; `ablation`, `questions`,
`reconstruction`
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_lab.figures.ablation import draw_chance as draw_chance
    from vizer_lab.figures.ablation import draw_proxy as draw_proxy
    from vizer_lab.figures.curves import draw_curves as draw_curves
    from vizer_lab.figures.diagrams import two_readings as two_readings
    from vizer_lab.figures.diagrams import vlm_parts as vlm_parts
    from vizer_lab.figures.field_map import draw_field_map as draw_field_map
    from vizer_lab.figures.first_words import draw_first_words as draw_first_words
    from vizer_lab.figures.gallery import caption_gallery as caption_gallery
    from vizer_lab.figures.gap_axis import draw_gap_axis as draw_gap_axis
    from vizer_lab.figures.gap_axis import draw_scale_curve as draw_scale_curve
    from vizer_lab.figures.gap_by_dimension import draw_pair_gap as draw_pair_gap
    from vizer_lab.figures.gap_by_dimension import draw_same_pool as draw_same_pool
    from vizer_lab.figures.intervals import draw_grouped_intervals as draw_grouped_intervals
    from vizer_lab.figures.intervals import draw_intervals as draw_intervals
    from vizer_lab.figures.method_diagrams import draw_method as draw_method
    from vizer_lab.figures.metric_sensitivity import draw_agreement as draw_agreement
    from vizer_lab.figures.metric_sensitivity import draw_sensitivity as draw_sensitivity
    from vizer_lab.figures.neighbour_cosines import draw_neighbour_cosines as draw_neighbour_cosines
    from vizer_lab.figures.pairwise_accuracy import draw_pair_scores as draw_pair_scores
    from vizer_lab.figures.pairwise_accuracy import of_the_pair as of_the_pair
    from vizer_lab.figures.precision_recall import draw_precision_recall as draw_precision_recall
    from vizer_lab.figures.questions import draw_by_type as draw_by_type
    from vizer_lab.figures.reconstruction import draw_losses as draw_losses
    from vizer_lab.figures.reconstruction import draw_noise_cosine as draw_noise_cosine
    from vizer_lab.figures.reconstruction import draw_trade_off as draw_trade_off
    from vizer_lab.figures.scenes import draw_images as draw_images
    from vizer_lab.figures.scenes import draw_patch_maps as draw_patch_maps
    from vizer_lab.figures.systems import draw_systems as draw_systems
    from vizer_lab.figures.systems import system as system
    from vizer_lab.figures.temperature_curves import (
        draw_temperature_curves as draw_temperature_curves,
    )
    from vizer_lab.figures.tinted import tint_words as tint_words

_HOME = {
    "vizer_lab.figures.ablation": ("draw_chance", "draw_proxy"),
    "vizer_lab.figures.curves": ("draw_curves",),
    "vizer_lab.figures.diagrams": ("two_readings", "vlm_parts"),
    "vizer_lab.figures.field_map": ("draw_field_map",),
    "vizer_lab.figures.first_words": ("draw_first_words",),
    "vizer_lab.figures.gallery": ("caption_gallery",),
    "vizer_lab.figures.gap_axis": ("draw_gap_axis", "draw_scale_curve"),
    "vizer_lab.figures.gap_by_dimension": ("draw_pair_gap", "draw_same_pool"),
    "vizer_lab.figures.intervals": ("draw_grouped_intervals", "draw_intervals"),
    "vizer_lab.figures.method_diagrams": ("draw_method",),
    "vizer_lab.figures.metric_sensitivity": ("draw_agreement", "draw_sensitivity"),
    "vizer_lab.figures.neighbour_cosines": ("draw_neighbour_cosines",),
    "vizer_lab.figures.pairwise_accuracy": ("draw_pair_scores", "of_the_pair"),
    "vizer_lab.figures.precision_recall": ("draw_precision_recall",),
    "vizer_lab.figures.questions": ("draw_by_type",),
    "vizer_lab.figures.reconstruction": ("draw_losses", "draw_noise_cosine", "draw_trade_off"),
    "vizer_lab.figures.scenes": ("draw_images", "draw_patch_maps"),
    "vizer_lab.figures.systems": ("draw_systems", "system"),
    "vizer_lab.figures.tinted": ("tint_words",),
    "vizer_lab.figures.temperature_curves": ("draw_temperature_curves",),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
