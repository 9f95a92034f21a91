"""The drawn world: emoji scenes with exact truth, and words about them.

- `settings`: the world's numbers, which all the others read
- `lexicon` (on `kinds`, `other_objects`), `world`: what there is, and how a numbered scene is drawn
- `sprites`, `backgrounds`, `render`: images; `captions`, `questions`: words about them
- `wording`: what all caption writers share; `sentences`: the two styles
- `data`: splits with images and captions; the stream without captions
- `corpora`, `vqa_items`: captions to train text-only captioners on; questions in VQAv2's form
- `word_kinds`: what a caption's word speaks of; `mentions`: where it lies in the image
- `word_lists`: what CLIP may name in an image, for Socratic Models' captioner
- `perturbations`, `text_perturbations` (on `phrases`): captions changed in one known way, with and
  without a fault
- `synthetic`: features with a known gap, for tests
"""

from vizer_lab.world.captions import captions_of
from vizer_lab.world.corpora import drawn_corpus
from vizer_lab.world.data import DrawnSplit, unlabelled_stream
from vizer_lab.world.lexicon import drawn_lexicon
from vizer_lab.world.mentions import find_named_objects, kinds_left_out
from vizer_lab.world.perturbations import statements
from vizer_lab.world.questions import questions_of
from vizer_lab.world.render import render_scene, render_scenes
from vizer_lab.world.vqa_items import drawn_answer_list, drawn_prompt, drawn_vqa_items
from vizer_lab.world.world import Scene, make_scene

__all__ = [
    "DrawnSplit",
    "Scene",
    "captions_of",
    "drawn_answer_list",
    "drawn_corpus",
    "drawn_lexicon",
    "drawn_prompt",
    "drawn_vqa_items",
    "find_named_objects",
    "kinds_left_out",
    "make_scene",
    "questions_of",
    "render_scene",
    "render_scenes",
    "statements",
    "unlabelled_stream",
]
