"""Exercises: what judges a reader's answer at the end of a chapter, one file a chapter.

    tell(judge_sharpness(states, beta))     prints whether the answer is right, and else what is
                                            wrong with it

A `judge_...` measures what the reader made. Where there is a number to hit it measures the book's
own answer the same way, so that what a chapter prints beside a goal was reached, not typed.

- `goal`: numbers to hit, and how a verdict is printed
- `clip_features`, `modality_gap`, `gap_histograms`, `projections`, `metric_choice`: chapters 1 to 5
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_lab.exercises.clip_features import judge_one_row as judge_one_row
    from vizer_lab.exercises.clip_features import judge_places as judge_places
    from vizer_lab.exercises.clip_features import judge_sharpness as judge_sharpness
    from vizer_lab.exercises.clip_features import judge_sub_regions as judge_sub_regions
    from vizer_lab.exercises.gap_histograms import judge_second_pass as judge_second_pass
    from vizer_lab.exercises.gap_histograms import judge_swap as judge_swap
    from vizer_lab.exercises.gap_histograms import judge_two_copies as judge_two_copies
    from vizer_lab.exercises.gap_histograms import judge_unseen_gap as judge_unseen_gap
    from vizer_lab.exercises.goal import Goal as Goal
    from vizer_lab.exercises.goal import judge_goals as judge_goals
    from vizer_lab.exercises.goal import judge_number as judge_number
    from vizer_lab.exercises.goal import tell as tell
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

_HOME = {
    "vizer_lab.exercises.clip_features": (
        "judge_one_row",
        "judge_places",
        "judge_sharpness",
        "judge_sub_regions",
    ),
    "vizer_lab.exercises.gap_histograms": (
        "judge_second_pass",
        "judge_swap",
        "judge_two_copies",
        "judge_unseen_gap",
    ),
    "vizer_lab.exercises.goal": ("Goal", "judge_goals", "judge_number", "tell"),
    "vizer_lab.exercises.metric_choice": ("judge_few_references", "judge_fooling", "judge_mix"),
    "vizer_lab.exercises.modality_gap": ("judge_bar", "judge_energy", "judge_move", "judge_scale"),
    "vizer_lab.exercises.projections": ("judge_first_axis", "judge_half_merged", "judge_moved"),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
