"""What chapters and experiments work on: models, images and truth, on either profile.

- `clip_study`: one encoder, its images and their captions; results that were recorded
- `caption_study`, `question_study`, `vlm_study`: captioners, questions, vision-language models
- `field_study`, on `field_systems`: the ideas of the field on one world
- `improvement_study`: what training without labels gave, over bases and objectives
- `word_tests`: captions with a wrong word, or with their words shuffled
- `metric_sensitivity`: what every caption metric does to edits, and how it follows the truth
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_lab.studies.caption_study import NOISE_LEVELS as NOISE_LEVELS
    from vizer_lab.studies.caption_study import open_caption_study as open_caption_study
    from vizer_lab.studies.clip_study import RESULTS as RESULTS
    from vizer_lab.studies.clip_study import model_names as model_names
    from vizer_lab.studies.clip_study import open_drawn as open_drawn
    from vizer_lab.studies.clip_study import open_study as open_study
    from vizer_lab.studies.clip_study import recorded_differences as recorded_differences
    from vizer_lab.studies.clip_study import recorded_scores as recorded_scores
    from vizer_lab.studies.field_study import read_field as read_field
    from vizer_lab.studies.field_systems import FIELD as FIELD
    from vizer_lab.studies.improvement_study import quotable as quotable
    from vizer_lab.studies.improvement_study import read_improvement as read_improvement
    from vizer_lab.studies.metric_sensitivity import REFERENCE_METRICS as REFERENCE_METRICS
    from vizer_lab.studies.metric_sensitivity import Edited as Edited
    from vizer_lab.studies.metric_sensitivity import ScoredEdits as ScoredEdits
    from vizer_lab.studies.metric_sensitivity import caption_agreement as caption_agreement
    from vizer_lab.studies.metric_sensitivity import edit_captions as edit_captions
    from vizer_lab.studies.metric_sensitivity import metric_changes as metric_changes
    from vizer_lab.studies.metric_sensitivity import score_edits as score_edits
    from vizer_lab.studies.metric_sensitivity import score_texts as score_texts
    from vizer_lab.studies.metric_sensitivity import system_agreement as system_agreement
    from vizer_lab.studies.question_study import open_questions as open_questions
    from vizer_lab.studies.vlm_study import open_vlm_study as open_vlm_study
    from vizer_lab.studies.word_tests import with_a_wrong_word as with_a_wrong_word
    from vizer_lab.studies.word_tests import with_words_shuffled as with_words_shuffled

_HOME = {
    "vizer_lab.studies.caption_study": ("NOISE_LEVELS", "open_caption_study"),
    "vizer_lab.studies.clip_study": (
        "RESULTS",
        "model_names",
        "open_drawn",
        "open_study",
        "recorded_differences",
        "recorded_scores",
    ),
    "vizer_lab.studies.field_study": ("read_field",),
    "vizer_lab.studies.field_systems": ("FIELD",),
    "vizer_lab.studies.improvement_study": ("quotable", "read_improvement"),
    "vizer_lab.studies.metric_sensitivity": (
        "REFERENCE_METRICS",
        "Edited",
        "ScoredEdits",
        "caption_agreement",
        "edit_captions",
        "metric_changes",
        "score_edits",
        "score_texts",
        "system_agreement",
    ),
    "vizer_lab.studies.question_study": ("open_questions",),
    "vizer_lab.studies.vlm_study": ("open_vlm_study",),
    "vizer_lab.studies.word_tests": ("with_a_wrong_word", "with_words_shuffled"),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
