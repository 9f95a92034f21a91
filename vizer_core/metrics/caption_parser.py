"""Read what a caption states about a scene: its nouns, what is said of them, and how they stand.

A caption of the made scenes is plain English over a known vocabulary, so a left-to-right scan that
takes the longest known phrase at each word is enough. The words come in a `Lexicon`, built by the
world that draws the scenes. `grounding` checks the statements found here against the truth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

RELATIONS = ("left of", "right of", "above", "below", "next to")
ARTICLES = frozenset({"a", "an"})  # they state no count: "a dog" is true of two dogs
_WORD = re.compile(r"[\w'-]+")
_PHRASE_KINDS = ("background", "relation", "noun", "category", "colour", "size", "number")


@dataclass(frozen=True)
class Lexicon:
    """The surface forms a caption may use, each with what it stands for.

    `nouns`, `backgrounds` and `relations` may contain phrases of several words; the longest match
    wins. `categories` maps a hypernym ("some animals") to the names it may stand for.
    """

    nouns: Mapping[str, str]
    plurals: frozenset[str]
    categories: Mapping[str, frozenset[str]]
    backgrounds: Mapping[str, str]
    numbers: Mapping[str, int]
    colours: frozenset[str]
    sizes: Mapping[str, str]
    relations: Mapping[str, str]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.relations.values()) - set(RELATIONS))
        if unknown:
            raise ValueError(f"lexicon has relations {unknown}; wanted only {list(RELATIONS)}")
        names = set(self.nouns.values())
        for surface, members in self.categories.items():
            if missing := sorted(members - names):
                raise ValueError(
                    f"category {surface!r} stands for {missing}, which no noun names: "
                    "add them to nouns"
                )

    @cached_property
    def senses(self) -> dict[tuple[str, ...], dict[str, object]]:
        """Every phrase as words, with each kind of thing it may be and its value."""
        tables: tuple[Mapping[str, object], ...] = (
            self.backgrounds,
            self.relations,
            self.nouns,
            self.categories,
            {word: word for word in self.colours},
            self.sizes,
            self.numbers,
        )
        found: dict[tuple[str, ...], dict[str, object]] = {}
        for kind, table in zip(_PHRASE_KINDS, tables):
            for surface, value in table.items():
                found.setdefault(tuple(_words(surface)), {})[kind] = value
        return found

    @cached_property
    def longest(self) -> int:
        """Words in the longest phrase."""
        return max(map(len, self.senses), default=1)


@dataclass(frozen=True)
class Mention:
    """One noun or category word of a caption, with what is said of it."""

    surface: str
    names: frozenset[str]  # one name for a noun, all members for a category word
    is_category: bool
    plural: bool
    number: int | None  # None: no number word; an article is not one
    colour: str | None
    size: str | None


@dataclass(frozen=True)
class RelationClaim:
    """`mentions[subject]` stands in `relation` to `mentions[target]`."""

    subject: int
    relation: str
    target: int


@dataclass(frozen=True)
class ParsedCaption:
    """What a caption states."""

    mentions: tuple[Mention, ...]
    relations: tuple[RelationClaim, ...]
    backgrounds: tuple[str, ...]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class _Phrase:
    surface: str
    senses: Mapping[str, object]


def _phrases(caption: str, lexicon: Lexicon) -> Iterator[_Phrase]:
    """Cut a caption into the longest known phrases; an unknown word has no senses."""
    words, start = _words(caption), 0
    while start < len(words):
        for end in range(min(len(words), start + lexicon.longest), start, -1):
            senses = lexicon.senses.get(tuple(words[start:end]))
            if senses or end == start + 1:
                yield _Phrase(" ".join(words[start:end]), senses or {})
                start = end
                break


def _kind(phrase: _Phrase, following: _Phrase | None) -> str:
    """Choose the sense of a phrase: a word that is colour and noun modifies a noun after it."""
    kinds = phrase.senses
    if "colour" in kinds and following and {"noun", "category", "size"} & set(following.senses):
        return "colour"
    return next((kind for kind in _PHRASE_KINDS if kind in kinds), "other")


def _mention(phrase: _Phrase, kind: str, said: dict[str, object], plural: bool) -> Mention:
    value = phrase.senses[kind]
    return Mention(
        surface=phrase.surface,
        names=value if isinstance(value, frozenset) else frozenset({str(value)}),
        is_category=kind == "category",
        plural=plural,
        number=said.get("number"),
        colour=said.get("colour"),
        size=said.get("size"),
    )


def parse_caption(caption: str, lexicon: Lexicon) -> ParsedCaption:
    """Read the objects, attributes, counts, relations and backgrounds that a caption states.

    Number, colour and size words count only when they stand directly before their noun. A
    relation joins the nearest noun before it and the nearest after it.

    >>> lexicon = Lexicon({"dogs": "dog", "tree": "tree"}, frozenset({"dogs"}), {},
    ...     {"in the snow": "snow"}, {"two": 2, "a": 1}, frozenset({"red"}), {"tiny": "small"},
    ...     {"to the left of": "left of"})
    >>> said = parse_caption("Two tiny dogs to the left of a tree in the snow.", lexicon)
    >>> [(m.surface, m.number, m.size) for m in said.mentions], said.backgrounds
    ([('dogs', 2, 'small'), ('tree', None, None)], ('snow',))
    >>> said.relations
    (RelationClaim(subject=0, relation='left of', target=1),)
    """
    phrases = list(_phrases(caption, lexicon))
    mentions: list[Mention] = []
    relations: list[RelationClaim] = []
    backgrounds: list[str] = []
    said: dict[str, object] = {}
    pending: str | None = None
    for phrase, following in zip(phrases, [*phrases[1:], None]):
        kind = _kind(phrase, following)
        if kind in ("number", "colour", "size"):
            if phrase.surface not in ARTICLES:
                said[kind] = phrase.senses[kind]
            continue
        if kind in ("noun", "category"):
            mentions.append(_mention(phrase, kind, said, phrase.surface in lexicon.plurals))
            if pending and len(mentions) > 1:
                relations.append(RelationClaim(len(mentions) - 2, pending, len(mentions) - 1))
            pending = None
        elif kind == "background":
            backgrounds.append(str(phrase.senses[kind]))
        elif kind == "relation":
            pending = str(phrase.senses[kind])
        said = {}
    return ParsedCaption(tuple(mentions), tuple(relations), tuple(backgrounds))
