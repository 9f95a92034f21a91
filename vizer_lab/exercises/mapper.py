"""Chapter 10: one caption for all images, a mapper of one's own, a reader that cannot leak."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from vizer_lab.exercises.goal import Goal, judge_goals
from vizer_lab.practice import Verdict

FOUND, ACCIDENT = 0.5, 0.05  # R@1 with the image in context, and from text alone
FITTED = 0.6  # a held-out cosine
BOOK_SHIFT = 7

Model = Callable[[Tensor], Tensor]
Make = Callable[[Tensor, Tensor], Model]


def judge_one_caption(
    said: Sequence[str],
    texts: Sequence[str],
    in_context: Callable[[Sequence[str]], float],
    alone: Callable[[Sequence[str]], float],
) -> Verdict:
    """Judge one caption for all images, by how often a mapper finds the image that it follows."""
    if isinstance(said, str):
        return Verdict(False, f"That is one string: wanted a list of {len(texts)} equal ones.")
    if len(said) != len(texts):
        return Verdict(False, f"Wanted {len(texts)} captions, one for each image, got {len(said)}.")
    if len(set(said)) > 1:
        return Verdict(
            False,
            f"These are {len(set(said))} different captions, so the words could tell the images "
            "apart. Give all images the same one.",
        )
    goals = [
        Goal("R@1, image in context", above=FOUND),
        Goal("R@1, text alone", below=ACCIDENT),
    ]
    mine, book = ([in_context(some), alone(some)] for some in (said, [texts[0]] * len(texts)))
    return judge_goals(goals, mine, book, "Try another caption: this one is read oddly.")


def book_mapper(states: Tensor, wanted: Tensor) -> Model:
    """Fit two layers to centred features: states [n, h] -> features [n, d]."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(states.shape[1], 256),
        torch.nn.GELU(),
        torch.nn.Linear(256, wanted.shape[1]),
    )
    steps = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(300):
        loss = 1 - cosine_similarity(model(states), wanted, dim=-1).mean()
        steps.zero_grad()
        loss.backward()
        steps.step()
    return model


def judge_mapper(make: Make, states: Tensor, wanted: Tensor, held: int) -> Verdict:
    """Judge a function that fits a mapper, by its cosine on the last `held` pairs, held out.

    `states` [n, h] are what it reads, `wanted` [n, d] the centred features.
    """
    model = make(states[:-held], wanted[:-held])
    if not callable(model):
        return Verdict(False, "Your function gives no model back: is its `return` missing?")
    with torch.no_grad():
        answers, known = model(states[-held:]), model(states[:-held])
    if answers.shape != wanted[-held:].shape:
        return Verdict(False, f"Wanted answers {[*wanted[-held:].shape]}, got {[*answers.shape]}.")
    mine, fit = (
        float(cosine_similarity(some, to, dim=-1).mean())
        for some, to in ((answers, wanted[-held:]), (known, wanted[:-held]))
    )
    goal = Goal("held-out cosine", above=FITTED)
    return judge_goals(
        [goal], [mine], [held_out(states, wanted, held)], _advice(mine, fit, answers)
    )


def held_out(states: Tensor, wanted: Tensor, held: int) -> float:
    """Return the held-out cosine of the book's mapper on its last `held` pairs."""
    model = book_mapper(states[:-held], wanted[:-held])
    with torch.no_grad():
        return float(cosine_similarity(model(states[-held:]), wanted[-held:], dim=-1).mean())


def _advice(mine: float, fit: float, answers: Tensor) -> str:
    if float(answers.std(dim=0).mean()) < 1e-3 * float(answers.norm(dim=1).mean()):
        return (
            "Every caption gets the same answer. Does the model read its states, or is its output "
            "bias all that it has learned?"
        )
    if mine < -0.1:
        return "The answers point away from their images: the loss is 1 - cos, so that it falls."
    if fit > FITTED:
        return f"On the captions of its training the cosine is {fit:.2f}: it knows them by heart."
    if abs(mine) < 0.1:
        return (
            "It has learned nothing yet. In each step: the loss, `zero_grad`, `backward`, `step`; "
            "and is it the right image's feature that each row is compared with?"
        )
    return "The right direction: more steps, a larger rate, or a nonlinearity between two layers."


def judge_unleaked(
    after: Sequence[int], leak: Callable[[Sequence[int]], float], count: int, margin: float
) -> Verdict:
    """Judge which image each caption is read after, by the leak index of a mapper fitted so."""
    after = [int(place) for place in after]
    if len(after) != count or not set(after) <= set(range(count)):
        return Verdict(False, f"Wanted {count} places, each from 0 to {count - 1}.")
    used, own = len(set(after)), sum(place == i for i, place in enumerate(after))
    if used < count // 2:
        return Verdict(
            False,
            f"Only {used} images are in context. If many captions follow the same image there is "
            "little that could leak: use each image once.",
        )
    book = [(i + BOOK_SHIFT) % count for i in range(count)]
    advice = (
        f"{own} of {count} captions are still read after their own image: move them all."
        if own
        else "No caption follows its own image, and the mapper still finds it. Is there a pattern?"
    )
    goal = Goal("leak index", below=margin)
    return judge_goals([goal], [leak(after)], [leak(book)], advice)
