"""Which of a model's own captions to trust, without a label: those that its others agree with.

A model that is asked k times about one image repeats what it sees and varies what it guesses
(self-consistency, Wang et al. 2203.11171, section 2; used to choose captions by minimum Bayes
risk). Agreement is counted in words, weighted by how rare they are, or all captions that begin
"a photo of" would agree.

=================  ==============================================================================
word_weights       ln(n / captions with the word), from the model's own captions
agreement          mean overlap F1, in weighted words, of a caption with the other k - 1
keep_best          the best share of all captions by any score, as rows of image and text
ConsensusReward    overlap with captions that the base drew before: agreement as a reward
=================  ==============================================================================

Another score for `keep_best` is a read-back cosine, or `information.InformationReward`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.vizer.policy_gradient import captions_an_image
from vizer_core.vizer.targets import compared_rows
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch

Samples = Sequence[Sequence[str]]  # one row of captions per image


def word_weights(captions: Sequence[str]) -> dict[str, float]:
    """Return ln(n / captions that contain the word) of every word.

    >>> word_weights(["a cat", "a dog"])["a"], round(word_weights(["a cat", "a dog"])["cat"], 2)
    (0.0, 0.69)
    """
    if not captions:
        raise ValueError("no captions to weigh words by: got an empty list")
    counts = Counter(word for caption in captions for word in set(caption.split()))
    return {word: log(len(captions) / count) for word, count in counts.items()}


def overlap(a: str, b: str, weights: Mapping[str, float]) -> float:
    """Return the F1 of two captions' words, each counted by its weight; unknown words weigh 0.

    >>> overlap("a cat and a dog", "a cat", {"cat": 1.0, "dog": 1.0})
    0.6666666666666666
    """
    one, two = set(a.split()), set(b.split())
    mass = [sum(weights.get(word, 0.0) for word in some) for some in (one & two, one, two)]
    return 2 * mass[0] / (mass[1] + mass[2]) if mass[1] + mass[2] else 0.0


def agreement(samples: Samples, *, weights: Mapping[str, float]) -> Float[Tensor, "n k"]:
    """Score each caption by its mean overlap with the other captions of its image.

    >>> agreement([["a cat", "the cat", "a dog"]], weights={"cat": 1.0, "dog": 1.0})
    tensor([[0.5000, 0.5000, 0.0000]])
    """
    sizes = sorted({len(row) for row in samples})
    if len(sizes) != 1 or sizes[0] < 2:
        raise ValueError(f"images have {sizes} captions: wanted the same number each, at least 2")
    rows = []
    for row in samples:
        table = torch.tensor([[overlap(a, b, weights) for b in row] for a in row])
        rows.append((table.sum(dim=1) - table.diagonal()) / (len(row) - 1))
    return torch.stack(rows)


@dataclass(frozen=True)
class Kept:
    """Captions that were kept: the row of each one's image, and its text."""

    rows: tuple[int, ...]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


def keep_best(samples: Samples, scores: Float[Tensor, "n k"], *, share: float) -> Kept:
    """Keep the best `share` of all captions, in the order of their images.

    >>> keep_best([["x", "y"], ["z", "w"]], torch.tensor([[3.0, 0.0], [1.0, 2.0]]), share=0.5)
    Kept(rows=(0, 1), texts=('x', 'w'))
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}: wanted 0 < share <= 1")
    if scores.shape != (len(samples), len(samples[0]) if samples else 0):
        raise ValueError(f"scores are {tuple(scores.shape)}: wanted one for each caption")
    count = max(1, round(share * scores.numel()))
    indices = scores.flatten().argsort(descending=True, stable=True)[:count].sort().values
    k = scores.shape[1]
    rows = tuple(int(index) // k for index in indices)
    return Kept(rows, tuple(samples[int(p) // k][int(p) % k] for p in indices))


@dataclass(frozen=True, eq=False)
class ConsensusReward:
    """Mean overlap with captions that the base drew of the source's images."""

    drawn: Samples
    weights: Mapping[str, float]

    @property
    def name(self) -> str:
        """`consensus` and the captions per image."""
        return f"consensus({len(self.drawn[0])})"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> Float[Tensor, " m"]:
        """Score captions by their overlap with each drawn one."""
        k = captions_an_image(vision, captions)
        rows = [row for row in compared_rows(vision, len(self.drawn)) for _ in range(k)]
        found = [
            sum(overlap(text, other, self.weights) for other in self.drawn[row])
            / len(self.drawn[row])
            for row, text in zip(rows, captions.texts, strict=True)
        ]
        return torch.tensor(found)
