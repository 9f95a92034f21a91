"""A number to hit: the reader's beside what is wanted and what the book's own answer reaches."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor

from vizer_lab.practice import Task, Verdict, judge

Number: TypeAlias = float | int | Tensor  # as a reader may write one

Real: TypeAlias = float | int  # a count is a number to hit too

WIDTH = 76  # of a printed line


@dataclass(frozen=True)
class Goal:
    """What a number is called, and between which limits it is wanted (both left out of the range).

    >>> Goal("R@1", above=0.5).wanted, Goal("gap", below=0.1, places=1).wanted
    ('above 0.50', 'below 0.1')
    >>> Goal("share", above=0.6, below=0.9, places=1).met(0.9)
    False
    """

    name: str
    above: Real | None = None
    below: Real | None = None
    places: int = 2

    def __post_init__(self) -> None:
        if self.above is None and self.below is None:
            raise ValueError(f"{self.name}: wanted a limit, above or below")

    def met(self, value: Real) -> bool:
        """Whether a value lies within the limits; a NaN does not."""
        over = self.above is None or value > self.above
        return bool(over and (self.below is None or value < self.below))

    @property
    def wanted(self) -> str:
        """The limits in words."""
        low, high = (
            "" if limit is None else f"{limit:.{self.places}f}"
            for limit in (self.above, self.below)
        )
        if low and high:
            return f"{low} to {high}"
        return f"above {low}" if low else f"below {high}"

    def row(self, mine: Real, book: Real) -> tuple[str, str, str, str]:
        """Return what stands in the table: name, the reader's number, the goal, the book's."""
        return self.name, f"{mine:.{self.places}f}", self.wanted, f"{book:.{self.places}f}"


def judge_goals(
    goals: Sequence[Goal], mine: Sequence[Real], book: Sequence[Real], advice: str = ""
) -> Verdict:
    """Compare the reader's numbers with the goals; `advice` is said if one of them is missed.

    >>> print(judge_goals([Goal("R@1", above=0.5)], [0.4], [0.62], "Look at the order.").says)
    Look at the order.
           yours  wanted      the book's
      R@1   0.40  above 0.50        0.62
    """
    right = all(goal.met(value) for goal, value in zip(goals, mine, strict=True))
    rows = [("", "yours", "wanted", "the book's")]
    rows += [goal.row(*both) for goal, *both in zip(goals, mine, book, strict=True)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        f"  {name:<{widths[0]}}  {value:>{widths[1]}}  {wanted:<{widths[2]}}  {ours:>{widths[3]}}"
        for name, value, wanted, ours in rows
    ]
    says = "all that was wanted." if right else advice
    return Verdict(right, "\n".join([says, *lines]))


def tell(verdict: Verdict) -> None:
    """Print a verdict.

    >>> tell(Verdict(False, "The sign is wrong."))
    not yet: The sign is wrong.
    """
    first, *table = verdict.says.split("\n  ")
    start = "passed" if verdict.right else "not yet"
    print("\n  ".join([textwrap.fill(f"{start}: {first}", WIDTH), *table]))


def judge_number(
    mine: Number, wanted: Real, mistakes: Sequence[tuple[Real, str]], *, within: float = 0.01
) -> Verdict:
    """Compare a number with the one that is right, then with those that readers arrive at instead.

    >>> judge_number(0.5, 0.25, [(0.5, "You forgot to square it.")]).says
    'You forgot to square it. Yours is 0.500, wanted 0.250.'
    """
    both = f"Yours is {float(mine):.3f}, wanted {wanted:.3f}."
    if abs(float(mine) - wanted) < within:
        return Verdict(True, both)
    known = [says for value, says in mistakes if abs(float(mine) - value) < within]
    return Verdict(False, " ".join([*known[:1], both]))


def judge_written(function: Callable[..., Any], task: Task) -> Verdict:
    """Compare a function with the right one on a task's cases, then with the known mistakes.

    >>> from vizer_lab.practice import Case
    >>> task = Task(answer=abs, cases=lambda: [Case("-2", (-2,)), Case("3", (3,))], mistakes=())
    >>> judge_written(lambda number: number, task).says
    'your function is not right yet. With -2: wanted 2.0000, got -2.0000.'
    """
    verdict = judge(function, task)
    return Verdict(verdict.right, f"your function {verdict.says}")
