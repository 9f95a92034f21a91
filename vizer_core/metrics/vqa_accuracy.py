"""Accuracy of an answer against what ten people said (VQA, Antol et al. 2015; VQAv2's rules).

The soft accuracy of an answer that m of nine people gave is min(1, m / 3); it is averaged over
the ten ways to leave one person out. So m of ten people are worth 0, .3, .6, .9, 1, 1, ...

Both sides are first written alike, as https://visualqa.org/evaluation lays down: lower case, no
articles, number words as digits, apostrophes put into contractions, punctuation off except colons
and apostrophes, a period between digits kept. Where we differ: the contractions are the common ones
below, not the official program's whole list; and answers are rewritten always, where that program
leaves them as they are if all ten people agree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

_NUMBERS = "none zero one two three four five six seven eight nine ten".split()  # noqa: SIM905
_DIGITS = dict(zip(_NUMBERS, (0, *range(11)), strict=True))
_ARTICLES = frozenset(("a", "an", "the"))
_NOT = """are ca could did does do had has have is might must need should was were wo
    would""".split()  # noqa: SIM905
_HAVE = "could might must should would i you we they".split()  # noqa: SIM905
_OTHERS = {
    "im": "i'm",
    "youre": "you're",
    "theyre": "they're",
    "hes": "he's",
    "shes": "she's",
    "thats": "that's",
    "theres": "there's",
    "whats": "what's",
    "whos": "who's",
    "wheres": "where's",
    "hows": "how's",
    "youll": "you'll",
    "theyll": "they'll",
    "itll": "it'll",
    "oclock": "o'clock",
    "maam": "ma'am",
    "yall": "y'all",
}
_CONTRACTIONS = (
    {f"{word}nt": f"{word}n't" for word in _NOT}
    | {f"{word}ve": f"{word}'ve" for word in _HAVE}
    | _OTHERS
)
_BETWEEN_DIGITS = re.compile(r"(?<=\d),(?=\d)")
_PERIOD = re.compile(r"(?<!\d)\.|\.(?!\d)")
_MARKS = re.compile(r"[^\w\s':.]|_")


@lru_cache(maxsize=1 << 16)  # VQAv2 repeats few answers many times
def plain_answer(answer: str) -> str:
    """Write an answer in the form in which answers are compared.

    >>> plain_answer("The two dogs."), plain_answer("dont"), plain_answer("1,000 / 2.5")
    ('2 dogs', "don't", '1000 2.5')
    """
    text = _PERIOD.sub("", _BETWEEN_DIGITS.sub("", answer.lower()))
    words = _MARKS.sub(" ", text).split()
    kept = (str(_DIGITS.get(word, word)) for word in words if word not in _ARTICLES)
    return " ".join(_CONTRACTIONS.get(word, word) for word in kept)


def soft_accuracy(answer: str, answers: Sequence[str]) -> float:
    """Score an answer by how many people gave it, leaving each person out once.

    >>> soft_accuracy("two", ["2", "2", "3", "3", "3", "3", "3", "3", "3", "3"])
    0.6
    """
    if len(answers) < 2:
        raise ValueError(f"got {len(answers)} people's answers: wanted at least 2, VQAv2 has 10")
    given = [plain_answer(said) for said in answers]
    agree = Counter(given)[plain_answer(answer)]
    without_one_who_agrees = min(1.0, (agree - 1) / 3)
    without_another = min(1.0, agree / 3)
    total = agree * without_one_who_agrees + (len(given) - agree) * without_another
    return round(total / len(given), 10)


def any_accuracy(answer: str, answers: Sequence[str]) -> float:
    """Return 1 if anyone gave this answer, else 0.

    >>> any_accuracy("a dog", ["cat", "dog"])
    1.0
    """
    return float(plain_answer(answer) in {plain_answer(said) for said in answers})
