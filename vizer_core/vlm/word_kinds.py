"""Kinds of words, and captions whose words of one kind come from other captions.

To ask which words a score reads, replace the words of one kind and watch it: the caption keeps its
length, its grammar and nearly all of its words. For captions of any English text the kinds are
coarse; the drawn world has finer ones (`vizer_lab.world.word_kinds`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

NUMBERS = """one two three four five six seven eight nine ten several many""".split()  # noqa: SIM905
RELATIONS = """left right above over below under next beside behind near between inside on in at
by""".split()  # noqa: SIM905
FUNCTION_WORDS = """a an the of and or to with for from is are was were be been it its this that
these there which who while as up out some few , . ! ? : ; ' " -""".split()  # noqa: SIM905

MARKS = ".,!?:;"  # that stand at a word's end

KindOf = Callable[[str], str]


def plain_word_kind(word: str) -> str:
    """Sort a word of any English caption: relation, number, function word or content word.

    >>> [plain_word_kind(word) for word in ("two", "dogs", "on", "the")]
    ['number', 'content word', 'relation', 'function word']
    """
    word = word.lower().rstrip(MARKS) or word
    if word in NUMBERS or word.isdigit():
        return "number"
    if word in RELATIONS:
        return "relation"
    return "function word" if word in FUNCTION_WORDS else "content word"


def _without_mark(word: str) -> str:
    return word.rstrip(MARKS) or word


def replace_words(
    texts: Sequence[str], kind: str, *, kind_of: KindOf, generator: torch.Generator
) -> tuple[str, ...]:
    """Replace each word of one kind by another word of that kind, drawn from all the captions.

    Captions without such a word stay as they are, and so does the mark at a word's end.

    >>> rng = torch.Generator().manual_seed(0)
    >>> replace_words(["two dogs", "three cats"], "number", kind_of=plain_word_kind, generator=rng)
    ('three dogs', 'two cats')
    """
    words = [_without_mark(word) for text in texts for word in text.split()]
    found = [word for word in words if kind_of(word) == kind]
    if len(set(found)) < 2:
        raise ValueError(
            f"{len(set(found))} different words of kind {kind!r} in {len(texts)} captions: wanted "
            "at least 2 to draw from"
        )

    def drawn(word: str) -> str:
        bare = _without_mark(word)
        if kind_of(bare) != kind:
            return word
        others = [other for other in found if other != bare]
        new = others[int(torch.randint(len(others), (), generator=generator))]
        return new + word[len(bare) :]

    return tuple(" ".join(drawn(word) for word in text.split()) for text in texts)
