"""Words to ids for the drawn models: one word, one id, and a vocabulary fixed by the lexicon."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Int
from torch import Tensor

from vizer_lab.world.lexicon import (
    CATEGORY_WORDS,
    COLOURS,
    RELATION_WORDS,
    SIZE_WORDS,
    world_named,
)
from vizer_lab.world.settings import COUNT_WORDS, plain_marks

CONTEXT_LENGTH = 32  # the longest caption, and the marks
PAD, UNKNOWN, START = "<pad>", "<unk>", "<start>"
END = "<end>"  # the highest id: open_clip pools the text at the argmax of the ids
WORD_PATTERN = r"[a-z0-9]+(?:-[a-z0-9]+)*|[,.!?:]"
GRAMMAR_WORDS = """
    a an and with there is are some few of photo picture view bunch things here my our
    look , ! . we saw i spotted nice shot what day one the in on at it this that not no
    yes how many to which left right above below next question answer : ? where or color
    colour kind object objects scene image standing resting lying parked left behind
    growing
""".split()  # noqa: SIM905


@cache
def vocabulary(world: str = "second") -> tuple[str, ...]:
    """Return every word of a world, special words first and the end mark last."""
    found = world_named(world)
    words: set[str] = (
        set(GRAMMAR_WORDS) | set(COLOURS) | set(SIZE_WORDS) | set(COUNT_WORDS.values())
    )
    for kind in found.objects:
        for form in (kind.name, kind.plural, *kind.synonyms):
            words |= set(form.split())
    for forms in (*CATEGORY_WORDS.values(), RELATION_WORDS):
        for form in forms:
            words |= set(form.split())
    for place in found.places:
        for form in (*place.phrases, place.scene_noun):
            words |= set(form.split())
    return (PAD, UNKNOWN, START, *sorted(words), END)


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words and marks, as the drawn world writes them.

    >>> split_words("A t-shirt, two tents!")
    ['a', 't-shirt', ',', 'two', 'tents', '!']
    """
    return re.findall(WORD_PATTERN, text.lower())


class DrawnTokenizer:
    """Turn texts into ids [b, context_length]: start mark, words, end mark, padding.

    Words outside the vocabulary become `<unk>`; texts that are too long lose words at the end and
    keep the end mark.
    """

    def __init__(self, context_length: int = CONTEXT_LENGTH, world: str = "second") -> None:
        self.context_length = context_length
        self.words = vocabulary(world)
        self.ids = {word: i for i, word in enumerate(self.words)}

    @property
    def start_token_id(self) -> int:
        """The id of the start mark."""
        return self.ids[START]

    @property
    def eot_token_id(self) -> int:
        """The id of the end mark, which is the highest."""
        return len(self.words) - 1

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text's words, without marks."""
        unknown = self.ids[UNKNOWN]
        return [self.ids.get(word, unknown) for word in split_words(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the words of `ids` up to the end mark, special words left out."""
        words = []
        for i in ids:
            if self.words[i] == END:
                break
            if self.words[i] not in (PAD, START):
                words.append(self.words[i])
        return plain_marks(" ".join(words))

    def __call__(
        self, texts: str | Sequence[str], context_length: int | None = None
    ) -> Int[Tensor, "b t"]:
        """Encode texts for open_clip."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        length = context_length or self.context_length
        out = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in enumerate(texts):
            ids = [self.ids[START], *self.encode(text)[: length - 2], self.eot_token_id]
            out[row, : len(ids)] = torch.tensor(ids)
        return out
