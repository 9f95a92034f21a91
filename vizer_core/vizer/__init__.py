"""ViZer: a mapper from text states to image features, and LoRA trained without a label.

- `text_states`, `pooling`: what a mapper reads: human captions, or the model's own, with or
  without their image
- `targets`: F_I centred, whitened or as it is; `shuffled`, the control
- `mapper`, `train_mapper`: phase 1, `fit_mapper`
- `losses`, `objectives`: the losses as formulas, and what phase 2 makes of the paper's
- `lora`, `train_config`, `train`: phase 2 on unlabelled images, one loop for every objective
- `rewards`, `advantages`, `best_of_n`: the same score as a reward, and CLIP's; policy gradients
- `named_objectives`, `phase_two`: objectives by name; what stands around a training
- `local_batch`: a step's images among processes, and in micro-batches
- `adapter_run`: runs that can be killed and go on; `checkpoint`: mappers on disk
- `write_captions`: whole sets captioned, by one process or several; what decoding alone can change
- `residual`, `agreement`, `neighbours`, `ensemble`, `information`: targets without the background,
  own captions that agree, hard negatives, several mappers at once, what the frozen base can tell
- `pairwise_accuracy`: does a score hear the words, and does a step give them credit?
- `forecast`: before training: will it help? `coverage`: what k sampled captions name
- `collapse`, `diagnostics`, `drift`, `sampled`: what a run really did
"""

from vizer_core.vizer.advantages import PolicyGradient
from vizer_core.vizer.checkpoint import load_mapper, save_mapper
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.lora import LoraSettings, add_lora, load_adapter, save_adapter
from vizer_core.vizer.mapper import MapperConfig
from vizer_core.vizer.objectives import ImageContext, Rollout, StraightThrough
from vizer_core.vizer.rewards import ClipReward, ReadBackReward
from vizer_core.vizer.targets import shuffled
from vizer_core.vizer.text_states import generated_states, ground_truth_states, read_back_states
from vizer_core.vizer.train import train_adapter
from vizer_core.vizer.train_config import POLICY_GRADIENT, TrainConfig
from vizer_core.vizer.train_mapper import fit_mapper

__all__ = [
    "POLICY_GRADIENT",
    "ClipReward",
    "ImageContext",
    "InformationReward",
    "LoraSettings",
    "MapperConfig",
    "PolicyGradient",
    "ReadBackReward",
    "Rollout",
    "StraightThrough",
    "TrainConfig",
    "add_lora",
    "fit_mapper",
    "generated_states",
    "ground_truth_states",
    "load_adapter",
    "load_mapper",
    "read_back_states",
    "save_adapter",
    "save_mapper",
    "shuffled",
    "train_adapter",
]
