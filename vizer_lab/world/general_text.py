"""Text that describes no scene: what things are, questions with answers, personal posts.

A real VLM's language half was a language model first: what it says from text alone is not what it
says of images. A drawn base that reads captions in its text batches lacks that difference, since
its text prior is its captions' own marginal; one that reads these sentences instead has it.

=========  ========================================================================
facts      "a dog is an animal.", "this apple is red.", "a puppy is a dog."
questions  "question: how many cats are there? answer: two." of a scene nobody sees
posts      "here is my dog in the snow": words of captions, another style
=========  ========================================================================
"""

from __future__ import annotations

from vizer_lab.world.captions import away_captions
from vizer_lab.world.kinds import ObjectKind
from vizer_lab.world.lexicon import CATEGORY_WORDS
from vizer_lab.world.questions import question_text, questions_of
from vizer_lab.world.settings import plain_marks
from vizer_lab.world.wording import Draw, pick, with_article
from vizer_lab.world.world import Scene, objects_of

FACT_SHARE, QUESTION_SHARE = 0.4, 0.35  # the rest are posts


def general_sentence(scene: Scene, draw: Draw) -> str:
    """Write a sentence that is no description of an image; questions and posts ask for a scene.

    >>> from vizer_lab.world.world import make_scene
    >>> general_sentence(make_scene("second_train", 3), lambda: 0.1)
    'an owl is an animal.'
    """
    roll = draw()
    if roll < FACT_SHARE:
        return plain_marks(_fact(pick(objects_of(scene.split), draw), draw))
    if roll < FACT_SHARE + QUESTION_SHARE:
        question = pick(questions_of(scene), draw)
        return f"{question_text(question.text)} {question.answer}."
    return pick(away_captions(scene), draw)


def _fact(kind: ObjectKind, draw: Draw) -> str:
    """Say what kind of thing a kind is, its colour, or what else it is called."""
    facts = [f"{with_article(kind.name)} is {with_article(CATEGORY_WORDS[kind.category][0])} ."]
    if kind.colour:
        facts.append(f"this {kind.name} is {kind.colour} .")
    facts += [f"{with_article(word)} is {with_article(kind.name)} ." for word in kind.synonyms]
    return pick(facts, draw)
