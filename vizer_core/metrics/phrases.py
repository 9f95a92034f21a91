"""A caption as the statements that it is made of, and statements as a caption.

Systems that check captions piece by piece (ScaleCap, Patch Matters, VisualFactChecker, KnowAda) ask
a large language model to cut and to join. Here both are rules over plain English, so that nothing
but the choice of statements differs between such systems:

=============  ===================================================================================
phrases_of     the items of a caption's list, each with what it says of itself, and its place
parts_of       a relation between two things as the two things
head_of        what a statement is about: its last word, in the singular
statements_of  every different phrase and part of some captions
rewrite        keep of a caption what is accepted, and add what is accepted and missing
=============  ===================================================================================

>>> caption = "a photo of a crown over two camels, a dog and a dog on a snowy day"
>>> phrases_of(caption)
('a crown over two camels', 'a dog', 'a dog', 'on a snowy day')
>>> rewrite(caption, ["two hats", "a mat"], {"two camels", "two hats", "a dog", "on a snowy day"})
'two camels, a dog and two hats on a snowy day'
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

# words that join the items of a list; what lies between two things; what begins a place
_LIST = re.compile(r"\s*(?:[.,;:!?]+|\band\b|\bwith\b|\bplus\b)\s*")
RELATION_WORDS = (
    *("to the left of", "to the right of", "on top of", "in front of", "left of", "right of"),
    *("next to", "beside", "above", "over", "below", "under", "underneath", "beneath", "behind"),
)
PLACE_WORDS = (
    *("on", "in", "at", "near", "by", "before", "among", "amid", "along", "across", "inside"),
    *("outside", "indoors", "outdoors", "between", "through", "around"),
)
_RELATION = re.compile(rf"\s+(?:is\s+|are\s+)?\b(?:{'|'.join(RELATION_WORDS)})\b\s+")
_PLACE = re.compile(rf"(?<=\S)\s+(?=(?:{'|'.join(PLACE_WORDS)})\b)")
_PLACE_START = re.compile(rf"(?:{'|'.join(PLACE_WORDS)})\b")
_IMAGE_WORDS = "photo|photograph|image|picture|view|shot|drawing|clipart|painting|icon|itap"
# endings of plurals, the first that fits; and what no ending tells
_PLURAL = (
    *(("ouses", "ouse"), ("uses", "us"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh")),
    *(
        ("xes", "x"),
        ("ies", "y"),
        ("oes", "o"),
        ("ss", "ss"),
        ("us", "us"),
        ("is", "is"),
        ("s", ""),
    ),
)
_IRREGULAR = {
    **{
        f"{stem}ves": f"{stem}f"
        for stem in ("scar", "wol", "lea", "loa", "shel", "hal", "cal", "thie")
    },
    **{f"{stem}ves": f"{stem}fe" for stem in ("kni", "wi", "li")},
    **{
        f"{word}s": word
        for word in (
            "cookie",
            "movie",
            "pie",
            "tie",
            "necktie",
            "shoe",
            "toe",
            "canoe",
            "axe",
            "taxi",
            "ski",
            "kiwi",
        )
    },
    **{"men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot"},
    **{"teeth": "tooth", "mice": "mouse", "geese": "goose", "gas": "gas", "lens": "lens"},
}
_OPENING = re.compile(  # "itap" is how posts say that somebody took the picture
    rf"^(?:(?:(?!and\b|with\b)[\w']+\s+){{0,3}}(?:{_IMAGE_WORDS})\s+of|there\s+(?:is|are)|"
    r"here\s+(?:is|are)|image\s+may\s+contain\s*:?)\s+"
)


def phrases_of(caption: str) -> tuple[str, ...]:
    """Cut a caption into its statements: things, related pairs of things, places.

    >>> phrases_of("in the sea, a ship and three red boats left of a bird")
    ('in the sea', 'a ship', 'three red boats left of a bird')
    >>> phrases_of("stock image of a cat"), phrases_of("itap of a cat")
    (('a cat',), ('a cat',))
    """
    text = _OPENING.sub("", " ".join(caption.lower().split()))
    found: list[str] = []
    for item in _LIST.split(text):
        held = _RELATION.sub(lambda m: m[0].replace(" ", "\0"), item)
        cuts = _PLACE.split(held)
        found += [" ".join(cut.replace("\0", " ").split()) for cut in cuts]
    return tuple(phrase for phrase in found if phrase)


def parts_of(phrase: str) -> tuple[str, ...]:
    """Return the things of a related pair, or the phrase itself.

    >>> parts_of("a crown to the left of a camel"), parts_of("a dog")
    (('a crown', 'a camel'), ('a dog',))
    """
    return tuple(part for part in _RELATION.split(phrase) if part) or (phrase,)


def is_place(phrase: str) -> bool:
    """Tell whether a phrase says where, not what.

    >>> is_place("on a lawn"), is_place("a lawn")
    (True, False)
    """
    return _PLACE_START.match(phrase) is not None


def head_of(phrase: str) -> str:
    """Return what a phrase is about: its last word, in the singular; of a place, all of it.

    >>> head_of("three red boats"), head_of("a fire truck"), head_of("on a lawn")
    ('boat', 'truck', 'on a lawn')
    >>> [head_of(f"two {word}") for word in ("buses", "horses", "scarves", "gloves", "cookies")]
    ['bus', 'horse', 'scarf', 'glove', 'cookie']
    """
    if is_place(phrase):
        return phrase
    words = phrase.split()
    if not words:
        raise ValueError("an empty phrase is about nothing: wanted at least one word")
    last = words[-1]
    if last in _IRREGULAR:
        return _IRREGULAR[last]
    ending, singular = next((rule for rule in _PLURAL if last.endswith(rule[0])), ("", ""))
    return last if len(last) <= len(ending) else last.removesuffix(ending) + singular


def heads_of(caption: str) -> frozenset[str]:
    """Return everything that a caption speaks about.

    >>> sorted(heads_of("a crown over a camel in the snow"))
    ['camel', 'crown', 'in the snow']
    """
    return frozenset(head_of(part) for phrase in phrases_of(caption) for part in parts_of(phrase))


def statements_of(captions: Iterable[str]) -> tuple[str, ...]:
    """Return every different phrase of some captions, and its parts, in order.

    >>> statements_of(["a cat", "a cat under a hat"])
    ('a cat', 'a cat under a hat', 'a hat')
    """
    found = (
        said
        for caption in captions
        for phrase in phrases_of(caption)
        for said in (phrase, *parts_of(phrase))
    )
    return tuple(dict.fromkeys(found))


def join_phrases(things: Sequence[str], places: Sequence[str] = ()) -> str:
    """Write statements as one caption: a list of things, then at most one place.

    >>> join_phrases(["a cat", "a dog", "two hats"], ["on a lawn"]), join_phrases([], ["indoors"])
    ('a cat, a dog and two hats on a lawn', 'indoors')
    """
    *most, last = things if things else [""]
    listed = f"{', '.join(most)} and {last}" if most else last
    return " ".join([listed, *places[:1]]).strip()


def rewrite(caption: str, proposals: Sequence[str], accepted: Collection[str]) -> str:
    """Keep of a caption what is accepted, add proposals that are accepted and not yet said.

    A related pair that is not accepted falls into its parts, and each thing is said once. Proposals
    come in the order of preference. Where no thing is accepted, a place at most, the caption stays
    as it is.

    >>> rewrite("a cat under a hat", [], {"a cat", "a hat"}), rewrite("a cat", ["a dog"], set())
    ('a cat and a hat', 'a cat')
    """
    own = [s for p in phrases_of(caption) for s in ([p] if p in accepted else parts_of(p))]
    things, places, said = [], [], set()
    for phrase in [*own, *proposals]:
        heads = {head_of(part) for part in parts_of(phrase)}
        if phrase not in accepted or heads & said:
            continue
        said |= heads
        (places if is_place(phrase) else things).append(phrase)
    return join_phrases(things, places) if things else caption


def frequent_statements(captions: Iterable[str], *, count: int) -> tuple[str, ...]:
    """Return the `count` statements that most captions make, the most frequent first.

    >>> frequent_statements(["a cat and a dog", "a dog", "a dog in the snow"], count=2)
    ('a dog', 'a cat')
    """
    if count < 1:
        raise ValueError(f"count is {count}: wanted at least 1 statement")
    counts = Counter(
        said
        for caption in captions
        for said in dict.fromkeys(part for p in phrases_of(caption) for part in parts_of(p))
    )
    return tuple(said for said, _ in counts.most_common(count))
