"""Zero-shot visual question answering from captions (MacCap, section 4.4).

- `answering`: prompts, the language model's answer, the candidates nearest to it
- `scoring`: top-k, any-of-ten and soft accuracy; chance and the priors
- `report`: all systems and floors in one table, with intervals, and top-1 by question type
- `borrowed`: the control, captions of another image
- questions and the candidate list: `vizer_core.data.vqav2`
"""

from vizer_core.data.vqav2 import AnswerList, VqaItem
from vizer_core.vqa.answering import (
    RELEASE_DECODING,
    VqaProtocol,
    answer_prompt,
    first_line,
    generate_answers,
    rank_candidates,
    release_prompt,
    retrieve_answers,
)
from vizer_core.vqa.borrowed import borrowed_captions
from vizer_core.vqa.report import VqaReport, evaluate_vqa
from vizer_core.vqa.scoring import (
    prior_ranking,
    score_by_type,
    score_chance,
    score_ranking,
    type_prior_ranking,
)

__all__ = [
    "RELEASE_DECODING",
    "AnswerList",
    "VqaItem",
    "VqaProtocol",
    "VqaReport",
    "answer_prompt",
    "borrowed_captions",
    "evaluate_vqa",
    "first_line",
    "generate_answers",
    "prior_ranking",
    "rank_candidates",
    "release_prompt",
    "retrieve_answers",
    "score_by_type",
    "score_chance",
    "score_ranking",
    "type_prior_ranking",
]
