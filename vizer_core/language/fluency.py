"""How odd a caption's words are to a language model that has seen text and no image.

`surprisal` is the mean of -log p a word, in nats, the caption's end counted as a word. It judges
language and not truth: broken sentences, repetition and words in an unusual order raise it, and so
do true words that are rare. A caption copied from the corpus is low, whatever the image shows.

Words are those that `length` counts, not the model's tokens, so that models with other tokenizers
give numbers in the same unit. Nats and words are summed over captions before they are divided, as
`metrics.stats` wants it: an image with a long caption weighs more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64

from vizer_core.language.prefix import no_prefix
from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.language.scoring import sequence_log_probs
from vizer_core.metrics.diversity import caption_lengths
from vizer_core.metrics.stats import Statistics, rate_statistics
from vizer_core.metrics.tokenize import tokenize_captions

BATCH = 128


@torch.no_grad()
def surprisal_statistics(
    captions: Sequence[str], lm: PrefixLanguageModel, *, batch_size: int = BATCH
) -> Statistics:
    """Return the nats per word of each caption, written from BOS alone, as rows (nats, words).

    Each different caption is read once. An empty caption has one word, its end.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: wanted at least 1")
    distinct = list(dict.fromkeys(captions))
    row_of = {text: i for i, text in enumerate(distinct)}
    rows = np.array([row_of[text] for text in captions], dtype=np.int64)
    words = caption_lengths(tokenize_captions(distinct)) + 1
    return rate_statistics(_nats(distinct, lm, batch_size)[rows], words[rows])


def _nats(
    texts: Sequence[str], lm: PrefixLanguageModel, batch_size: int
) -> Float64[np.ndarray, " n"]:
    """Return -log p of each text; texts of like length share a batch."""
    found = np.zeros(len(texts))
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        some = [texts[i] for i in indices]
        found[indices] = -sequence_log_probs(lm, no_prefix(lm, len(some)), some).double().cpu()
    return found
