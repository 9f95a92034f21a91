"""The editions of the drawn world: how large a scene is, what it holds, how people write of it.

The second edition is to replace the first. Until every model and every study has been made anew,
both are here side by side: an edition is a table of sizes and shares, and the code that draws and
writes reads them, so there is one world and not two. A split knows its edition by its name.

======  ========================================================================================
first   56 px, one to four objects; marks stand apart ("a dog , a cat and a tree")
second  112 px, one to six objects; plain punctuation ("a dog, a cat and a tree"), and captions
        that more often say how many, how large, of what colour, and where to each other
======  ========================================================================================

At 112 px a patch of 14 px makes the same grid of 8 x 8 as 7 px do at 56, so a model costs what it
did; a drawing has four times the pixels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARK = re.compile(r" ([,.!?:])")


@dataclass(frozen=True)
class Edition:
    """The numbers of one edition. Widths are fractions of the image's side.

    `size_levels[n - 1]` says how many of the `sizes`, from the smallest, a scene of n objects may
    start from. `named_shares[n - 1]` are the shares of captions that name 1, 2, ... of n kinds.
    """

    name: str
    prefix: str  # of the names of its splits and worlds
    image_size: int
    sizes: tuple[float, ...]
    small_below: float
    big_from: float
    count_shares: tuple[float, ...]  # of scenes with 1, 2, ... objects
    size_levels: tuple[int, ...]
    repeat_share: float  # of objects that repeat the kind before them
    numbers: tuple[str, ...]  # the words for 1, 2, ...
    named_shares: tuple[tuple[float, ...], ...]
    place_share: float
    synonym_share: float
    size_share: float
    colour_share: float
    next_to_within: float  # farther apart sideways, nobody says "next to"
    plain_marks: bool

    @property
    def most_objects(self) -> int:
        """Objects of the fullest scene."""
        return len(self.count_shares)

    @property
    def count_words(self) -> dict[int, str]:
        """The word for each number of objects from two on.

        >>> SECOND.count_words[6]
        'six'
        """
        return dict(enumerate(self.numbers[1:], start=2))

    def written(self, text: str) -> str:
        """Set the marks of a text, given with spaces around them, as the edition writes them.

        >>> SECOND.written("a dog , a cat"), FIRST.written("a dog , a cat")
        ('a dog, a cat', 'a dog , a cat')
        """
        return _MARK.sub(r"\1", text) if self.plain_marks else text


FIRST = Edition(
    name="first",
    prefix="",
    image_size=56,
    sizes=tuple(pixels / 56 for pixels in (16, 19, 22, 26, 30, 34)),
    small_below=19.5 / 56,
    big_from=29.5 / 56,
    count_shares=(0.20, 0.35, 0.30, 0.15),
    size_levels=(6, 6, 5, 5),
    repeat_share=0.15,
    numbers=("one", "two", "three", "four"),
    named_shares=((1.0,), (0.4, 0.6), (0.25, 0.4, 0.35), (0.2, 0.3, 0.3, 0.2)),
    place_share=0.5,
    synonym_share=0.15,
    size_share=0.2,
    colour_share=0.12,
    next_to_within=1.0,
    plain_marks=False,
)
SECOND = Edition(
    name="second",
    prefix="second_",
    image_size=112,
    sizes=tuple(pixels / 112 for pixels in (25, 29, 34, 40, 48, 58)),
    small_below=31.5 / 112,
    big_from=44 / 112,
    count_shares=(0.12, 0.20, 0.22, 0.20, 0.14, 0.12),
    size_levels=(6, 6, 5, 5, 4, 4),
    repeat_share=0.22,
    numbers=("one", "two", "three", "four", "five", "six"),
    named_shares=(
        (1.0,),
        (0.2, 0.8),
        (0.1, 0.3, 0.6),
        (0.07, 0.18, 0.35, 0.4),
        (0.05, 0.15, 0.3, 0.3, 0.2),
        (0.05, 0.1, 0.25, 0.3, 0.2, 0.1),
    ),
    place_share=0.7,
    synonym_share=0.1,
    size_share=0.35,
    colour_share=0.3,
    next_to_within=0.45,
    plain_marks=True,
)
EDITIONS: dict[str, Edition] = {edition.name: edition for edition in (FIRST, SECOND)}


def edition_of(split: str) -> Edition:
    """Return the edition that a split, or a world, belongs to by its name.

    >>> edition_of("second_away_test").name, edition_of("other_train").name
    ('second', 'first')
    """
    return SECOND if split.startswith("second") else FIRST


def bare(split: str) -> str:
    """Return a split's name without its edition.

    >>> bare("second_away_test"), bare("test")
    ('away_test', 'test')
    """
    return split.removeprefix(SECOND.prefix)
