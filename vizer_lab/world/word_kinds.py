"""What a word of the drawn world speaks of: an object, a place, a number, a relation, a look.

Words, not phrases: "hot" of "hot dog" counts as an object's. A word of two meanings takes the
first of this order that fits: number, relation, size or colour, place, object; "orange" is a
colour here, though it may be the fruit. A mark at a word's end ("dog,") does not count.
"""

from __future__ import annotations

from functools import cache

from vizer_core.vlm.word_kinds import MARKS
from vizer_lab.world.lexicon import (
    CATEGORY_WORDS,
    COLOURS,
    OBJECTS,
    PLACE_BY_NAME,
    RELATION_WORDS,
    SIZE_WORDS,
)

KINDS = ("object", "place", "number", "relation", "size or colour", "other word")
NUMBERS_SAID = frozenset(("one", "two", "three", "four", "five", "six", "some", "few"))
EMPTY = frozenset(("a", "an", "the", "of", "to", "in", "on", "at", "by", "and", "before", "near"))


@cache
def _tables() -> dict[str, frozenset[str]]:
    names = [form for k in OBJECTS for form in (k.name, k.plural, *k.synonyms)]
    names += [form for forms in CATEGORY_WORDS.values() for form in forms]
    phrases = [phrase for place in PLACE_BY_NAME.values() for phrase in place.phrases]
    scenes = [place.scene_noun for place in PLACE_BY_NAME.values()]
    # "under the stars" is a place, "under a dog" a relation: both words stay with the relation
    return {
        "number": NUMBERS_SAID,
        "relation": _words(RELATION_WORDS),
        "size or colour": frozenset((*COLOURS, *SIZE_WORDS)),
        "place": _words([*phrases, *scenes]) - {"scene"},
        "object": _words(names),
    }


def _words(phrases) -> frozenset[str]:
    return frozenset(word for phrase in phrases for word in phrase.split()) - EMPTY


def drawn_word_kind(word: str) -> str:
    """Sort a word of a caption of the drawn world.

    >>> [drawn_word_kind(word) for word in ("two", "dogs,", "left", "snow", "small", "itap", "a")]
    ['number', 'object', 'relation', 'place', 'size or colour', 'other word', 'other word']
    """
    word = word.rstrip(MARKS)
    return next((kind for kind, words in _tables().items() if word in words), "other word")
