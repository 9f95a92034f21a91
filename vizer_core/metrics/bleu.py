"""BLEU-1 to BLEU-4 (Papineni et al. 2002, equations of section 2.3), as COCO's tools compute it.

BLEU is no mean over images: a corpus's score comes from the summed counts of its images. So the
counts are kept, ten per image, and every score, resample or part of a corpus is `bleu_from_counts`
of a sum of rows:

columns 0-3  n-grams of the hypothesis that some reference contains, clipped, n = 1..4
columns 4-7  n-grams of the hypothesis
column  8    words of the hypothesis
column  9    words of the reference closest in length (of two equally close, the shorter)

As in COCO's tools, a correct count gains 1e-15 and a total 1e-9, so an image without a match gets
a tiny score instead of a logarithm of zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from vizer_core.metrics.ngrams import (
    MAX_ORDER,
    NgramIndex,
    ReferenceNgrams,
    find_sorted,
    index_hypotheses,
    index_references,
    pair_codes,
)

TINY, SMALL = 1e-15, 1e-9


def _clipped_matches(hypotheses: NgramIndex, references: ReferenceNgrams) -> np.ndarray:
    matches = np.zeros((hypotheses.captions, MAX_ORDER), dtype=np.int64)
    for k, counts in enumerate(hypotheses.counts):
        known = len(references.index.keys[k])
        codes, starts = references.image_ngrams[k]
        if not len(codes):
            continue
        most = np.maximum.reduceat(references.index.counts[k].count, starts[:-1])
        shared = np.flatnonzero(counts.ngram < known)
        position = find_sorted(
            codes, pair_codes(counts.caption[shared], counts.ngram[shared], known)
        )
        shared, position = shared[position >= 0], position[position >= 0]
        clipped = np.minimum(counts.count[shared], most[position])
        np.add.at(matches[:, k], counts.caption[shared], clipped)
    return matches


def _closest_lengths(lengths: np.ndarray, references: ReferenceNgrams) -> np.ndarray:
    reference_lengths = references.index.lengths
    away = np.abs(reference_lengths - lengths[references.image])
    order = np.lexsort((reference_lengths, away, references.image))
    first = np.searchsorted(references.image[order], np.arange(references.images))
    return reference_lengths[order][first]


def bleu_counts(hypotheses: NgramIndex, references: ReferenceNgrams) -> Int64[np.ndarray, "n 10"]:
    """Return each image's sufficient statistics; see the module's table of columns."""
    guesses = np.maximum(hypotheses.lengths[:, None] - np.arange(MAX_ORDER), 0)
    return np.column_stack(
        [
            _clipped_matches(hypotheses, references),
            guesses,
            hypotheses.lengths,
            _closest_lengths(hypotheses.lengths, references),
        ]
    )


def bleu_from_counts(counts: Shaped[np.ndarray, "*rows 10"]) -> Float64[np.ndarray, "*rows 4"]:
    """Turn counts (one image's, or a sum over images) into BLEU-1..4.

    >>> counts = np.array([4, 3, 2, 1, 4, 3, 2, 1, 4, 4])
    >>> bleu_from_counts(counts).round(6).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    counts = np.asarray(counts, dtype=np.float64)
    precisions = (counts[..., :4] + TINY) / (counts[..., 4:8] + SMALL)
    orders = np.arange(1, MAX_ORDER + 1)
    scores = np.cumprod(precisions, axis=-1) ** (1.0 / orders)
    ratio = (counts[..., 8] + TINY) / (counts[..., 9] + SMALL)
    brevity = np.where(ratio < 1, np.exp(1 - 1 / np.minimum(ratio, 1)), 1.0)
    return scores * brevity[..., None]


def bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> Float64[np.ndarray, " 4"]:
    """Return the corpus's BLEU-1..4 of tokenised captions.

    >>> bleu(["a cat on a mat"], [["a cat on a mat", "one cat"]]).round(6).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    indexed = index_references(references)
    return bleu_from_counts(bleu_counts(index_hypotheses(hypotheses, indexed), indexed).sum(axis=0))
