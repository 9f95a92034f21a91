"""Every shipped model: small ones really trained on the drawn world, and how to make them again.

- `shipped_model`: the class of all of them, and how to add one; `registry`: the list
- `clips` on `tokenizer`, `clip_model`, `clip_recipe`, `train_clip`, `clip_checkpoint`
- `language_models` on `lm_model`, `lm_corpus`, `lm_recipe`, `lm_train`
- `vlms`, an Idefics3 each, on `vlm_model`, `vlm_processor`, `vlm_images`, `vlm_recipe`, `vlm_run`:
  `vlm_from_clip`, `vlm_vision`: the tower; `noisy_captions`, `vlm_train`: the two diets of
  captions; `vlm_scores`: what its captions are worth
- `step_checkpoint`: how a stage goes on from its middle; `second_edition`: recipes for the second
  edition of the drawn world, beside the first for now
- `captioners`, `adapters`: trained parts of captioners, and LoRA adapters
- `qwen_model`, `qwen_train`: a Qwen2-VL of the same size, trained by experiments, not shipped
- `loaders`: how `vizer_core.shipped` finds all of them
"""

from vizer_lab.zoo.clips import CLIPS, load_micro_clip, score_micro_clip
from vizer_lab.zoo.language_models import load_micro_lm
from vizer_lab.zoo.vlms import VLMS, load_micro_vlm

__all__ = [
    "CLIPS",
    "VLMS",
    "load_micro_clip",
    "load_micro_lm",
    "load_micro_vlm",
    "score_micro_clip",
]
