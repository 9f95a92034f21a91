"""The drawn world's questions in the form of VQAv2: items, the candidate list, the prompt.

A scene has one truth, so all ten people give the same answer. The candidates are every answer that
a question of the world can have, from the lexicon and not from any split: yes and no, the counts,
the places, the colours, the kinds of object.
"""

from __future__ import annotations

from vizer_core.data.vqav2 import AnswerList, VqaItem
from vizer_lab.world.lexicon import COLOURS, OBJECTS, PLACE_BY_NAME
from vizer_lab.world.questions import question_text, questions_of
from vizer_lab.world.settings import NUMBERS_SAID
from vizer_lab.world.world import make_scene

PEOPLE = 10


def drawn_vqa_items(split: str, n: int) -> tuple[VqaItem, ...]:
    """Ask all questions of the first `n` scenes of a split; the kind is the question's type.

    >>> item = drawn_vqa_items("second_test", 1)[0]
    >>> item.id, item.question_type, len(item.answers)
    ('second_test-00000-presence', 'presence', 10)
    """
    if n < 1:
        raise ValueError(f"wanted at least one scene, got n={n}")
    return tuple(
        VqaItem(
            id=f"{scene.id}-{question.kind}",
            image_id=scene.id,
            question=question.text,
            answer=question.answer,
            answers=(question.answer,) * PEOPLE,
            question_type=question.kind,
            answer_type=question.kind,
        )
        for scene in (make_scene(split, index) for index in range(n))
        for question in questions_of(scene)
    )


def drawn_answer_list() -> AnswerList:
    """Return every answer that a question of the drawn world can have.

    >>> drawn_answer_list().answers[:4]
    ('yes', 'no', 'one', 'two')
    """
    names = ("yes", "no", *NUMBERS_SAID, *PLACE_BY_NAME, *COLOURS)
    return AnswerList(tuple(dict.fromkeys((*names, *(kind.name for kind in OBJECTS)))))


def drawn_prompt(caption: str, question: str) -> str:
    """Write the prompt in the form that the drawn language model has read; "" is no caption.

    >>> drawn_prompt("a dog, a cat", "where is this?")
    'a dog, a cat. question: where is this? answer:'
    """
    return question_text(question, caption or None)
