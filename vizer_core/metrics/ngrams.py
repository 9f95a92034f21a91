"""N-gram counts of many captions at once, as sorted integer arrays.

BLEU and CIDEr both count n-grams of 1 to 4 words. Here each distinct word gets a number, and each
distinct n-gram gets a number from the pair (number of its first n-1 words, number of its last
word), so that one sort per order replaces millions of dictionary look-ups. References are indexed
once; the hypotheses of any number of systems are then indexed against them, which makes the
numbers agree.

Uniqueness is found by sorting and comparing neighbours: `numpy.unique` was several times slower.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from jaxtyping import Int32, Int64

MAX_ORDER = 4
WORD_BITS = 24  # bits for a word's number inside an n-gram's key

Ints = Int64[np.ndarray, " _"]
Narrow = Int32[np.ndarray, " _"]  # what is kept is kept small


@dataclass(frozen=True)
class NgramCounts:
    """How often each n-gram of one order occurs in each caption, sorted by image, then n-gram."""

    caption: Narrow
    ngram: Narrow
    count: Narrow


@dataclass(frozen=True)
class NgramIndex:
    """The words and n-grams of a list of captions.

    `keys[k][i]` is how n-gram `i` of order `k + 1` is built: the number of its first `k` words,
    shifted, plus the number of its last word. Of an index made without a base they are sorted.
    """

    captions: int
    lengths: Ints
    vocabulary: dict[str, int]
    keys: tuple[Ints, ...]
    counts: tuple[NgramCounts, ...]


def first_of_each(values: Ints) -> Ints:
    """Return where each run of equal values starts.

    >>> first_of_each(np.array([3, 3, 5, 7, 7])).tolist()
    [0, 2, 3]
    """
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    return np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])


def find_sorted(values: Ints, wanted: Ints) -> Ints:
    """Return each wanted value's position in the sorted `values`, or -1.

    >>> find_sorted(np.array([2, 4, 6]), np.array([6, 3])).tolist()
    [2, -1]
    """
    if not len(values):
        return np.full(len(wanted), -1, dtype=np.int64)
    position = np.searchsorted(values, wanted)
    position[position == len(values)] = 0
    return np.where(values[position] == wanted, position, -1)


def pair_codes(group: np.ndarray, ngram: np.ndarray, distinct: int) -> Ints:
    """Number the pairs (group, n-gram), ordered by group, then n-gram."""
    return group.astype(np.int64) * distinct + ngram


def _number_ngrams(keys: Ints, known: Ints) -> tuple[Ints, Ints]:
    """Number each key: its position in `known`, or past the end of it; return also all the keys."""
    position = find_sorted(known, keys)
    new = np.flatnonzero(position < 0)
    order = new[np.argsort(keys[new])]
    in_order = keys[order]
    starts = first_of_each(in_order)
    is_first = np.zeros(len(order), dtype=np.int64)
    is_first[starts] = 1
    position[order] = len(known) - 1 + np.cumsum(is_first)
    return position, np.concatenate([known, in_order[starts]])


def _number_words(
    tokens: Sequence[str], base: NgramIndex | None
) -> tuple[Ints, Ints, dict[str, int]]:
    """Return the numbers of all words in a row, each caption's length, and the vocabulary."""
    vocabulary: defaultdict[str, int] = defaultdict(None, base.vocabulary if base else ())
    vocabulary.default_factory = vocabulary.__len__  # a new word gets the next number
    numbers, lengths = array("q"), array("q")
    for caption in tokens:
        words = caption.split()
        lengths.append(len(words))
        numbers.extend(map(vocabulary.__getitem__, words))
    return (
        np.array(numbers, dtype=np.int64),
        np.array(lengths, dtype=np.int64),
        dict(vocabulary),
    )


