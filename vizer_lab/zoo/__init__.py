"""Every shipped model: small ones really trained on the drawn world, and how to make them again.

- `tokenizer`, `clip_model`, `clip_recipe`, `train_clip`, `clip_checkpoint`: the micro CLIP
- `lab`: the shipped CLIPs, and what the families below share
- `lm_model`, `lm_corpus`, `lm_recipe`, `lm_train`, `lm_lab`: the micro language model
- `vlm_model`, `vlm_processor`, `vlm_images`: the micro VLM, an Idefics3; `vlm_web`: its captions
- `vlm_warm`, `vlm_vision`, `vlm_train`, on `vlm_recipe`, `vlm_run`: its tower, its two diets;
  `step_checkpoint`: how a stage goes on from its middle
- `second_edition`: recipes for the second edition of the drawn world, beside the first for now
- `vlm_scores`, `vlm_lab`: what its captions are worth, and the shipped models
- `qwen_model`, `qwen_train`: a Qwen2-VL of the same size
- `captioner`, `adapters`: trained parts of captioners, and LoRA adapters
- `loaders`: how `vizer_core.shipped` finds all of them
"""

from vizer_lab.zoo.lab import RECIPES, load_micro_clip, score_micro_clip
from vizer_lab.zoo.vlm_lab import load_micro_vlm

__all__ = ["RECIPES", "load_micro_clip", "load_micro_vlm", "score_micro_clip"]
