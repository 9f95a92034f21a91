"""What the micro language model reads: documents about training scenes, in numbered rows.

Three kinds of document, of one scene each; `<` and `>` stand for the start and end marks:

=========  =====================================================================================
captions   `< caption > < caption > ...`, the scene's five in any order
tags       `word word word < caption >`: some of the caption's own words, then the caption
questions  `< caption . question : is there a dog ? answer : yes >`, now and then without a caption
=========  =====================================================================================

The tags teach a habit that a large model has from its own training: what stands before the start
mark says what comes after it. That is where a captioner's prefix will stand. This is pre-training
for prefixes in form, on words only; what it contributes was not measured apart.
Half of the documents come from the `train` split in its describing style, half from `away_train`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from vizer_core.micro.captions import captions_of
from vizer_core.micro.questions import questions_of
from vizer_core.micro.tokenizer import MicroTokenizer, split_words
from vizer_core.micro.world import Scene, make_scene

CORPUS_SEED = 40961
KINDS, KIND_SHARES = ("captions", "tags", "questions"), (0.25, 0.55, 0.2)
NO_CAPTION_SHARE = 0.1  # of the questions
TAG_COUNTS = range(1, 13)
ROW_SCENES = 24  # numbers kept for one row's documents; 96 tokens never need as many
PLAIN_WORDS = frozenset(
    """a an and with there is are some few of photo picture view bunch things here my our look
    , ! . we saw i spotted nice shot what day in on at the to by near before this""".split()  # noqa: SIM905
)


@dataclass(frozen=True, eq=False)
class Rows:
    """Token ids of packed documents, and which of them the model is to predict."""

    ids: Int[Tensor, "b t"]
    predicted: Bool[Tensor, "b t"]


def question_text(question: str, caption: str | None = None) -> str:
    """Write a question as the micro LM has read it, up to where the answer starts.

    >>> question_text("where is this ?", "a dog on a lawn")
    'a dog on a lawn . question : where is this ? answer :'
    """
    asked = f"question : {question} answer :"
    return f"{caption} . {asked}" if caption else asked


def tags_of(caption: str, count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` telling words of a caption in any order, over again where there are fewer.

    >>> tags_of("a small dog on a lawn", 2, np.random.default_rng(0))
    ['lawn', 'small']
    """
    telling = [word for word in split_words(caption) if word not in PLAIN_WORDS] or ["things"]
    shuffled = [telling[i] for i in rng.permutation(len(telling))]
    return [shuffled[i % len(shuffled)] for i in range(count)]


def document(scene: Scene, rng: np.random.Generator, tokenizer: MicroTokenizer) -> list[int]:
    """Write one document about a scene as ids, marks included."""
    kind = KINDS[int(np.searchsorted(np.cumsum(KIND_SHARES), rng.random(), side="right"))]
    captions, ids = captions_of(scene), tokenizer.ids
    marked = {c: [tokenizer.start_token_id, *tokenizer.encode(c), tokenizer.eot_token_id]
              for c in captions}  # fmt: skip
    if kind == "captions":
        return [i for k in rng.permutation(len(captions)) for i in marked[captions[k]]]
    caption = captions[int(rng.integers(len(captions)))]
    if kind == "tags":
        count = int(rng.integers(TAG_COUNTS.start, TAG_COUNTS.stop))
        return [*(ids[word] for word in tags_of(caption, count, rng)), *marked[caption]]
    questions = questions_of(scene)
    question = questions[int(rng.integers(len(questions)))]
    before = None if rng.random() < NO_CAPTION_SHARE else caption
    text = f"{question_text(question.text, before)} {question.answer}"
    return [tokenizer.start_token_id, *tokenizer.encode(text), tokenizer.eot_token_id]


def make_row(number: int, length: int, tokenizer: MicroTokenizer) -> list[int]:
    """Write row `number`: documents one after another, cut at `length` tokens."""
    rng = np.random.default_rng((CORPUS_SEED, number))
    ids: list[int] = []
    for k in range(number * ROW_SCENES, (number + 1) * ROW_SCENES):
        if len(ids) >= length:
            break
        split = "away_train" if (k + number) % 2 else "train"  # rows start with either in turn
        ids += document(make_scene(split, k), rng, tokenizer)
    return ids[:length]


def make_rows(start: int, count: int, length: int) -> Rows:
    """Write rows `start` to `start + count`, each from its own seed.

    A token is predicted from after a start mark up to the end mark: tags are context only, and
    the start mark itself is always given.
    """
    tokenizer = MicroTokenizer()
    rows = [make_row(number, length, tokenizer) for number in range(start, start + count)]
    ids = torch.tensor(rows)
    starts, ends = ids == tokenizer.start_token_id, ids == tokenizer.eot_token_id
    open_marks = starts.long().cumsum(dim=1) - (ends.long().cumsum(dim=1) - ends.long())
    return Rows(ids=ids, predicted=(open_marks > 0) & ~starts)
