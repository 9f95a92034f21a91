"""Training a captioner on text alone: noise, prefix network, training, sampling and filtering.

- `noise`: Gaussian, uniform, none, measured on pairs; each knows the angle it turns a text by
- `repairing`: noisy pairs dropped, graded or paired anew
- `regions`: a text feature as a set of noised tokens; `inference`: an image as such a set
- `prefix_network`: learned queries or an MLP, from CLIP tokens to a prefix; `word_reader`: the
  same, beginning as a reader of words
- `loss`, `schedule`, `optimizer`, `presets`: what is minimised, how fast, and with which settings
- `pairs`, `train`, `run_state`, `update`: the training loop and what it stands on
- `filtering`: S captions per image in one call, the one that CLIP likes best
- `prefix_network_file`: prefix networks on disk, bound to their CLIP and language model
"""

from vizer_core.textonly.filtering import (
    PrefixGenerator,
    draw_noise,
    filter_samples,
    sample_and_filter,
)
from vizer_core.textonly.inference import average_mix
from vizer_core.textonly.noise import GaussianNoise, Noise, NoNoise, StructuredNoise
from vizer_core.textonly.pairs import TrainingPairs
from vizer_core.textonly.prefix_network import (
    PrefixConfig,
    PrefixDecoder,
    SingleTokenMLP,
    trainable_parameters,
)
from vizer_core.textonly.prefix_network_file import load_prefix_network, save_prefix_network
from vizer_core.textonly.presets import SMALL_MACCAP, SMALL_NETWORK, TextOnlyConfig
from vizer_core.textonly.regions import region_noise
from vizer_core.textonly.run_state import Checkpoint
from vizer_core.textonly.train import fit_text_only

__all__ = [
    "SMALL_MACCAP",
    "SMALL_NETWORK",
    "Checkpoint",
    "GaussianNoise",
    "NoNoise",
    "Noise",
    "PrefixConfig",
    "PrefixDecoder",
    "PrefixGenerator",
    "SingleTokenMLP",
    "StructuredNoise",
    "TextOnlyConfig",
    "TrainingPairs",
    "average_mix",
    "draw_noise",
    "filter_samples",
    "fit_text_only",
    "load_prefix_network",
    "region_noise",
    "sample_and_filter",
    "save_prefix_network",
    "trainable_parameters",
]
