"""CIDEr-D (Vedantam et al. 2015, equations 1-6 and section "CIDEr-D"), as COCO's tools compute it.

For each order n = 1..4, hypothesis and reference become tf-idf vectors; their cosine, with the
hypothesis clipped to the reference and a Gaussian of the length difference (sigma 6), is averaged
over orders and references and multiplied by 10. An image's score is its own, so the corpus's score
is their mean; but the document frequencies come from *all* the images' references.

That has two consequences to know. One image alone scores 0, even for a perfect caption, since every
n-gram occurs in all the documents. And the smaller the set, the higher the score: on COCO, 10 human
captions come out about 1.2 times as high as the same among 5,000. `DocumentFrequency` of a fixed
corpus removes both.

Kept as the common tool has it: "length" counts bigrams, so it is the number of words less one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from vizer_core.metrics.ngrams import (
    MAX_ORDER,
    WORD_BITS,
    NgramIndex,
    ReferenceNgrams,
    find_sorted,
    index_hypotheses,
    index_references,
    pair_codes,
)

SIGMA = 6.0
SCALE = 10.0


@dataclass(frozen=True)
class DocumentFrequency:
    """In how many images of a corpus each n-gram occurs, and the number of images."""

    name: str
    corpus: ReferenceNgrams

    @property
    def images(self) -> int:
        """Number of documents."""
        return self.corpus.images


def document_frequency(name: str, references: Sequence[Sequence[str]]) -> DocumentFrequency:
    """Count the n-grams of a corpus of tokenised references, one document per image."""
    return DocumentFrequency(name, index_references(references))


def _translate(index: NgramIndex, corpus: NgramIndex) -> list[Int64[np.ndarray, " _"]]:
    """Per order, the corpus's number of each n-gram of `index`, or -1."""
    words = np.fromiter(
        (corpus.vocabulary.get(word, -1) for word in index.vocabulary), dtype=np.int64
    )
    tables = [words]
    for k in range(1, MAX_ORDER):
        before, last = index.keys[k] >> WORD_BITS, index.keys[k] & ((1 << WORD_BITS) - 1)
        first, second = tables[-1][before], words[last]
        found = find_sorted(corpus.keys[k], (first << WORD_BITS) + second)
        tables.append(np.where((first < 0) | (second < 0), -1, found))
    return tables


def _idf(
    index: NgramIndex, references: ReferenceNgrams, df: DocumentFrequency | None
) -> list[Float64[np.ndarray, " _"]]:
    """Per order, log(images) - log(max(1, document frequency)) of each n-gram of `index`."""
    source = references if df is None else df.corpus
    log_images = np.log(float(source.images))
    if df is not None:
        tables = _translate(index, source.index)
    else:
        tables = [np.arange(len(keys), dtype=np.int64) for keys in index.keys]
    idf = []
    for positions, frequency in zip(tables, source.document_frequency):
        known = np.zeros(len(positions))
        held = (positions >= 0) & (positions < len(frequency))
        known[held] = frequency[positions[held]]
        idf.append(log_images - np.log(np.maximum(1.0, known)))
    return idf


def _norms(weights: np.ndarray, caption: np.ndarray, captions: int) -> np.ndarray:
    squares = np.bincount(caption, weights=weights**2, minlength=captions)
    return np.sqrt(squares.astype(np.float64))  # bincount of nothing is an integer


def _overlaps(
    hypotheses: NgramIndex, references: ReferenceNgrams, idf: list[np.ndarray], k: int
) -> np.ndarray:
    """Return, for each reference caption, sum over shared n-grams of min(h, r) * r over norms."""
    said, held = hypotheses.counts[k], references.index.counts[k]
    weight_said = said.count * idf[k][said.ngram]
    weight_held = held.count * idf[k][held.ngram]
    norm_said = _norms(weight_said, said.caption, hypotheses.captions)
    norm_held = _norms(weight_held, held.caption, references.index.captions)
    distinct = len(references.index.keys[k])
    codes, starts = references.image_ngrams[k]
    shared = np.flatnonzero(said.ngram < distinct)
    position = find_sorted(codes, pair_codes(said.caption[shared], said.ngram[shared], distinct))
    shared, position = shared[position >= 0], position[position >= 0]
    # one row for every (n-gram of the hypothesis, reference caption that contains it)
    times = starts[position + 1] - starts[position]
    before = np.cumsum(times) - times
    rows = np.repeat(starts[position] - before, times) + np.arange(times.sum())
    products = np.minimum(np.repeat(weight_said[shared], times), weight_held[rows])
    products *= weight_held[rows]
    sums = np.bincount(held.caption[rows], weights=products, minlength=len(norm_held))
    norms = norm_said[references.image] * norm_held
    return np.divide(sums, norms, out=np.zeros_like(norms), where=norms != 0)


def cider_scores(
    hypotheses: NgramIndex, references: ReferenceNgrams, *, df: DocumentFrequency | None = None
) -> Float64[np.ndarray, " n"]:
    """Return each image's CIDEr-D; `df=None` takes the frequencies from the references."""
    idf = _idf(hypotheses, references, df)
    values = sum(_overlaps(hypotheses, references, idf, k) for k in range(MAX_ORDER))
    bigrams_said = np.maximum(hypotheses.lengths - 1, 0)[references.image]
    bigrams_held = np.maximum(references.index.lengths - 1, 0)
    values = values * np.exp(-((bigrams_said - bigrams_held) ** 2) / (2 * SIGMA**2))
    per_image = np.bincount(references.image, minlength=references.images)
    sums = np.bincount(references.image, weights=values, minlength=references.images)
    return SCALE * sums / MAX_ORDER / per_image


def cider(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    df: DocumentFrequency | None = None,
) -> Float64[np.ndarray, " n"]:
    """Return each image's CIDEr-D of tokenised captions.

    >>> cider(["a red cat sits", "two dogs run fast"],
    ...       [["a red cat sits"], ["two dogs run fast"]]).round(6).tolist()
    [10.0, 10.0]
    """
    indexed = index_references(references)
    return cider_scores(index_hypotheses(hypotheses, indexed), indexed, df=df)
