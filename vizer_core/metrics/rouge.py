"""ROUGE-L (Lin 2004, section 3, equations 2-4), as COCO's tools compute it.

P = LCS / words of the hypothesis, R = LCS / words of the reference, both maximised over the
references *separately*, then F = (1 + b^2) P R / (R + b^2 P) with b = 1.2. The longest common
subsequence runs bit-parallel (Hyyro 2004): one Python integer contains a whole row of the table.

Kept as the common tool has it: words are split at single spaces, so the empty caption is one
empty word, and an empty hypothesis scores 1 against an empty reference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

BETA = 1.2


def _positions(words: list[str]) -> dict[str, int]:
    """Map each word to an integer whose bit i says that word i is it."""
    masks: dict[str, int] = {}
    for position, word in enumerate(words):
        masks[word] = masks.get(word, 0) | 1 << position
    return masks


def _lcs(masks: dict[str, int], length: int, other: list[str]) -> int:
    full = (1 << length) - 1
    row = full
    for word in other:
        hits = row & masks.get(word, 0)
        row = ((row + hits) | (row - hits)) & full
    return length - row.bit_count()


def _f_score(hypothesis: str, references: Sequence[str]) -> float:
    said = hypothesis.split(" ")
    masks = _positions(said)
    precision = recall = 0.0
    for reference in references:
        held = reference.split(" ")
        common = _lcs(masks, len(said), held)
        precision = max(precision, common / len(said))
        recall = max(recall, common / len(held))
    if not precision:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def rouge_l(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> Float64[np.ndarray, " n"]:
    """Return each image's ROUGE-L of tokenised captions; the corpus's score is the mean.

    >>> rouge_l(["a cat on a mat"], [["a cat", "the cat on a mat"]]).round(4).tolist()
    [0.9071]
    """
    if len(hypotheses) != len(references):
        raise ValueError(
            f"got {len(hypotheses)} hypotheses for {len(references)} images: "
            "wanted one hypothesis an image"
        )
    scores = [_f_score(h, refs) for h, refs in zip(hypotheses, references)]
    return np.array(scores, dtype=np.float64)