def _count(caption: Ints, ngram: Ints, distinct: int, image: Ints) -> NgramCounts:
    """Count (caption, n-gram) pairs; `image` gives each caption's image, in rising order."""
    first = np.searchsorted(image, image)  # first caption of the same image
    members = int((np.arange(len(image)) - first).max(initial=0)) + 1
    codes = pair_codes(image[caption], ngram, distinct) * members
    codes += caption - first[caption]
    codes.sort()
    starts = first_of_each(codes)
    count = np.diff(np.append(starts, len(codes)))
    pair, member = np.divmod(codes[starts], members)
    group, ngram = np.divmod(pair, max(distinct, 1))
    start_of = np.searchsorted(image, group)
    kept = (start_of + member, ngram, count)
    return NgramCounts(*(part.astype(np.int32) for part in kept))


def index_captions(
    tokens: Sequence[str], *, base: NgramIndex | None = None, image: Ints | None = None
) -> NgramIndex:
    """Index tokenised captions; n-grams that `base` contains keep their numbers.

    `image` is the image of each caption, in rising order; by default each has its own.

    >>> index = index_captions(["a cat a cat", "a dog"])
    >>> [(c, n) for c, n in zip(index.counts[1].caption.tolist(), index.counts[1].count.tolist())]
    [(0, 2), (0, 1), (1, 1)]
    """
    words, lengths, vocabulary = _number_words(tokens, base)
    image = np.arange(len(tokens), dtype=np.int64) if image is None else image
    caption = np.repeat(np.arange(len(tokens), dtype=np.int64), lengths)
    ends = np.repeat(np.cumsum(lengths), lengths)
    position = np.arange(len(words), dtype=np.int64)
    ngram, keys = words, [np.arange(len(vocabulary), dtype=np.int64)]
    counts = [_count(caption, ngram, len(vocabulary), image)]
    for order in range(2, MAX_ORDER + 1):
        fits = np.flatnonzero(position + order <= ends[position])
        position = position[fits]
        key = (ngram[fits] << WORD_BITS) + words[position + order - 1]
        known = base.keys[order - 1] if base else np.zeros(0, dtype=np.int64)
        ngram, all_keys = _number_ngrams(key, known)
        keys.append(all_keys)
        counts.append(_count(caption[position], ngram, len(all_keys), image))
    return NgramIndex(len(tokens), lengths, vocabulary, tuple(keys), tuple(counts))


@dataclass(frozen=True)
class ReferenceNgrams:
    """The indexed references of every image; build it with `index_references`."""

    images: int
    image: Ints  # of each reference caption
    index: NgramIndex

    @cached_property
    def image_ngrams(self) -> tuple[tuple[Ints, Ints], ...]:
        """Per order, the sorted codes of (image, n-gram) and where each starts in the counts."""
        found = []
        for counts, keys in zip(self.index.counts, self.index.keys):
            codes = pair_codes(self.image[counts.caption], counts.ngram, len(keys))
            starts = first_of_each(codes)
            found.append((codes[starts], np.append(starts, len(codes))))
        return tuple(found)

    @cached_property
    def document_frequency(self) -> tuple[Ints, ...]:
        """Per order, the number of images whose references contain each n-gram."""
        return tuple(
            np.bincount(codes % len(keys), minlength=len(keys))
            if len(keys)
            else np.zeros(0, dtype=np.int64)
            for (codes, _), keys in zip(self.image_ngrams, self.index.keys)
        )


def index_references(references: Sequence[Sequence[str]]) -> ReferenceNgrams:
    """Index the tokenised references of every image, once for many systems."""
    empty = [i for i, captions in enumerate(references) if not captions]
    if empty:
        raise ValueError(f"{len(empty)} images have no reference; the first is number {empty[0]}")
    per_image = np.fromiter(map(len, references), dtype=np.int64, count=len(references))
    image = np.repeat(np.arange(len(references), dtype=np.int64), per_image)
    index = index_captions(list(chain.from_iterable(references)), image=image)
    return ReferenceNgrams(len(references), image, index)


def index_hypotheses(hypotheses: Sequence[str], references: ReferenceNgrams) -> NgramIndex:
    """Index one tokenised hypothesis per image, with the numbers of the references."""
    if len(hypotheses) != references.images:
        raise ValueError(
            f"got {len(hypotheses)} hypotheses for {references.images} images: "
            "wanted one hypothesis an image"
        )
    return index_captions(hypotheses, base=references.index)
