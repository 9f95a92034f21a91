"""What the drawn language model reads: documents about training scenes, in numbered rows.

Three kinds of document, of one scene each; `<` and `>` stand for the start and end marks:

=========  =====================================================================================
captions   `< caption > < caption > ...`, the scene's five in any order
tags       `word word word < caption >`: some of the caption's own words, then the caption
questions  `< caption . question : is there a dog ? answer : yes . question : ... >`, all that can
           be asked of the scene, now and then without a caption
=========  =====================================================================================

Predicted are captions, answers and end marks; tags and questions are only read, so that a caption
written from a bare start mark ends where it should and asks nothing.

The tags teach a habit that a large model has from its own training: what stands before the start
mark says what comes after it. That is where a captioner's prefix will stand. This is pre-training
for prefixes in form, on words only; what it contributes was not measured apart.

Half of the documents come from the `train` split in its describing style, half from `away_train`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from vizer_lab.world.captions import captions_of
from vizer_lab.world.questions import Question, question_text, questions_of
from vizer_lab.world.world import Scene, make_scene, split_in
from vizer_lab.zoo.tokenizer import DrawnTokenizer, split_words

CORPUS_SEED = 40961
KINDS, KIND_SHARES = ("captions", "tags", "questions"), (0.15, 0.65, 0.2)
NO_CAPTION_SHARE = 0.1  # of the questions
TAG_COUNTS = range(1, 13)
ROW_SCENES = 24  # numbers kept for one row; the shortest document has five tokens
PLAIN_WORDS = frozenset(
    """a an and with there is are some few of photo picture view bunch things here my our look
    , ! . we saw i spotted nice shot what day in on at the to by near before this""".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Document:
    """Token ids, marks included, and which of them the model is to predict."""

    ids: list[int]
    predicted: list[bool]


@dataclass(frozen=True, eq=False)
class Rows:
    """Token ids of packed documents, and which of them the model is to predict."""

    ids: Int[Tensor, "b t"]
    predicted: Bool[Tensor, "b t"]


def tags_of(caption: str, count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` telling words of a caption in any order, over again where there are fewer.

    >>> tags_of("a small dog on a lawn", 2, np.random.default_rng(0))
    ['lawn', 'small']
    """
    telling = [word for word in split_words(caption) if word not in PLAIN_WORDS] or ["things"]
    shuffled = [telling[i] for i in rng.permutation(len(telling))]
    return [shuffled[i % len(shuffled)] for i in range(count)]


def caption_document(captions: Sequence[str], tokenizer: DrawnTokenizer) -> Document:
    """Write captions one after another; all but the start marks is predicted."""
    ids = [
        i
        for text in captions
        for i in (tokenizer.start_token_id, *tokenizer.encode(text), tokenizer.eot_token_id)
    ]
    return Document(ids, [i != tokenizer.start_token_id for i in ids])


def question_document(
    questions: Sequence[Question], caption: str | None, tokenizer: DrawnTokenizer
) -> Document:
    """Write a caption and questions about it; the questions' own words are not predicted."""
    said = tokenizer.encode(caption) if caption else []
    ids, predicted = [tokenizer.start_token_id, *said], [False] + [True] * len(said)
    for question in questions:
        dot = [] if len(ids) == 1 else tokenizer.encode(".")
        asked = dot + tokenizer.encode(question_text(question.text))
        answer = tokenizer.encode(question.answer)
        ids += asked + answer
        predicted += [False] * len(asked) + [True] * len(answer)
    return Document([*ids, tokenizer.eot_token_id], [*predicted, True])


def document(scene: Scene, rng: np.random.Generator, tokenizer: DrawnTokenizer) -> Document:
    """Write one document about a scene, of a kind drawn by `KIND_SHARES`."""
    kind = KINDS[int(np.searchsorted(np.cumsum(KIND_SHARES), rng.random(), side="right"))]
    captions = captions_of(scene)
    if kind == "captions":
        order = rng.permutation(len(captions))
        return caption_document([captions[k] for k in order], tokenizer)
    caption = captions[int(rng.integers(len(captions)))]
    if kind == "tags":
        tags = tags_of(caption, int(rng.integers(TAG_COUNTS.start, TAG_COUNTS.stop)), rng)
        after = caption_document([caption], tokenizer)
        before = [tokenizer.ids[word] for word in tags]
        return Document(before + after.ids, [False] * len(before) + after.predicted)
    questions = questions_of(scene)
    asked = [questions[k] for k in rng.permutation(len(questions))]
    blind = rng.random() < NO_CAPTION_SHARE
    return question_document(asked, None if blind else caption, tokenizer)


def make_row(
    number: int, length: int, tokenizer: DrawnTokenizer, world: str = "second"
) -> Document:
    """Write row `number`: documents one after another, cut at `length` tokens."""
    rng = np.random.default_rng((CORPUS_SEED, number))
    ids: list[int] = []
    predicted: list[bool] = []
    for k in range(number * ROW_SCENES, (number + 1) * ROW_SCENES):
        if len(ids) >= length:
            break
        part = "away_train" if (k + number) % 2 else "train"  # rows start with either in turn
        written = document(make_scene(split_in(world, part), k), rng, tokenizer)
        ids += written.ids
        predicted += written.predicted
    return Document(ids[:length], predicted[:length])


def make_rows(start: int, count: int, length: int, world: str = "second") -> Rows:
    """Write rows `start` to `start + count`, each from its own seed."""
    tokenizer = DrawnTokenizer(world=world)
    rows = [make_row(number, length, tokenizer, world) for number in range(start, start + count)]
    return Rows(
        ids=torch.tensor([row.ids for row in rows]),
        predicted=torch.tensor([row.predicted for row in rows]),
    )
