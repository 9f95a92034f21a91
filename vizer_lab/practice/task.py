"""What a *write it yourself* is made of: cases, the right function, and known mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

LEAST_CASES, LEAST_MISTAKES = 2, 2


@dataclass(frozen=True, eq=False)
class Case:
    """What a function is called with, and how to speak of it ("4 pairs at scale 10")."""

    says: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Task:
    """A function for the reader to write.

    `answer` takes the same arguments as the reader's function and returns what is right, by the
    package's own code; `at_home` names that code, for the reader who is done, if there is one name
    for it. Each of `mistakes` is a function that is wrong as readers' functions are; its docstring
    is what they are told. If `learns` is true, gradients must flow back to the first argument.

    Each mistake must differ from the answer, and from every other mistake, on some case:
    `tests/lab/practice` holds every task to that.
    """

    answer: Callable[..., Any]
    cases: Callable[[], Sequence[Case]]
    mistakes: Sequence[Callable[..., Any]]
    at_home: str = ""
    learns: bool = False
    tolerance: float = 1e-4
