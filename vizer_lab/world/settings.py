"""The numbers of the drawn world: how large a scene is, what it contains, how people write of it.

A scene is 112 px wide and contains one to six objects. In patches of 14 px that is a grid of 8 x 8.
Captions have plain punctuation ("a dog, a cat and a tree"), and most of them say how many there
are, how large, of what colour, or where they stand to each other.

Widths are fractions of the image's side. `SIZE_LEVELS[n - 1]` says how many of the `SIZES`, from
the smallest, a scene of n objects may start from. `NAMED_SHARES[n - 1]` are the shares of captions
that name 1, 2, ... of n kinds.
"""

from __future__ import annotations

import re

# Every scene, every weight and every stored result was made from splits and worlds of this name:
# a smaller world came before this one, and its splits had the plain names.
PREFIX = "second_"

IMAGE_SIZE = 112
SIZES = tuple(pixels / IMAGE_SIZE for pixels in (25, 29, 34, 40, 48, 58))
SMALL_BELOW, BIG_FROM = 31.5 / IMAGE_SIZE, 44 / IMAGE_SIZE
COUNT_SHARES = (0.12, 0.20, 0.22, 0.20, 0.14, 0.12)  # of scenes with 1, 2, ... objects
MOST_OBJECTS = len(COUNT_SHARES)
SIZE_LEVELS = (6, 6, 5, 5, 4, 4)
REPEAT_SHARE = 0.22  # of objects that repeat the kind before them

NUMBERS_SAID = ("one", "two", "three", "four", "five", "six")
COUNT_WORDS: dict[int, str] = dict(enumerate(NUMBERS_SAID[1:], start=2))
NAMED_SHARES = (
    (1.0,),
    (0.2, 0.8),
    (0.1, 0.3, 0.6),
    (0.07, 0.18, 0.35, 0.4),
    (0.05, 0.15, 0.3, 0.3, 0.2),
    (0.05, 0.1, 0.25, 0.3, 0.2, 0.1),
)
PLACE_SHARE, SYNONYM_SHARE, SIZE_SHARE, COLOUR_SHARE = 0.7, 0.1, 0.35, 0.3
NEXT_TO_WITHIN = 0.45  # farther apart sideways, nobody says "next to"

_MARK = re.compile(r" ([,.!?:])")


def plain_marks(text: str) -> str:
    """Set the marks of a text, given with spaces around them, as people write them.

    >>> plain_marks("a dog , a cat")
    'a dog, a cat'
    """
    return _MARK.sub(r"\1", text)


def part_of(split: str) -> str:
    """Return a split's name without what all splits begin with.

    >>> part_of("second_away_test")
    'away_test'
    """
    return split.removeprefix(PREFIX)
