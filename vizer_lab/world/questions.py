"""Questions about a scene with one right answer each, for visual question answering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from vizer_core.metrics.grounding import relation_holds
from vizer_lab.world.lexicon import KIND_BY_NAME, RELATION_WORDS
from vizer_lab.world.settings import NUMBERS_SAID, plain_marks
from vizer_lab.world.world import Scene, objects_of, scene_rng

RELATIONS_ASKED = ("left of", "right of", "above", "below")


@dataclass(frozen=True)
class Question:
    """A question, its answer (one or two words), and its kind."""

    text: str
    answer: str
    kind: str


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _ask_presence(scene: Scene, draw: Callable[[], float]) -> Question:
    there = sorted({o.name for o in scene.objects})
    if draw() < 0.5:
        name, answer = there[int(draw() * len(there))], "yes"
    else:
        absent = [k.name for k in objects_of(scene.split) if k.name not in there]
        name, answer = absent[int(draw() * len(absent))], "no"
    return Question(f"is there {_with_article(name)} in this image ?", answer, "presence")


def _ask_count(scene: Scene, draw: Callable[[], float]) -> Question:
    counts = sorted(Counter(o.name for o in scene.objects).items())
    name, count = counts[int(draw() * len(counts))]
    plural = KIND_BY_NAME[name].plural
    return Question(f"how many {plural} are there ?", NUMBERS_SAID[count - 1], "count")


def _ask_place(scene: Scene, draw: Callable[[], float]) -> Question:
    return Question("where is this ?", scene.place, "place")


def _ask_colour(scene: Scene, draw: Callable[[], float]) -> Question | None:
    coloured = sorted({o.name for o in scene.objects if KIND_BY_NAME[o.name].colour})
    if not coloured:
        return None
    name = coloured[int(draw() * len(coloured))]
    return Question(f"what color is the {name} ?", str(KIND_BY_NAME[name].colour), "colour")


def _ask_relation(scene: Scene, draw: Callable[[], float]) -> Question | None:
    """Ask what stands in a relation to an object, where only one kind does."""
    relation = RELATIONS_ASKED[int(draw() * len(RELATIONS_ASKED))]
    for target in scene.objects:
        if sum(o.name == target.name for o in scene.objects) > 1:
            continue
        found = {o.name for o in scene.objects if relation_holds(o, target, relation)}
        if len(found) == 1:
            words = next(w for w, name in RELATION_WORDS.items() if name == relation)
            return Question(f"what is {words} the {target.name} ?", found.pop(), "relation")
    return None


ASKERS = (_ask_presence, _ask_count, _ask_place, _ask_colour, _ask_relation)


def questions_of(scene: Scene) -> tuple[Question, ...]:
    """Ask up to five questions of a scene, one a kind; the scene decides which have an answer.

    >>> from vizer_lab.world.world import make_scene
    >>> [q.kind for q in questions_of(make_scene("second_test", 0))][:3]
    ['presence', 'count', 'place']
    """
    draws: Iterator[float] = iter(
        scene_rng(scene.split, scene.index, purpose=30).random(32).tolist()
    )
    asked = (ask(scene, draws.__next__) for ask in ASKERS)
    return tuple(
        replace(question, text=plain_marks(question.text))
        for question in asked
        if question is not None
    )


def question_text(question: str, caption: str | None = None) -> str:
    """Write a question as the drawn LM has read it, up to where the answer starts.

    >>> question_text("where is this?", "a dog, a cat")
    'a dog, a cat. question: where is this? answer:'
    """
    asked = f"question : {question} answer :"
    return plain_marks(f"{caption} . {asked}" if caption else asked)
