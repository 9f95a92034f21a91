"""Changes that are no fault: other words, another order, another style; and faults of form.

The first three keep every statement (the exact parser counts the same before and after), so an
honest metric of content should not move. The faults of form need no scene, so they work on real
captions as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vizer_lab.world.lexicon import KIND_BY_NAME, PLACE_BY_NAME
from vizer_lab.world.phrases import Phrases, read_phrases

TextEdit = Callable[[str, np.random.Generator], str | None]

OPENINGS = ("there is", "there are", "a photo of", "a picture of", "a view of")
PHOTO_OPENINGS = OPENINGS[2:]
STYLES = ("look , {} !", "nice shot of {}", "here is {}", "i spotted {}")
GENERIC = "a bunch of things"
OTHER_SIZE = {"small": "little", "little": "small", "big": "large", "large": "big"}
OTHER_WORDS = {
    "to the left of": "left of",
    "left of": "to the left of",
    "to the right of": "right of",
    "right of": "to the right of",
    "above": "over",
    "over": "above",
    "below": "under",
    "under": "below",
    "next to": "beside",
    "beside": "next to",
}
INVERSE = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "next to": "next to",
}
_FUNCTION_WORDS = """
    a an the of in on at by to with and or is are was were be being there some few its it his her
    their this that as for from while near next up down out into onto over under above below
    beside left right before among has have had
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


def _one_of(options, rng: np.random.Generator):
    return options[int(rng.integers(len(options)))]


def _other_noun(word: str, name: str, *, plural: bool) -> str:
    kind = KIND_BY_NAME[name]
    if plural or not kind.synonyms:
        return word
    return kind.synonyms[0] if word == kind.name else kind.name


def reworded(caption: str, rng: np.random.Generator) -> str | None:
    """Say the same in the same order, with synonyms wherever the lexicon has one.

    >>> reworded("a small dog above a tree", np.random.default_rng(0))
    'a little puppy over a tree'
    """
    read = read_phrases(caption)
    changes = {n.noun: _other_noun(read.pieces[n.noun].words, n.name, plural=n.plural)
               for n in read.nouns if not n.is_category}  # fmt: skip
    for place, piece in enumerate(read.pieces):
        if piece.kind == "size":
            changes[place] = OTHER_SIZE[piece.words]
        elif piece.kind == "relation":
            changes[place] = OTHER_WORDS[piece.words]
        elif piece.kind == "background":
            others = [p for p in PLACE_BY_NAME[str(piece.value)].phrases if p != piece.words]
            is_phrase = len(others) == 2  # a scene noun ("snowy scene") has no other form
            changes[place] = _one_of(others, rng) if is_phrase else piece.words
    return _if_changed(read.changed(changes), caption)


def _if_changed(text: str, caption: str) -> str | None:
    return None if text == caption else text


def without_opening(caption: str, rng: np.random.Generator) -> str:
    """Cut "there is" or "a photo of"; turn "a beach scene with ..." into "... on a beach".

    >>> without_opening("there is a dog", np.random.default_rng(0))
    'a dog'
    """
    for opening in OPENINGS:
        if caption.startswith(f"{opening} "):
            return caption.removeprefix(f"{opening} ")
    read = read_phrases(caption)
    if len(read.pieces) > 3 and read.pieces[1].kind == "background":
        rest = " ".join(piece.words for piece in read.pieces[3:])
        return f"{rest} {_one_of(PLACE_BY_NAME[str(read.pieces[1].value)].phrases, rng)}"
    return caption


def _reversed_nouns(read: Phrases) -> str:
    """Turn "A and B" into "B and A", and "A above B" into "B below A"."""
    phrases = [" ".join(p.words for p in read.pieces[n.start : n.noun + 1]) for n in read.nouns]
    changes: dict[int, str] = {}
    for noun, words in zip(read.nouns, reversed(phrases)):
        changes |= dict.fromkeys(range(noun.start, noun.noun), "")
        changes[noun.noun] = words
    for place in read.find("relation"):
        changes[place] = INVERSE[str(read.pieces[place].value)]
    return read.changed(changes)


def reordered(caption: str, rng: np.random.Generator) -> str | None:
    """Say the same with the objects in another order; where there is one, open otherwise.

    >>> reordered("there is a dog above a tree", np.random.default_rng(0))
    'a tree below a dog'
    """
    there = caption.startswith(OPENINGS[:2])  # the verb would have to follow the first noun
    read = read_phrases(without_opening(caption, rng) if there else caption)
    related = len(read.find("relation"))
    if not read.nouns or related > 1 or (related and len(read.nouns) != 2):
        return None
    if len(read.nouns) > 1:
        return _if_changed(_reversed_nouns(read), caption)
    body = without_opening(caption, rng)
    return body if body != caption else f"{_one_of(PHOTO_OPENINGS, rng)} {body}"


def paraphrase(caption: str, rng: np.random.Generator) -> str | None:
    """Say the same in another order and with other words."""
    moved = reordered(caption, rng)
    return None if moved is None else (reworded(moved, rng) or moved)


def style_change(caption: str, rng: np.random.Generator) -> str | None:
    """Say the same as a personal web post would.

    >>> style_change("a photo of a dog", np.random.default_rng(0))
    'i spotted a dog'
    """
    return _one_of(STYLES, rng).format(without_opening(caption, rng))


def shuffled_words(caption: str, rng: np.random.Generator) -> str | None:
    """Keep the words and lose their order."""
    words = caption.split()
    if len(set(words)) < 2:
        return None
    while (mixed := [words[i] for i in rng.permutation(len(words))]) == words:
        pass
    return " ".join(mixed)


def keyword_list(caption: str, rng: np.random.Generator) -> str | None:
    """Keep only the words that carry content.

    >>> keyword_list("a dog next to a tree", np.random.default_rng(0))
    'dog tree'
    """
    words = [word for word in caption.split() if word.lower() not in FUNCTION_WORDS]
    return _if_changed(" ".join(words), caption) if words else None


def repetition(caption: str, rng: np.random.Generator) -> str | None:
    """Say everything twice."""
    return f"{caption} {caption}"


def truncated(caption: str, rng: np.random.Generator) -> str | None:
    """Stop after half of the words.

    >>> truncated("a dog next to a tree", np.random.default_rng(0))
    'a dog next'
    """
    words = caption.split()
    return " ".join(words[: (len(words) + 1) // 2]) if len(words) > 1 else None


def generic(caption: str, rng: np.random.Generator) -> str | None:
    """Say what fits every image."""
    return _if_changed(GENERIC, caption)


SAME_CONTENT: dict[str, TextEdit] = {
    "reworded": reworded,
    "reordered": reordered,
    "paraphrase": paraphrase,
    "style_change": style_change,
}
FORM_EDITS: dict[str, TextEdit] = {
    "shuffled_words": shuffled_words,
    "keyword_list": keyword_list,
    "repetition": repetition,
    "truncated": truncated,
    "generic": generic,
}
