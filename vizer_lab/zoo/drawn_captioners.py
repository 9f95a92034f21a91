"""Recipes of captioners from text alone on the drawn world.

Every row trains the same number of steps with Muon (`zoo.muon`), in front of the frozen drawn-lm,
and begins as a reader of words (`textonly.word_reader`). Eight prefix positions: the language
model has read up to twelve words before a caption.

The image features of drawn-clip-50 fill about 45 of 128 directions, and what they tell of objects
lies in the weak ones. From random weights the supervised row was below retrieval after 800 steps
of the language model (object F1 .32 on 300 validation images, retrieval .40); detectors alone, two
seconds and no step, gave .42.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.textonly import (
    GaussianNoise,
    NoNoise,
    PrefixConfig,
    TextOnlyConfig,
    TrainingPairs,
    region_noise,
)
from vizer_core.textonly.filtering import SMALL_DECODING
from vizer_core.textonly.prefix_network import MLPConfig
from vizer_core.textonly.schedule import WarmupCosine
from vizer_core.textonly.word_reader import ReaderConfig, WordReader
from vizer_lab.zoo.lm_corpus import PLAIN_WORDS
from vizer_lab.zoo.muon import muon_and_adamw
from vizer_lab.zoo.tokenizer import split_words

DRAWN_NETWORK = PrefixConfig(
    clip_width=128, lm_width=128, queries=8, feedforward=256, dropout=0.0, norm_first=True
)
SINGLE_TOKEN = MLPConfig(clip_width=128, lm_width=128)
DRAWN_DECODING = SMALL_DECODING
# `experiments.maccap_drawn` chose both on validation images, from a third to ten times the variance
# that turns a text as far as its image is away (MATCHED). Ten tokens are read as their mean, which
# has a tenth of the variance.
MATCHED = 0.01984
FEWEST = 10  # captions that have a word, for it to get a detector
DRAWN_MACCAP = TextOnlyConfig(
    noise=GaussianNoise(0.05952),
    schedule=WarmupCosine(50),
    batch_size=64,
    learning_rate=2e-3,
    epochs=1,
    max_tokens=30,
    standardise=True,
    optimizer=muon_and_adamw,
)
DRAWN_CAPDEC = replace(DRAWN_MACCAP, tokens=1, noise=GaussianNoise(MATCHED))
DRAWN_DECAP = replace(DRAWN_MACCAP, tokens=1, noise=NoNoise())


def telling_words(captions: Sequence[str]) -> dict[str, int]:
    """Return the words that say something of a scene, each with its number, most frequent first.

    >>> telling_words(["a dog in the snow", "a dog"] * FEWEST)
    {'dog': 0, 'snow': 1}
    """
    counts = Counter(word for text in captions for word in set(split_words(text)))
    telling = [w for w, n in counts.most_common() if n >= FEWEST and w not in PLAIN_WORDS]
    return {word: number for number, word in enumerate(telling)}


def word_matrix(captions: Sequence[str], words: dict[str, int]) -> Tensor:
    """Return 1 where a caption has a word, [captions, words].

    >>> word_matrix(["a dog"], {"dog": 0, "snow": 1}).tolist()
    [[1.0, 0.0]]
    """
    present = torch.zeros(len(captions), len(words))
    for row, text in enumerate(captions):
        present[row, [words[word] for word in set(split_words(text)) if word in words]] = 1.0
    return present


def word_reader(
    pairs: TrainingPairs,
    config: TextOnlyConfig,
    lm: PrefixLanguageModel,
    *,
    generator: torch.Generator,
    network: PrefixConfig = DRAWN_NETWORK,
) -> WordReader:
    """Make a prefix network that reads words from these features, noised as in training."""
    words = telling_words(pairs.captions)
    reader = WordReader(ReaderConfig(**vars(network), words=len(words)))
    tokens = region_noise(pairs.features, config.tokens, noise=config.noise, generator=generator)
    ids = torch.tensor([own[:1] for own in lm.word_ids(list(words))], device=lm.device)
    embedding = lm.embed(ids)[:, 0].detach()
    reader.fit_detectors(tokens, word_matrix(pairs.captions, words), embedding, generator=generator)
    return reader
