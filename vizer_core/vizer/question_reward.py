"""A caption is worth what somebody can answer who reads it and sees nothing: CapRL's reward.

CapRL (Xing et al. 2509.22647) writes multiple-choice questions about an image, shows a
language model the caption alone, and rewards the share of right answers. A caption that leaves out
or invents what is asked for loses. What is needed is questions with answers, which are labels: the
paper has a large VLM write them; in a drawn world they are exact.

Where we differ: answers are words and not choices, and a question that a reader gets right without
any caption is not asked (`hard_questions`; the paper filters by the same test).

>>> questions = [[Asked("where?", "forest"), Asked("how many dogs?", "two")]]
>>> reward = QuestionReward(questions, lambda texts, asked: ["forest" for _ in asked])
>>> reward.score_texts(["a dog in a forest"], [0])
[0.5]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vizer_core.vizer.policy_gradient import captions_an_image
from vizer_core.vizer.targets import compared_rows
from vizer_core.vlm.protocol import CaptionBatch, VisionBatch

Reader = Callable[[Sequence[str], Sequence[str]], Sequence[str]]  # captions, questions -> answers


@runtime_checkable
class Question(Protocol):
    """A question and its one right answer."""

    @property
    def text(self) -> str: ...
    @property
    def answer(self) -> str: ...


@dataclass(frozen=True)
class Asked:
    """A question and its one right answer, in words."""

    text: str
    answer: str


@dataclass(frozen=True, eq=False)
class QuestionReward:
    """The share of an image's questions that a reader answers rightly from the caption alone.

    `questions` are those of each image of the source that is trained on, by row. An image without
    questions gives 0 to all its captions.
    """

    questions: Sequence[Sequence[Question]]
    reader: Reader
    name: str = "questions"

    def __call__(self, vision: VisionBatch, captions: CaptionBatch) -> list[float]:
        """Score captions by the questions of the images that they are compared with."""
        k = captions_an_image(vision, captions)
        rows = compared_rows(vision, len(self.questions))
        return self.score_texts(captions.texts, [row for row in rows for _ in range(k)])

    def score_texts(self, texts: Sequence[str], rows: Sequence[int]) -> list[float]:
        """Score captions, each by the questions of one image."""
        if len(texts) != len(rows):
            raise ValueError(f"{len(texts)} captions, {len(rows)} rows: wanted a row per caption")
        asked = [(text, q) for text, row in zip(texts, rows) for q in self.questions[row]]
        answers = self.reader([text for text, _ in asked], [q.text for _, q in asked])
        if len(answers) != len(asked):
            raise ValueError(
                f"{len(answers)} answers to {len(asked)} questions: wanted one per question, empty "
                "where there is none"
            )
        right = iter(given == q.answer for given, (_, q) in zip(answers, asked))
        return [
            sum(next(right) for _ in self.questions[row]) / max(1, len(self.questions[row]))
            for row in rows
        ]


def hard_questions(
    questions: Sequence[Sequence[Question]], reader: Reader
) -> list[tuple[Question, ...]]:
    """Leave out what the reader answers rightly without a caption (CapRL).

    >>> hard_questions([[Asked("is it day?", "yes")]], lambda texts, asked: ["yes"])
    [()]
    """
    asked = [q for own in questions for q in own]
    guesses = iter(reader([""] * len(asked), [q.text for q in asked]) if asked else ())
    return [tuple(q for q in own if next(guesses) != q.answer) for own in questions]
