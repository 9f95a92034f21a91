"""Chapter 5: fewer references, an edit that fools CLIPScore, a mix of two metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vizer_lab.exercises.goal import Goal, Number, judge_goals
from vizer_lab.practice import Verdict

DETAIL_COSTS = -0.25
FALSER, UNSEEN = -0.3, -0.1
BOOK_KEEP, BOOK_WEIGHT = 1, 0.25
BOOK_WORDS = {
    "a": "four", "an": "four", "small": "big", "little": "big",
    "above": "below", "below": "above", "left": "right",
}  # fmt: skip

Edit = Callable[[str], str]


def judge_few_references(keep: int, detail_costs: Callable[[int], float]) -> Verdict:
    """Judge a number of references by what more true detail costs with so many."""
    if keep not in range(1, 6):
        return Verdict(False, f"There are five references for a scene: keep 1 to 5, not {keep}.")
    goal = Goal("BLEU-1, true detail", below=DETAIL_COSTS)
    advice = f"With {keep} references the new words are often in one of them. Keep fewer."
    return judge_goals([goal], [detail_costs(keep)], [detail_costs(BOOK_KEEP)], advice)


def book_edit(caption: str) -> str:
    """Return a caption with every number, size and relation that can be turned round.

    >>> book_edit("a small dog above a clock")
    'four big dog below four clock'
    """
    return " ".join(BOOK_WORDS.get(word, word) for word in caption.split())


def judge_fooling(
    edit: Edit,
    captions: Sequence[str],
    accuracy: Callable[[Sequence[str]], float],
    clipscore: Callable[[Sequence[str]], float],
) -> Verdict:
    """Judge an edit by how much accuracy it takes and how little of CLIPScore's range.

    `accuracy` gives the change; `clipscore` the change as a share of the fall to another image's
    caption.
    """
    made = [edit(caption) for caption in captions]
    changed = sum(a != b for a, b in zip(made, captions, strict=True))
    goals = [
        Goal("change of accuracy", below=FALSER),
        Goal("CLIPScore's share", above=UNSEEN),
    ]
    ours = [book_edit(caption) for caption in captions]
    mine, book = ([accuracy(texts), clipscore(texts)] for texts in (made, ours))
    false, unseen = (goal.met(value) for goal, value in zip(goals, mine, strict=True))
    if not changed:
        advice = "No caption has changed: is the word in them?"
    elif not unseen:
        advice = "CLIPScore notices. Leave the things that are named, and lie about something else."
    elif mine[0] > 0:
        advice = "The captions have become truer: what you took away was wrong more often than not."
    else:
        advice = (
            f"CLIPScore does not notice: {changed} of {len(captions)} captions changed, but too "
            "little in each."
        )
    if false and not unseen:
        advice += " Enough is false already."
    return judge_goals(goals, mine, book, advice)


def judge_mix(
    weight: Number, tau: Callable[[float], Sequence[float]], names: Sequence[str]
) -> Verdict:
    """Judge the share of CIDEr in a mix: for each truth its tau must beat either metric alone."""
    weight = float(weight)
    if not 0 <= weight <= 1:
        return Verdict(False, f"A share lies between 0 and 1, yours is {weight:g}.")
    alone = [max(both) for both in zip(tau(0.0), tau(1.0), strict=True)]
    goals = [
        Goal(f"tau, {name}", above=best, places=3) for name, best in zip(names, alone, strict=True)
    ]
    if weight in (0, 1):
        advice = "That is one metric alone. Mix a little of the other into it."
    else:
        advice = (
            "One of the two loses by this mix: CIDEr's mistakes about detail come in as well. Take "
            "less of it."
        )
    return judge_goals(goals, tau(weight), tau(BOOK_WEIGHT), advice)
