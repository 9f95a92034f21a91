"""How far captions have moved from the base model's: nothing here needs a label.

Training changes a loss first and captions second, or not at all. So a run is judged by its texts:
how many greedy captions differ from the base model's, how many of their words, whether captions
grew longer, and whether one caption took over (Rennie et al. 2017 and Cho et al. 2022 both report
captions that repeat themselves under a reward).

======================  =========================================================================
changed                 share of images whose caption is not, word for word, the base model's
token_edit_rate         word insertions, deletions and substitutions, over the base's words
top1                    share of the commonest caption: near 1 in a collapsed model
kl                      mean KL(base || new) of a caption token, in nats, where it was measured
======================  =========================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vizer_core.metrics.diversity import Diversity, diversity
from vizer_core.metrics.tokenize import tokenize_captions


@dataclass(frozen=True)
class Drift:
    """New captions of n images beside the base model's."""

    n: int
    changed: float
    token_edit_rate: float
    old: Diversity
    new: Diversity
    kl: float | None = None

    @property
    def longer(self) -> float:
        """New mean length over old."""
        return self.new.mean_length / max(self.old.mean_length, 1e-9)

    @property
    def top1(self) -> float:
        """Share of the commonest new caption."""
        return self.new.commonest_share


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Return Levenshtein's distance in words: insertions, deletions and substitutions cost 1.

    >>> edit_distance("a cat on a mat".split(), "a dog on the mat today".split())
    3
    """
    if len(a) < len(b):
        a, b = b, a
    previous = np.arange(len(b) + 1)
    for i, word in enumerate(a, start=1):
        current = np.empty_like(previous)
        current[0] = i
        for j, other in enumerate(b, start=1):
            current[j] = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (word != other))
        previous = current
    return int(previous[-1])


def token_edit_rate(old: Sequence[str], new: Sequence[str]) -> float:
    """Return word edits from old to new captions, over the words of the old.

    Captions are tokenised already. 0 is no change; it passes 1 only where captions grew.

    >>> token_edit_rate(["a cat", "a dog"], ["a cat", "two dogs run"])
    0.75
    """
    if len(old) != len(new) or not old:
        raise ValueError(
            f"got {len(old)} old and {len(new)} new captions: wanted as many of each, at least one"
        )
    pairs = Counter(zip(old, new))  # greedy captions repeat: measure each pair once
    edits = sum(n * edit_distance(a.split(), b.split()) for (a, b), n in pairs.items())
    words = sum(len(caption.split()) for caption in old)
    return edits / max(words, 1)


def measure_drift(old: Sequence[str], new: Sequence[str], *, kl: float | None = None) -> Drift:
    """Compare new captions with the base model's of the same images, by the same decoding.

    >>> report = measure_drift(["A cat.", "a dog"], ["a cat", "a dog in the snow"])
    >>> report.changed, round(report.token_edit_rate, 2), report.longer
    (0.5, 0.75, 1.75)
    """
    before, after = tokenize_captions(old), tokenize_captions(new)
    return Drift(
        token_edit_rate=token_edit_rate(before, after),
        n=len(before),
        changed=sum(a != b for a, b in zip(before, after)) / len(before),
        old=diversity(before),
        new=diversity(after),
        kl=kl,
    )
