"""Vision-language models behind one protocol: frozen vision, cached features, LoRA on the LM.

- `protocol`: `VisionLanguageModel`, the seam, with `VisionBatch` and `CaptionBatch`
- `smolvlm`: `SmolVlm`, for Idefics3 and SmolVLM checkpoints and the drawn models
- `qwen2vl`: `Qwen2Vl`, for Qwen2-VL and Qwen2.5-VL; `loading`: `load_vlm` chooses between them
- `pretrained`: checkpoints from hub, cache or folder, and what can be wrong with them
- what adapters share. `prompts`: the processor's side, ids and words; `language_side`: states of
  captions and their log p; `generation`: `CaptionGenerator`, captions token by token;
  `fast_decoder`: the same in under half of the operations, `compiled_decoder` launched at once;
  `prepared`: what of an image needs no model; `counting`: operations, waits, bytes
- `sizes`, `budget`, `memory`: parameters, FLOPs and bytes of a training step, by arithmetic;
  `published`: the shapes of SmolVLM-Base, -500M, -256M, Qwen2-VL-2B and Qwen2.5-VL-3B
- `surprisal`, `word_kinds`: nats per token with the right image, a wrong one and none; which words
- `first_words`: how a model begins its captions
- `modules`: components, and where LoRA may go, by a module's name
- `pooling`: readings of F_I
- `views`: an image moved by less than a patch, and the mean over such views
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_core.vlm.budget import StepPlan as StepPlan
    from vizer_core.vlm.budget import kv_bytes as kv_bytes
    from vizer_core.vlm.budget import least_seconds as least_seconds
    from vizer_core.vlm.budget import step_flops as step_flops
    from vizer_core.vlm.generation import CaptionGenerator as CaptionGenerator
    from vizer_core.vlm.loading import load_vlm as load_vlm
    from vizer_core.vlm.loading import register as register
    from vizer_core.vlm.memory import step_memory as step_memory
    from vizer_core.vlm.modules import ALL_PROJECTIONS as ALL_PROJECTIONS
    from vizer_core.vlm.modules import ATTENTION_PROJECTIONS as ATTENTION_PROJECTIONS
    from vizer_core.vlm.modules import COMPONENTS as COMPONENTS
    from vizer_core.vlm.modules import FEED_FORWARD_PROJECTIONS as FEED_FORWARD_PROJECTIONS
    from vizer_core.vlm.modules import component_of as component_of
    from vizer_core.vlm.modules import language_targets as language_targets
    from vizer_core.vlm.pooling import global_tile_mean as global_tile_mean
    from vizer_core.vlm.pooling import mean_patches as mean_patches
    from vizer_core.vlm.pooling import post_connector_mean as post_connector_mean
    from vizer_core.vlm.protocol import CaptionBatch as CaptionBatch
    from vizer_core.vlm.protocol import Prompt as Prompt
    from vizer_core.vlm.protocol import VisionBatch as VisionBatch
    from vizer_core.vlm.protocol import VisionLanguageModel as VisionLanguageModel
    from vizer_core.vlm.qwen2vl import Qwen2Vl as Qwen2Vl
    from vizer_core.vlm.sizes import size_of as size_of
    from vizer_core.vlm.smolvlm import SmolVlm as SmolVlm
    from vizer_core.vlm.views import average_views as average_views
    from vizer_core.vlm.views import encode_views as encode_views
    from vizer_core.vlm.word_kinds import replace_words as replace_words

_HOME = {
    "vizer_core.vlm.budget": ("StepPlan", "kv_bytes", "least_seconds", "step_flops"),
    "vizer_core.vlm.generation": ("CaptionGenerator",),
    "vizer_core.vlm.loading": ("load_vlm", "register"),
    "vizer_core.vlm.memory": ("step_memory",),
    "vizer_core.vlm.modules": (
        "ALL_PROJECTIONS",
        "ATTENTION_PROJECTIONS",
        "COMPONENTS",
        "FEED_FORWARD_PROJECTIONS",
        "component_of",
        "language_targets",
    ),
    "vizer_core.vlm.pooling": ("global_tile_mean", "mean_patches", "post_connector_mean"),
    "vizer_core.vlm.protocol": ("CaptionBatch", "Prompt", "VisionBatch", "VisionLanguageModel"),
    "vizer_core.vlm.qwen2vl": ("Qwen2Vl",),
    "vizer_core.vlm.sizes": ("size_of",),
    "vizer_core.vlm.smolvlm": ("SmolVlm",),
    "vizer_core.vlm.views": ("average_views", "encode_views"),
    "vizer_core.vlm.word_kinds": ("replace_words",),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
