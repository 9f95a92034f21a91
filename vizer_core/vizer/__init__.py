"""ViZer: a mapper from text states to image features, and LoRA trained without a label.

- `text_states`, `pooling`: what a mapper reads: human captions, or the model's own, with or
  without their image
- `targets`: F_I centred, whitened or as it is; `shuffled`, the control
- `mapper`, `train_mapper`: phase 1, `fit_mapper`
- `losses`, `objectives`: the losses as formulas, and what phase 2 makes of the paper's
- `train`: phase 2 on unlabelled images, one loop for every objective. A step of it crosses
  `adapter_run`: settings, record, steps; `lora`: what is trained; `rollout`: a step's images among
  processes, their captions, in micro-batches; and the objective, such as `policy_gradient`
- `read_ahead`: the images of the next batch prepared while the model is at work
- `self_training`: cross-entropy on chosen captions of the base's own, RAFT, DPO
- `rewards`, `best_of_n`: the same score as a reward, and CLIP's; the reward without training
- `named_objectives`, `phase_two`: objectives by name; what stands around a training
- `recipes`: settings by the model's size; `watch`: captions and held-out scores on the way, early
  stopping; `merging`, `model_card`: an adapter in its model's weights, cards, and the hub
- `checkpoint`: mappers on disk (a run that can be killed: `vizer_core.run_state`)
- `generate_captions`: whole sets captioned, by one process or several; what decoding alone can do
- `residual`, `agreement`, `neighbours`, `ensemble`, `information`: targets without the background,
  own captions that agree, hard negatives, several mappers at once, what the frozen base can tell
- `pairwise_accuracy`: does a score tell images apart, and what else does it prefer?
- `view_agreement`: does a caption hold when the image moves by less than a patch?
- `forecast`: before training: will it help? `coverage`: what k sampled captions name
- `collapse`, `diagnostics`, `drift`, `sampled`: what a run really did
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_core.vizer.adapter_run import POLICY_GRADIENT as POLICY_GRADIENT
    from vizer_core.vizer.adapter_run import VIZER_PAPER as VIZER_PAPER
    from vizer_core.vizer.adapter_run import VIZER_SMALL as VIZER_SMALL
    from vizer_core.vizer.adapter_run import TrainConfig as TrainConfig
    from vizer_core.vizer.adapter_run import TrainHistory as TrainHistory
    from vizer_core.vizer.checkpoint import load_mapper as load_mapper
    from vizer_core.vizer.checkpoint import save_mapper as save_mapper
    from vizer_core.vizer.collapse import constant_cosine as constant_cosine
    from vizer_core.vizer.collapse import effective_rank as effective_rank
    from vizer_core.vizer.collapse import mean_pairwise_cosine as mean_pairwise_cosine
    from vizer_core.vizer.coverage import chance_counts as chance_counts
    from vizer_core.vizer.coverage import named_counts as named_counts
    from vizer_core.vizer.diagnostics import LEAK_MARGIN as LEAK_MARGIN
    from vizer_core.vizer.diagnostics import leak_index as leak_index
    from vizer_core.vizer.diagnostics import swap_test as swap_test
    from vizer_core.vizer.diagnostics import warnings_of as warnings_of
    from vizer_core.vizer.drift import measure_drift as measure_drift
    from vizer_core.vizer.forecast import ContextCosine as ContextCosine
    from vizer_core.vizer.forecast import ForecastInputs as ForecastInputs
    from vizer_core.vizer.forecast import ForecastRule as ForecastRule
    from vizer_core.vizer.forecast import mapper_leak as mapper_leak
    from vizer_core.vizer.generate_captions import first_token_mass as first_token_mass
    from vizer_core.vizer.generate_captions import sample_captions as sample_captions
    from vizer_core.vizer.generate_captions import suppressed_first_words as suppressed_first_words
    from vizer_core.vizer.information import InformationReward as InformationReward
    from vizer_core.vizer.information import (
        image_prior_log_likelihood as image_prior_log_likelihood,
    )
    from vizer_core.vizer.information import log_likelihood as log_likelihood
    from vizer_core.vizer.information import prior_log_likelihood as prior_log_likelihood
    from vizer_core.vizer.lora import LoraSettings as LoraSettings
    from vizer_core.vizer.lora import adapter_tensors as adapter_tensors
    from vizer_core.vizer.lora import add_lora as add_lora
    from vizer_core.vizer.lora import load_adapter as load_adapter
    from vizer_core.vizer.lora import lora_parameters as lora_parameters
    from vizer_core.vizer.lora import reset_lora as reset_lora
    from vizer_core.vizer.lora import save_adapter as save_adapter
    from vizer_core.vizer.losses import cosine_loss as cosine_loss
    from vizer_core.vizer.losses import info_nce as info_nce
    from vizer_core.vizer.mapper import MapperConfig as MapperConfig
    from vizer_core.vizer.mapper import random_mapper as random_mapper
    from vizer_core.vizer.neighbours import nearest_images as nearest_images
    from vizer_core.vizer.objectives import ImageContext as ImageContext
    from vizer_core.vizer.objectives import Objective as Objective
    from vizer_core.vizer.objectives import StraightThrough as StraightThrough
    from vizer_core.vizer.pairwise_accuracy import credit as credit
    from vizer_core.vizer.pairwise_accuracy import preference as preference
    from vizer_core.vizer.policy_gradient import PolicyGradient as PolicyGradient
    from vizer_core.vizer.policy_gradient import Reward as Reward
    from vizer_core.vizer.policy_gradient import group_mean as group_mean
    from vizer_core.vizer.policy_gradient import grpo as grpo
    from vizer_core.vizer.policy_gradient import rloo as rloo
    from vizer_core.vizer.policy_gradient import rloo_scaled as rloo_scaled
    from vizer_core.vizer.policy_gradient import scst as scst
    from vizer_core.vizer.policy_gradient import sequence_loss as sequence_loss
    from vizer_core.vizer.pooling import last_read as last_read
    from vizer_core.vizer.pooling import mean_emitting as mean_emitting
    from vizer_core.vizer.rewards import ClipReward as ClipReward
    from vizer_core.vizer.rewards import LengthWindow as LengthWindow
    from vizer_core.vizer.rewards import ReadBackReward as ReadBackReward
    from vizer_core.vizer.rewards import RepetitionPenalty as RepetitionPenalty
    from vizer_core.vizer.rewards import UnfinishedPenalty as UnfinishedPenalty
    from vizer_core.vizer.rollout import Rollout as Rollout
    from vizer_core.vizer.sampled import grounding_statistics as grounding_statistics
    from vizer_core.vizer.sampled import pool_draws as pool_draws
    from vizer_core.vizer.sampled import sampled_grounding as sampled_grounding
    from vizer_core.vizer.self_training import GivenCaptions as GivenCaptions
    from vizer_core.vizer.self_training import PreferencePairs as PreferencePairs
    from vizer_core.vizer.self_training import Raft as Raft
    from vizer_core.vizer.self_training import SelfTraining as SelfTraining
    from vizer_core.vizer.targets import centre as centre
    from vizer_core.vizer.targets import derangement as derangement
    from vizer_core.vizer.targets import shuffled as shuffled
    from vizer_core.vizer.targets import shuffled_targets as shuffled_targets
    from vizer_core.vizer.targets import uncentred as uncentred
    from vizer_core.vizer.targets import whiten as whiten
    from vizer_core.vizer.text_states import generated_states as generated_states
    from vizer_core.vizer.text_states import ground_truth_states as ground_truth_states
    from vizer_core.vizer.text_states import (
        ground_truth_states_in_context as ground_truth_states_in_context,
    )
    from vizer_core.vizer.text_states import read_back_states as read_back_states
    from vizer_core.vizer.text_states import token_states as token_states
    from vizer_core.vizer.train import train_adapter as train_adapter
    from vizer_core.vizer.train_mapper import FitConfig as FitConfig
    from vizer_core.vizer.train_mapper import fit_mapper as fit_mapper
    from vizer_core.vizer.view_agreement import ViewAgreement as ViewAgreement

_HOME = {
    "vizer_core.vizer.adapter_run": (
        "POLICY_GRADIENT",
        "VIZER_SMALL",
        "VIZER_PAPER",
        "TrainConfig",
        "TrainHistory",
    ),
    "vizer_core.vizer.checkpoint": ("load_mapper", "save_mapper"),
    "vizer_core.vizer.collapse": ("constant_cosine", "effective_rank", "mean_pairwise_cosine"),
    "vizer_core.vizer.coverage": ("chance_counts", "named_counts"),
    "vizer_core.vizer.diagnostics": ("LEAK_MARGIN", "leak_index", "swap_test", "warnings_of"),
    "vizer_core.vizer.drift": ("measure_drift",),
    "vizer_core.vizer.forecast": ("ContextCosine", "ForecastInputs", "ForecastRule", "mapper_leak"),
    "vizer_core.vizer.information": (
        "InformationReward",
        "image_prior_log_likelihood",
        "log_likelihood",
        "prior_log_likelihood",
    ),
    "vizer_core.vizer.lora": (
        "LoraSettings",
        "adapter_tensors",
        "add_lora",
        "load_adapter",
        "lora_parameters",
        "reset_lora",
        "save_adapter",
    ),
    "vizer_core.vizer.losses": ("cosine_loss", "info_nce"),
    "vizer_core.vizer.mapper": ("MapperConfig", "random_mapper"),
    "vizer_core.vizer.neighbours": ("nearest_images",),
    "vizer_core.vizer.objectives": ("ImageContext", "Objective", "StraightThrough"),
    "vizer_core.vizer.pairwise_accuracy": ("credit", "preference"),
    "vizer_core.vizer.policy_gradient": (
        "PolicyGradient",
        "Reward",
        "group_mean",
        "grpo",
        "rloo",
        "rloo_scaled",
        "scst",
        "sequence_loss",
    ),
    "vizer_core.vizer.pooling": ("last_read", "mean_emitting"),
    "vizer_core.vizer.rewards": (
        "ClipReward",
        "LengthWindow",
        "ReadBackReward",
        "RepetitionPenalty",
        "UnfinishedPenalty",
    ),
    "vizer_core.vizer.rollout": ("Rollout",),
    "vizer_core.vizer.sampled": ("grounding_statistics", "pool_draws", "sampled_grounding"),
    "vizer_core.vizer.self_training": (
        "GivenCaptions",
        "PreferencePairs",
        "Raft",
        "SelfTraining",
    ),
    "vizer_core.vizer.targets": (
        "centre",
        "derangement",
        "shuffled",
        "shuffled_targets",
        "uncentred",
        "whiten",
    ),
    "vizer_core.vizer.text_states": (
        "generated_states",
        "ground_truth_states",
        "ground_truth_states_in_context",
        "read_back_states",
        "token_states",
    ),
    "vizer_core.vizer.train": ("train_adapter",),
    "vizer_core.vizer.train_mapper": ("FitConfig", "fit_mapper"),
    "vizer_core.vizer.view_agreement": ("ViewAgreement",),
    "vizer_core.vizer.generate_captions": (
        "first_token_mass",
        "sample_captions",
        "suppressed_first_words",
    ),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
