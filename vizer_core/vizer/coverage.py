"""Does a model name what it never named? Objects covered by k drawn captions, before and after.

One drawn caption shows what a model likes to say; all of k together show what it *can* say. If
training only makes the sayable likelier, the trained model leads at k = 1 and not at large k. Yue
et al. (2504.13837, section 2.2) ask this of language models that were trained by reward on
reasoning, and count as Chen et al. (2107.03374, equation 1) do: from m captions drawn once,
without bias for every k up to m.

Naming many wrong things covers too. So `chance_counts`, of the objects that are in *another* image
and not in this one, give the curve of chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from jaxtyping import Float64, Int64

from vizer_core.metrics.grounding import Lexicon, SceneTruth, parse_caption


def named_counts(
    samples: Sequence[Sequence[str]], truths: Sequence[SceneTruth], *, lexicon: Lexicon
) -> Int64[np.ndarray, " objects"]:
    """Count, for each kind of object in each scene, in how many of its captions it is named."""
    named = _named(samples, truths, lexicon)
    kinds = [sorted({thing.name for thing in truth.objects}) for truth in truths]
    return _counts(named, kinds)


def chance_counts(
    samples: Sequence[Sequence[str]], truths: Sequence[SceneTruth], *, lexicon: Lexicon
) -> Int64[np.ndarray, " objects"]:
    """Count the same for the kinds that are in the next scene and not in the captions' own."""
    named = _named(samples, truths, lexicon)
    own = [{thing.name for thing in truth.objects} for truth in truths]
    return _counts(named, [sorted(own[(i + 1) % len(own)] - here) for i, here in enumerate(own)])


def coverage(
    counts: Int64[np.ndarray, " objects"], *, drawn: int, k: int
) -> Float64[np.ndarray, " objects"]:
    """Return the chance that k of the `drawn` captions, chosen blindly, name each object.

    >>> coverage(np.array([0, 1, 4]), drawn=4, k=2).tolist()
    [0.0, 0.5, 1.0]
    """
    if not 1 <= k <= drawn or (len(counts) and counts.max() > drawn):
        raise ValueError(
            f"k is {k} of {drawn} drawn captions, and an object is named in "
            f"{max(counts, default=0)}: wanted 1 <= k <= drawn, and no count above it"
        )
    ways = comb(drawn, k)
    missed = np.array([comb(drawn - int(count), k) for count in counts], dtype=float)
    return 1 - missed / ways


def _named(
    samples: Sequence[Sequence[str]], truths: Sequence[SceneTruth], lexicon: Lexicon
) -> list[list[set[str]]]:
    if len(samples) != len(truths):
        raise ValueError(f"captions of {len(samples)} scenes for {len(truths)} truths")
    parsed = {text: parse_caption(text, lexicon) for row in samples for text in row}
    return [
        [{n for m in parsed[t].mentions if not m.is_category for n in m.names} for t in row]
        for row in samples
    ]


def _counts(named: list[list[set[str]]], kinds: list[list[str]]) -> Int64[np.ndarray, " objects"]:
    found = [sum(kind in said for said in row) for row, some in zip(named, kinds) for kind in some]
    return np.array(found, dtype=np.int64)
