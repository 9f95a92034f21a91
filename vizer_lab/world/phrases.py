"""Cut a caption of the drawn world into its phrases, so that one of them can be exchanged.

The scorer's parser (`vizer_core.metrics.caption_parser`) says what a caption states; this says
where. The words and their senses are those of the lexicon, so both agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from vizer_core.metrics.grounding import Lexicon
from vizer_lab.world.lexicon import drawn_lexicon
from vizer_lab.world.settings import COUNT_WORDS, plain_marks

_TOKEN = re.compile(r"[\w'-]+|[^\w\s]")
_KINDS = ("background", "relation", "noun", "category", "colour", "size", "number")
_VAGUE = frozenset({"some", "few", "my", "our"})
_MANY = frozenset({"some", "few", *COUNT_WORDS.values()})


@cache
def shared_lexicon() -> Lexicon:
    """Return the lexicon of the home world, made once."""
    return drawn_lexicon()


@dataclass(frozen=True)
class Piece:
    """Some words of a caption that belong together, and what they are."""

    words: str
    kind: str  # one of `_KINDS`, or "other"
    value: object = None


@dataclass(frozen=True)
class NounPhrase:
    """A noun with the determiners and attributes before it: places in `Phrases.pieces`."""

    start: int
    noun: int
    determiners: tuple[int, ...]
    names: frozenset[str]
    is_category: bool
    plural: bool
    size: int | None
    colour: int | None

    @property
    def name(self) -> str:
        """The kind that a plain noun names."""
        return next(iter(self.names))


@dataclass(frozen=True)
class Phrases:
    """A caption in pieces, with its noun phrases in order."""

    pieces: tuple[Piece, ...]
    nouns: tuple[NounPhrase, ...]

    def find(self, kind: str) -> list[int]:
        """Return the places of all pieces of a kind."""
        return [place for place, piece in enumerate(self.pieces) if piece.kind == kind]

    def changed(self, changes: Mapping[int, str]) -> str:
        """Write the caption again with other words at some places; an empty text drops a piece.

        >>> read_phrases("a dog in the snow").changed({1: "owl"})
        'an owl in the snow'
        """
        words = [changes.get(place, piece.words) for place, piece in enumerate(self.pieces)]
        return plain_marks(right_articles(" ".join(w for w in words if w)))


def right_articles(text: str) -> str:
    """Write "a" or "an" as the next word wants it.

    >>> right_articles("an dog and a owl")
    'a dog and an owl'
    """
    return re.sub(r"\ban? (\w)", lambda m: f"an {m[1]}" if m[1] in "aeiou" else f"a {m[1]}", text)


def _kind(senses: Mapping[str, object], following: Mapping[str, object]) -> str:
    if "colour" in senses and {"noun", "category", "size"} & set(following):
        return "colour"  # "an orange carrot", against "an orange"
    return next((kind for kind in _KINDS if kind in senses), "other")


def _cut(text: str, lexicon: Lexicon) -> tuple[Piece, ...]:
    words = _TOKEN.findall(text.lower())
    found: list[tuple[str, Mapping[str, object]]] = []
    start = 0
    while start < len(words):
        for stop in range(min(len(words), start + lexicon.longest), start, -1):
            senses = lexicon.senses.get(tuple(words[start:stop]), {})
            if senses or stop == start + 1:
                found.append((" ".join(words[start:stop]), senses))
                start = stop
                break
    following = [senses for _, senses in found[1:]] + [{}]
    kinds = [_kind(senses, after) for (_, senses), after in zip(found, following)]
    return tuple(
        Piece(words, kind, senses.get(kind)) for (words, senses), kind in zip(found, kinds)
    )


def _noun_phrase(pieces: tuple[Piece, ...], noun: int) -> NounPhrase:
    before, start = {}, noun
    while start and (
        pieces[start - 1].kind in ("number", "colour", "size") or pieces[start - 1].words in _VAGUE
    ):
        start -= 1
        before[pieces[start].kind] = start
    places = range(start, noun)
    determiners = tuple(p for p in places if pieces[p].kind in ("number", "other"))
    head = pieces[noun]
    many = {pieces[p].words for p in determiners} & _MANY
    return NounPhrase(
        start=start,
        noun=noun,
        determiners=determiners,
        names=head.value if isinstance(head.value, frozenset) else frozenset({str(head.value)}),
        is_category=head.kind == "category",
        plural=bool(many) or head.words in shared_lexicon().plurals,
        size=before.get("size"),
        colour=before.get("colour"),
    )


def read_phrases(caption: str) -> Phrases:
    """Cut a caption into pieces and find its noun phrases.

    >>> read = read_phrases("two small dogs next to a tree")
    >>> [(n.name, n.plural) for n in read.nouns], [p.words for p in read.pieces]
    ([('dog', True), ('tree', False)], ['two', 'small', 'dogs', 'next to', 'a', 'tree'])
    """
    pieces = _cut(caption, shared_lexicon())
    heads = [place for place, piece in enumerate(pieces) if piece.kind in ("noun", "category")]
    return Phrases(pieces, tuple(_noun_phrase(pieces, head) for head in heads))
