"""Chapter 16: a bar for a check, a query of image and text, statements judged on fresh scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from vizer_lab.exercises.goal import Goal, judge_goals
from vizer_lab.practice import Verdict

BARS = tuple(step / 8 for step in range(1, 9))  # shares of eight samples
RECALL_LEFT = 0.01  # below the book's
BOOK_TEXT = 1.5
FOUND, KEPT = 0.3, 0.4  # shares of images
CHANCE = 0.7  # an AUC on scenes that chose nothing

Precision = Callable[[float], float]
Find = Callable[[Sequence[int], Sequence[int]], list[str]]
Area = Callable[[Sequence[str], Sequence[int], Sequence[int]], Tensor]


def book_bar(precision_at: Precision, wanted: float) -> float:
    """Return the lowest bar, in eighths, that reaches a precision.

    >>> book_bar(lambda bar: 0.7 + bar / 5, 0.78)
    0.5
    """
    return next((bar for bar in BARS if precision_at(bar) >= wanted), 1.0)


def judge_bar_search(
    function: Callable[[Precision, float], float],
    exact_at: Callable[[float], tuple[float, float]],
    wanted: float,
) -> Verdict:
    """Judge a search for the lowest bar that reaches a precision; `exact_at` adds the recall."""

    def precision_at(bar: float) -> float:
        return exact_at(bar)[0]

    mine, book = function(precision_at, wanted), book_bar(precision_at, wanted)
    if not isinstance(mine, float | int):
        return Verdict(False, "Your function gives no bar back: is its `return` missing?")
    if not 0 < mine <= 1:
        return Verdict(False, f"A bar is a share of the eight samples, 0 to 1: yours is {mine:g}.")
    recall = exact_at(book)[1]
    goals = [
        Goal("precision", above=wanted - 1e-9, places=3),
        Goal("recall", above=recall - RECALL_LEFT, places=3),
    ]
    found = exact_at(mine)
    if not goals[0].met(found[0]):
        advice = f"At {mine:g} too much is let through: go on to a higher bar."
    else:
        advice = f"At {mine:g} the precision is there, and a lower bar has it too and keeps more."
    return judge_goals(goals, found, exact_at(book), advice)


def book_query(image: Tensor, text: Tensor) -> Tensor:
    """Return what to look for: features of images [n, d] and of texts [n, d] -> [n, d]."""
    return image + BOOK_TEXT * text


def judge_query(
    query: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    texts: Tensor,
    nearest: Callable[[Tensor], tuple[float, float]],
) -> Verdict:
    """Judge a query of an image and a text, [n, d] each, by the nearest other image.

    `nearest` gives the shares in which it has the thing of the text, and the place of the image.
    """
    mine = query(images, texts)
    if not isinstance(mine, Tensor) or mine.shape != images.shape:
        got = [*mine.shape] if isinstance(mine, Tensor) else type(mine).__name__
        return Verdict(False, f"Wanted one query per image, {[*images.shape]}, got {got}.")
    goals = [Goal("thing found", above=FOUND), Goal("place kept", above=KEPT)]
    found, kept = nearest(mine)
    thing, place = goals[0].met(found), goals[1].met(kept)
    if place:
        advice = "The place is kept and the thing is mostly not there: let the text count for more."
    elif thing:
        advice = "The thing is found and the first image forgotten: let the image count for more."
    else:
        advice = (
            "Neither the thing nor the place: the nearest image has to be near to both features. "
            "What becomes of the cosines if you add them?"
        )
    return judge_goals(goals, [found, kept], nearest(book_query(images, texts)), advice)


def book_fresh_areas(find: Find, area: Area, many: Sequence[int], few: Sequence[int]) -> Tensor:
    """Return areas of statements on scenes that did not choose them."""
    return area(find(many[::2], few[::2]), many[1::2], few[1::2])


def judge_fresh_areas(
    function: Callable[[Find, Area, Sequence[int], Sequence[int]], Tensor],
    find: Find,
    area: Area,
    many: Sequence[int],
    few: Sequence[int],
) -> Verdict:
    """Judge an AUC on fresh scenes: those that choose statements must not score them."""
    chose: list[set[int]] = []
    scored: list[set[int]] = []

    def watched_find(first: Sequence[int], second: Sequence[int]) -> list[str]:
        chose.append({*first, *second})
        return find(first, second)

    def watched_area(said: Sequence[str], first: Sequence[int], second: Sequence[int]) -> Tensor:
        scored.append({*first, *second})
        if not set(first) <= set(many) or not set(second) <= set(few):
            scored.append(set())
        return area(said, first, second)

    found = function(watched_find, watched_area, many, few)
    if not isinstance(found, Tensor) or not scored or not chose:
        return Verdict(False, "Wanted the areas back: call `find`, then `area` with what it found.")
    if not all(scored):
        return Verdict(False, "`area` wants scenes with many things first, then scenes with few.")
    shared = len(set.union(*chose) & set.union(*scored))
    goal = Goal("mean AUC", below=CHANCE)
    mine, book = (float(some.mean()) for some in (found, book_fresh_areas(find, area, many, few)))
    told = judge_goals([goal], [mine], [book])
    if shared:
        says = f"{shared} scenes chose the statements and score them too. Split each set in two."
        return Verdict(False, says + "\n" + "\n".join(told.says.split("\n")[1:]))
    return told
