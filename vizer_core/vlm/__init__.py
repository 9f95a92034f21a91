"""Vision-language models behind one protocol: frozen vision, cached features, LoRA on the LM.

- `protocol`: `VisionLanguageModel`, the seam, with `VisionBatch` and `CaptionBatch`
- `smolvlm`: `SmolVlm`, for Idefics3 and SmolVLM checkpoints and the micro models
- `qwen2vl`: `Qwen2Vl`, for Qwen2-VL and Qwen2.5-VL; `loading`: `load_vlm` chooses between them
- `pretrained`: checkpoints from hub, cache or folder, and what can be wrong with them
- `language_side`, `captioning`: what adapters share; states, and captions from cached features
- `writing`, `tokens`: one token after the other over a key-value cache; ids and words
- `sizes`, `budget`, `memory`: parameters, FLOPs and bytes of a training step, by arithmetic;
  `published`: the shapes of SmolVLM-Base, -500M, -256M and Qwen2-VL-2B, without weights
- `surprisal`, `word_kinds`: nats a token with the right image, a wrong one and none; which words
- `likelihood`: log p of caption tokens, and how a model begins its captions
- `modules`: components, where LoRA may go and what it may not change, by a module's name; gradient
  checkpointing
- `pooling`: readings of F_I
"""

from vizer_core.vlm.budget import StepPlan, least_seconds, step_flops
from vizer_core.vlm.loading import load_vlm
from vizer_core.vlm.memory import step_memory
from vizer_core.vlm.modules import (
    ALL_PROJECTIONS,
    ATTENTION_PROJECTIONS,
    FEED_FORWARD_PROJECTIONS,
    language_targets,
)
from vizer_core.vlm.pooling import global_tile_mean, mean_patches, post_connector_mean
from vizer_core.vlm.protocol import CaptionBatch, Prompt, VisionBatch, VisionLanguageModel
from vizer_core.vlm.qwen2vl import Qwen2Vl
from vizer_core.vlm.sizes import size_of
from vizer_core.vlm.smolvlm import SmolVlm

__all__ = [
    "ALL_PROJECTIONS",
    "ATTENTION_PROJECTIONS",
    "FEED_FORWARD_PROJECTIONS",
    "CaptionBatch",
    "Prompt",
    "Qwen2Vl",
    "SmolVlm",
    "StepPlan",
    "VisionBatch",
    "VisionLanguageModel",
    "global_tile_mean",
    "language_targets",
    "least_seconds",
    "load_vlm",
    "mean_patches",
    "post_connector_mean",
    "size_of",
    "step_flops",
    "step_memory",
]
