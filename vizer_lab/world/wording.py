"""What all caption writers share: groups of one kind, which of them to name, and how to say one.

A writer draws its choices from one stream of numbers, so the order in which it draws is part of
what it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vizer_core.metrics.grounding import relation_holds
from vizer_lab.world.lexicon import CATEGORY_WORDS, KIND_BY_NAME
from vizer_lab.world.settings import NAMED_SHARES, NEXT_TO_WITHIN, SYNONYM_SHARE
from vizer_lab.world.world import Scene, SceneObject, scene_rng

SIDES = ("left of", "right of", "above", "below")
SURFACES = {
    "left of": ("to the left of", "left of"),
    "right of": ("to the right of", "right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "next to": ("next to", "beside"),
}
SIZES_SAID = {"small": ("small", "little"), "big": ("big", "large")}

Draw = Callable[[], float]
Option = TypeVar("Option")


@dataclass(frozen=True)
class Group:
    """All objects of one kind in a scene."""

    name: str
    members: tuple[SceneObject, ...]

    @property
    def weight(self) -> float:
        """How much of the image the group takes: what decides who is named."""
        return sum(o.w**2 for o in self.members)

    @property
    def size(self) -> str | None:
        """The size of every member, where all have one."""
        sizes = {o.size for o in self.members}
        return sizes.pop() if len(sizes) == 1 else None


def groups_of(scene: Scene) -> list[Group]:
    """Gather a scene's objects by kind, in the order in which they were drawn."""
    names = dict.fromkeys(o.name for o in scene.objects)
    return [Group(n, tuple(o for o in scene.objects if o.name == n)) for n in names]


def pick(options: Sequence[Option], draw: Draw) -> Option:
    """Choose one of some options."""
    return options[int(draw() * len(options))]


def with_article(words: str) -> str:
    """Put the indefinite article before some words.

    >>> with_article("owl")
    'an owl'
    """
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def noun_of(group: Group, draw: Draw) -> str:
    """Name one object of a group, now and then by a synonym."""
    kind = KIND_BY_NAME[group.name]
    if kind.synonyms and draw() < SYNONYM_SHARE:
        return pick(kind.synonyms, draw)
    return kind.name


def choose_groups(groups: Sequence[Group], draw: Draw) -> list[Group]:
    """Choose which groups to name: how many by `NAMED_SHARES`, which by drawn area."""
    roll, count = draw(), 1
    for share in NAMED_SHARES[len(groups) - 1]:
        roll -= share
        if roll < 0:
            break
        count += 1
    left, chosen = list(groups), []
    for _ in range(min(count, len(groups))):
        mark = draw() * sum(g.weight for g in left)
        for group in left:
            mark -= group.weight
            if mark < 0:
                break
        chosen.append(group)
        left.remove(group)
    return chosen


def relation_words(first: Group, second: Group, draw: Draw) -> str | None:
    """Return words for a relation that holds between two groups, or None."""
    pairs = [(a, b) for a in first.members for b in second.members]
    near = all(abs(a.x - b.x) <= NEXT_TO_WITHIN for a, b in pairs)
    for name in (pick(SIDES, draw), *SIDES):
        if all(relation_holds(a, b, name) for a, b in pairs):  # no exception to argue about
            beside = name in ("left of", "right of") and draw() < 0.3 and near
            return pick(SURFACES["next to" if beside else name], draw)
    return None


def listed(phrases: Sequence[str], last: str = "and") -> str:
    """Join phrases as a list, with marks standing apart.

    >>> listed(["a dog", "a cat", "an owl"])
    'a dog , a cat and an owl'
    """
    if len(phrases) < 3:
        return f" {last} ".join(phrases)
    return " , ".join(phrases[:-1]) + f" {last} {phrases[-1]}"


def category_phrase(
    groups: Sequence[Group], draw: Draw, noun_phrase: Callable[[Group, Draw], str]
) -> str:
    """Hide objects of one category behind its word: "some animals and a car"."""
    by_category: dict[str, int] = {}
    for group in groups:
        category = KIND_BY_NAME[group.name].category
        by_category[category] = by_category.get(category, 0) + len(group.members)
    category, count = max(by_category.items(), key=lambda item: item[1])
    singular, plural = CATEGORY_WORDS[category]
    words = with_article(singular) if count == 1 else f"some {plural}"
    others = [g for g in groups if KIND_BY_NAME[g.name].category != category]
    return listed([words, *(noun_phrase(g, draw) for g in others[:1])])


def caption_stream(scene: Scene, which: int) -> Iterator[float]:
    """Return the numbers that caption `which` of a scene is drawn from."""
    return iter(scene_rng(scene.split, scene.index, purpose=1 + which).random(128).tolist())
