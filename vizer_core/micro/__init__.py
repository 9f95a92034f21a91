"""The micro world: emoji scenes with exact truth, and small models really trained on them.

- `lexicon`, `world`: what there is, and how a numbered scene is drawn
- `sprites`, `backgrounds`, `render`: pictures; `captions`, `questions`: words about them
- `data`: splits with pictures and captions; the stream without captions
- `tokenizer`, `clip_model`, `clip_recipe`, `train_clip`, `clip_checkpoint`: the micro CLIP
- `vlm_model`, `vlm_processor`, `vlm_images`: the micro VLM, an Idefics3; `vlm_web`: its captions
- `vlm_warm`, `vlm_vision`, `vlm_train`, on `vlm_recipe`, `vlm_run`: its tower, its two diets
- `vlm_scores`, `vlm_lab`: what its captions are worth, and the shipped models
- `corpora`, `vqa_items`: captions to train text-only captioners on; questions in VQAv2's form
- `lab`: the shipped models, and how to make them again
- `word_kinds`: what a caption's word speaks of
- `edits`, `rewording` (on `phrases`): captions changed in one known way, with and without a fault
- `metric_trial`: what every caption metric does to those edits, and how it follows the truth
- `planted`: features with a known gap, for tests
"""

from vizer_core.micro.captions import captions_of
from vizer_core.micro.corpora import micro_corpus
from vizer_core.micro.data import MicroSplit, unlabelled_stream
from vizer_core.micro.lab import RECIPES, load_micro_clip, score_micro_clip
from vizer_core.micro.lexicon import micro_lexicon
from vizer_core.micro.questions import questions_of
from vizer_core.micro.render import render_scene, render_scenes
from vizer_core.micro.vlm_lab import load_micro_vlm
from vizer_core.micro.vqa_items import micro_answer_list, micro_prompt, micro_vqa_items
from vizer_core.micro.world import Scene, make_scene

__all__ = [
    "RECIPES",
    "MicroSplit",
    "Scene",
    "captions_of",
    "load_micro_clip",
    "load_micro_vlm",
    "make_scene",
    "micro_answer_list",
    "micro_corpus",
    "micro_lexicon",
    "micro_prompt",
    "micro_vqa_items",
    "questions_of",
    "render_scene",
    "render_scenes",
    "score_micro_clip",
    "unlabelled_stream",
]
