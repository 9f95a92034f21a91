"""Changes that are no fault: other words, another order, another style; and faults of form.

The first three keep every statement (the exact parser counts the same before and after), so an
honest metric of content should not move; they read and write captions with their marks. The faults
of form need no scene, so they work on real captions as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vizer_lab.world.lexicon import KIND_BY_NAME, PLACE_BY_NAME
from vizer_lab.world.phrases import NounPhrase, Phrases, read_phrases
from vizer_lab.world.settings import plain_marks

TextEdit = Callable[[str, np.random.Generator], str | None]

THERE = ("there is", "there are")
PHOTO_OPENINGS = ("a photo of", "an image of", "a view of")
STYLES = ("look , {} !", "nice shot of {}", "here {be} {}", "i spotted {}")
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


def _without_lead(text: str) -> str:
    leads = (f"{opening} " for opening in (*THERE, *PHOTO_OPENINGS))
    return text.removeprefix(next((lead for lead in leads if text.startswith(lead)), ""))


def without_opening(caption: str, rng: np.random.Generator) -> str:
    """Cut "there is" or "a photo of", and say the place behind if it opens the caption.

    "on a beach, a dog" becomes "a dog on a beach", and so does "a beach scene with a dog".

    >>> without_opening("there is a dog", np.random.default_rng(0))
    'a dog'
    """
    read = read_phrases(caption)
    kinds = [piece.kind for piece in read.pieces[:2]]
    if len(read.pieces) > 2 and kinds[0] == "background" and read.pieces[1].words == ",":
        rest, where = read.pieces[2:], read.pieces[0].words
    elif len(read.pieces) > 3 and kinds[1] == "background":
        rest = read.pieces[3:]
        where = _one_of(PLACE_BY_NAME[str(read.pieces[1].value)].phrases, rng)
    else:
        return _without_lead(caption)
    body = plain_marks(" ".join(piece.words for piece in rest))
    return f"{_without_lead(body)} {where}"


def _exchanged(read: Phrases, nouns: list[NounPhrase]) -> dict[int, str]:
    """Return the changes that put some noun phrases in opposite order, each on another's place."""
    phrases = [" ".join(p.words for p in read.pieces[n.start : n.noun + 1]) for n in nouns]
    changes: dict[int, str] = {}
    for noun, words in zip(nouns, reversed(phrases)):
        changes |= dict.fromkeys(range(noun.start, noun.noun), "")
        changes[noun.noun] = words
    return changes


def _turned(read: Phrases, relation: int) -> str | None:
    """Turn "A above B" into "B below A", "A is above B" too; what else is named stays behind."""
    before = [n for n in read.nouns if n.noun < relation]
    after = [n for n in read.nouns if n.start > relation]
    if not before or not after:
        return None
    first, second = before[-1], after[0]
    changes = _exchanged(read, [first, second])
    changes[relation] = INVERSE[str(read.pieces[relation].value)]
    if read.pieces[relation - 1].words in ("is", "are"):
        changes[relation - 1] = "are" if second.plural else "is"
    return read.changed(changes)


def reordered(caption: str, rng: np.random.Generator) -> str | None:
    """Say the same with the objects in another order; where there is one, open otherwise.

    >>> reordered("there is a dog above a tree", np.random.default_rng(0))
    'a tree below a dog'
    """
    there = any(
        f" {words} " in f" {caption}" for words in THERE
    )  # a verb that would have to follow
    read = read_phrases(without_opening(caption, rng) if there else caption)
    related = read.find("relation")
    if not read.nouns or len(related) > 1:
        return None
    if related:
        return _turned(read, related[0])
    if len(read.nouns) > 1:
        return _if_changed(read.changed(_exchanged(read, list(read.nouns))), caption)
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
    read = read_phrases(without_opening(caption, rng))
    related = [k for k in read.find("relation") if read.pieces[k - 1].words in ("is", "are")]
    body = read.changed(
        {k - 1: "" for k in related}
    )  # "a dog is above a cat" has a verb of its own
    be = "are" if read.nouns and read.nouns[0].plural else "is"
    return plain_marks(_one_of(STYLES, rng).format(body, be=be))


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
