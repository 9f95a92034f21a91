"""Every shipped model: small ones really trained on the drawn world, and how to make them again.

- `shipped_model`: the class of all of them, and how to add one; `registry`: the list
- `clips` on `tokenizer`, `clip_model`, `clip_recipe`, `train_clip`, `clip_checkpoint`
- `language_models` on `lm_model`, `lm_corpus`, `lm_recipe`, `lm_train`
- `vlms`, an Idefics3 each, on `vlm_model`, `vlm_processor`, `vlm_images`, `vlm_recipe`, `vlm_run`:
  `vlm_from_clip`, `vlm_vision`: the tower; `noisy_captions`, `vlm_train`: the two diets of
  captions; `vlm_scores`: what its captions are worth
- `drawn_recipes`, `drawn_captioners`, `drawn_scores`: their recipes and what they score;
  `real_language_vlm`: one whose language half is a real model
- `step_checkpoint`: how a stage goes on from its middle; `muon`: the optimizer of the drawn models
- `captioners`, `adapters`: trained parts of captioners, and LoRA adapters
- `qwen_model`, `qwen_train`: a Qwen2-VL of the same size; `view_images`: views of drawn images
- `loaders`: how `vizer_core.shipped` finds all of them
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_lab.zoo.adapters import context_mapper as context_mapper
    from vizer_lab.zoo.adapters import read_back_mapper as read_back_mapper
    from vizer_lab.zoo.adapters import shipped_adapter as shipped_adapter
    from vizer_lab.zoo.clips import CLIPS as CLIPS
    from vizer_lab.zoo.clips import load_drawn_clip as load_drawn_clip
    from vizer_lab.zoo.clips import pixels_of as pixels_of
    from vizer_lab.zoo.clips import score_drawn_clip as score_drawn_clip
    from vizer_lab.zoo.language_models import load_drawn_lm as load_drawn_lm
    from vizer_lab.zoo.vlm_images import encode_images as encode_images
    from vizer_lab.zoo.vlms import VLMS as VLMS
    from vizer_lab.zoo.vlms import load_drawn_vlm as load_drawn_vlm

_HOME = {
    "vizer_lab.zoo.adapters": ("context_mapper", "read_back_mapper", "shipped_adapter"),
    "vizer_lab.zoo.clips": ("CLIPS", "load_drawn_clip", "pixels_of", "score_drawn_clip"),
    "vizer_lab.zoo.language_models": ("load_drawn_lm",),
    "vizer_lab.zoo.vlm_images": ("encode_images",),
    "vizer_lab.zoo.vlms": ("VLMS", "load_drawn_vlm"),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
