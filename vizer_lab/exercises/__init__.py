"""Exercises: what judges a reader's answer at the end of a chapter, one file a chapter.

    tell(judge_sharpness(states, beta))     prints whether the answer is right, and else what is
                                            wrong with it

A `judge_...` measures what the reader made. Where there is a number to hit it measures the book's
own answer the same way, so that what a chapter prints beside a goal was reached, not typed.

- `goal`: numbers to hit, and how a verdict is printed
- `clip_features`, `modality_gap`, `gap_histograms`, `projections`, `metric_choice`: chapters 1 to 5
- `vlm_anatomy`, `mapper`, `zero_label`, `rewards`: chapters 9 to 12
- `settings`, `score_sight`, `unlabelled`, `field`: chapters 13 to 16
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_lab.exercises.clip_features import judge_one_row as judge_one_row
    from vizer_lab.exercises.clip_features import judge_places as judge_places
    from vizer_lab.exercises.clip_features import judge_sharpness as judge_sharpness
    from vizer_lab.exercises.clip_features import judge_sub_regions as judge_sub_regions
    from vizer_lab.exercises.field import judge_bar_search as judge_bar_search
    from vizer_lab.exercises.field import judge_fresh_areas as judge_fresh_areas
    from vizer_lab.exercises.field import judge_query as judge_query
    from vizer_lab.exercises.gap_histograms import judge_second_pass as judge_second_pass
    from vizer_lab.exercises.gap_histograms import judge_swap as judge_swap
    from vizer_lab.exercises.gap_histograms import judge_two_copies as judge_two_copies
    from vizer_lab.exercises.gap_histograms import judge_unseen_gap as judge_unseen_gap
    from vizer_lab.exercises.goal import Goal as Goal
    from vizer_lab.exercises.goal import judge_goals as judge_goals
    from vizer_lab.exercises.goal import judge_number as judge_number
    from vizer_lab.exercises.goal import judge_written as judge_written
    from vizer_lab.exercises.goal import tell as tell
    from vizer_lab.exercises.mapper import judge_mapper as judge_mapper
    from vizer_lab.exercises.mapper import judge_one_caption as judge_one_caption
    from vizer_lab.exercises.mapper import judge_unleaked as judge_unleaked
    from vizer_lab.exercises.metric_choice import judge_few_references as judge_few_references
    from vizer_lab.exercises.metric_choice import judge_fooling as judge_fooling
    from vizer_lab.exercises.metric_choice import judge_mix as judge_mix
    from vizer_lab.exercises.modality_gap import judge_bar as judge_bar
    from vizer_lab.exercises.modality_gap import judge_energy as judge_energy
    from vizer_lab.exercises.modality_gap import judge_move as judge_move
    from vizer_lab.exercises.modality_gap import judge_scale as judge_scale
    from vizer_lab.exercises.projections import judge_first_axis as judge_first_axis
    from vizer_lab.exercises.projections import judge_half_merged as judge_half_merged
    from vizer_lab.exercises.projections import judge_moved as judge_moved
    from vizer_lab.exercises.rewards import judge_ceiling as judge_ceiling
    from vizer_lab.exercises.rewards import judge_noisy_scale as judge_noisy_scale
    from vizer_lab.exercises.rewards import judge_two_weights as judge_two_weights
    from vizer_lab.exercises.score_sight import judge_lie as judge_lie
    from vizer_lab.exercises.score_sight import judge_rivals as judge_rivals
    from vizer_lab.exercises.score_sight import judge_weight as judge_weight
    from vizer_lab.exercises.settings import judge_passes as judge_passes
    from vizer_lab.exercises.settings import judge_rate as judge_rate
    from vizer_lab.exercises.settings import judge_seeds as judge_seeds
    from vizer_lab.exercises.unlabelled import judge_better_caption as judge_better_caption
    from vizer_lab.exercises.unlabelled import judge_least_share as judge_least_share
    from vizer_lab.exercises.unlabelled import judge_word_pays as judge_word_pays
    from vizer_lab.exercises.vlm_anatomy import judge_caption_nats as judge_caption_nats
    from vizer_lab.exercises.vlm_anatomy import judge_first_word as judge_first_word
    from vizer_lab.exercises.vlm_anatomy import judge_rearranged as judge_rearranged
    from vizer_lab.exercises.zero_label import judge_adapter_size as judge_adapter_size
    from vizer_lab.exercises.zero_label import judge_by_position as judge_by_position
    from vizer_lab.exercises.zero_label import judge_other_loss as judge_other_loss

_HOME = {
    "vizer_lab.exercises.clip_features": (
        "judge_one_row",
        "judge_places",
        "judge_sharpness",
        "judge_sub_regions",
    ),
    "vizer_lab.exercises.field": (
        "judge_bar_search",
        "judge_fresh_areas",
        "judge_query",
    ),
    "vizer_lab.exercises.gap_histograms": (
        "judge_second_pass",
        "judge_swap",
        "judge_two_copies",
        "judge_unseen_gap",
    ),
    "vizer_lab.exercises.goal": (
        "Goal",
        "judge_goals",
        "judge_number",
        "judge_written",
        "tell",
    ),
    "vizer_lab.exercises.mapper": (
        "judge_mapper",
        "judge_one_caption",
        "judge_unleaked",
    ),
    "vizer_lab.exercises.metric_choice": (
        "judge_few_references",
        "judge_fooling",
        "judge_mix",
    ),
    "vizer_lab.exercises.modality_gap": (
        "judge_bar",
        "judge_energy",
        "judge_move",
        "judge_scale",
    ),
    "vizer_lab.exercises.projections": (
        "judge_first_axis",
        "judge_half_merged",
        "judge_moved",
    ),
    "vizer_lab.exercises.rewards": (
        "judge_ceiling",
        "judge_noisy_scale",
        "judge_two_weights",
    ),
    "vizer_lab.exercises.score_sight": (
        "judge_lie",
        "judge_rivals",
        "judge_weight",
    ),
    "vizer_lab.exercises.settings": (
        "judge_passes",
        "judge_rate",
        "judge_seeds",
    ),
    "vizer_lab.exercises.unlabelled": (
        "judge_better_caption",
        "judge_least_share",
        "judge_word_pays",
    ),
    "vizer_lab.exercises.vlm_anatomy": (
        "judge_caption_nats",
        "judge_first_word",
        "judge_rearranged",
    ),
    "vizer_lab.exercises.zero_label": (
        "judge_adapter_size",
        "judge_by_position",
        "judge_other_loss",
    ),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
