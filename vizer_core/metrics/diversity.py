"""How varied a set of captions is: lengths, words, repeated n-grams.

distinct-n (Li et al. 2016, section 5.2) is distinct n-grams / all n-grams of the set. It falls with
the number of captions, so compare equal counts only. With features of the captions the Vendi score
is reported too: how many different things the set says, according to the encoder. None of these
looks at an image: a random string of words is as diverse as can be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from vizer_core.metrics.vendi import vendi_score


@dataclass(frozen=True)
class Diversity:
    """The variety of a set of captions."""

    captions: int
    mean_length: float
    vocabulary: int
    distinct1: float
    distinct2: float
    distinct_captions: float  # distinct captions / captions
    commonest_share: float  # of the most frequent caption; near 1 when a model has collapsed
    vendi: float | None = None  # effective number of different captions; None without features


def caption_lengths(tokens: Sequence[str]) -> Float64[np.ndarray, " n"]:
    """Return the number of words of each tokenised caption.

    >>> caption_lengths(["a cat", ""]).tolist()
    [2.0, 0.0]
    """
    return np.array([len(caption.split()) for caption in tokens], dtype=np.float64)


def distinct_n(tokens: Sequence[str], *, n: int) -> float:
    """Return distinct n-grams over n-grams of all captions together; 0 without any.

    >>> distinct_n(["a cat", "a dog"], n=1)
    0.75
    """
    if n < 1:
        raise ValueError(f"n={n}: wanted 1 or more words")
    split = [caption.split() for caption in tokens]
    ngrams = [tuple(words[i : i + n]) for words in split for i in range(len(words) - n + 1)]
    return len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def diversity(tokens: Sequence[str], features: Float[Tensor, "n d"] | None = None) -> Diversity:
    """Summarise a set of tokenised captions, and of their features where there are any.

    >>> diversity(["a cat", "a cat", "a dog"]).distinct_captions
    0.6666666666666666
    """
    if not tokens:
        raise ValueError("no captions: wanted at least one")
    return Diversity(
        captions=len(tokens),
        mean_length=float(caption_lengths(tokens).mean()),
        vocabulary=len({word for caption in tokens for word in caption.split()}),
        distinct1=distinct_n(tokens, n=1),
        distinct2=distinct_n(tokens, n=2),
        distinct_captions=len(set(tokens)) / len(tokens),
        commonest_share=Counter(tokens).most_common(1)[0][1] / len(tokens),
        vendi=None if features is None else vendi_score(features),
    )
