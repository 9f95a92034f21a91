"""Frozen causal language models fed by prefix embeddings.

- `protocol`: `PrefixLanguageModel`, the seam; `causal_lm`: `CausalLM` behind it, over any
  transformers model; `loading`: from a folder, the hub's cache or the hub; `gguf`: from a file
  for llama.cpp; `text_form`: how texts begin and end
- `prefix`: a prefix in front of texts, as embeddings with a mask
- `scoring`: log-probabilities of given texts; `fluency`: nats per word of captions, as statistics
- `stepper`: one token at a time, with the attention cache in the open
- `sentence_encoder`: one vector per text
- `beam_cache`: beams read their prefix once; `fast_linear`: large layers on a CPU by oneDNN
"""

from vizer_core.language.causal_lm import CausalLM
from vizer_core.language.fluency import surprisal_statistics
from vizer_core.language.prefix import PrefixedBatch, no_prefix, prefixed
from vizer_core.language.protocol import Generated, PrefixLanguageModel, TokenBatch
from vizer_core.language.scoring import nats_per_token, sequence_log_probs, token_log_probs
from vizer_core.language.sentence_encoder import SentenceEncoder
from vizer_core.language.stepper import StepState, pick, start, step
from vizer_core.language.text_form import TextForm

__all__ = [
    "CausalLM",
    "Generated",
    "PrefixLanguageModel",
    "PrefixedBatch",
    "SentenceEncoder",
    "StepState",
    "TextForm",
    "TokenBatch",
    "nats_per_token",
    "no_prefix",
    "pick",
    "prefixed",
    "sequence_log_probs",
    "start",
    "step",
    "surprisal_statistics",
    "token_log_probs",
]
