"""Five captions a scene, each true, each leaving something out, as five people would write.

Every annotator names some of the objects (large ones first, mostly), says the place about half of
the time, and now and then counts, compares sizes, names a colour, tells where things are, hides
the kinds behind a category word, or is vague. Two styles exist: `home` (COCO-like description)
and `away` (a personal web post), so that a corpus can come from another domain than the images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vizer_core.metrics.grounding import relation_holds
from vizer_lab.world.lexicon import (
    CATEGORY_WORDS,
    COUNT_WORDS,
    KIND_BY_NAME,
    PLACE_BY_NAME,
)
from vizer_lab.world.world import Scene, SceneObject, scene_rng

CAPTIONS_PER_SCENE = 5
PLACE_SHARE = 0.5
SYNONYM_SHARE = 0.15
SIZE_SHARE = 0.2
COLOUR_SHARE = 0.12
NAMED_SHARES = {1: (1.0,), 2: (0.4, 0.6), 3: (0.25, 0.4, 0.35), 4: (0.2, 0.3, 0.3, 0.2)}
SIDES = ("left of", "right of", "above", "below")
POSES = {
    "animal": ("standing", "resting"),
    "food": ("lying",),
    "vehicle": ("parked",),
    "toy": ("left behind",),
    "tool": ("left behind",),
    "clothing": ("lying",),
    "plant": ("growing",),
    "building": ("standing",),
}
POSE_SHARE = 0.3
SURFACES = {
    "left of": ("to the left of", "left of"),
    "right of": ("to the right of", "right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "next to": ("next to", "beside"),
}

Draw = Callable[[], float]


@dataclass(frozen=True)
class _Group:
    """All objects of one kind in a scene."""

    name: str
    members: tuple[SceneObject, ...]

    @property
    def weight(self) -> float:
        return sum(o.w**2 for o in self.members)


def _groups(scene: Scene) -> list[_Group]:
    names = dict.fromkeys(o.name for o in scene.objects)
    return [_Group(n, tuple(o for o in scene.objects if o.name == n)) for n in names]


def _pick(options, draw: Draw):
    return options[int(draw() * len(options))]


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _noun(group: _Group, draw: Draw) -> str:
    kind = KIND_BY_NAME[group.name]
    if kind.synonyms and draw() < SYNONYM_SHARE:
        return _pick(kind.synonyms, draw)
    return kind.name


def _noun_phrase(group: _Group, draw: Draw, determiner: str | None = None) -> str:
    """Say a group: "a small dog", "two dogs", "some dogs"; `determiner` replaces the article."""
    kind = KIND_BY_NAME[group.name]
    if len(group.members) > 1:
        number = (
            COUNT_WORDS[len(group.members)] if draw() < 0.75 else _pick(("some", "a few"), draw)
        )
        return f"{determiner} {kind.plural}" if determiner else f"{number} {kind.plural}"
    size = group.members[0].size
    words = _noun(group, draw)
    chance = draw()
    if size != "medium" and chance < SIZE_SHARE:
        words = (
            f"{_pick(('small', 'little') if size == 'small' else ('big', 'large'), draw)} {words}"
        )
    elif kind.colour and chance > 1 - COLOUR_SHARE:
        words = f"{kind.colour} {words}"
    return f"{determiner} {words}" if determiner else _article(words)


def _choose(groups: list[_Group], draw: Draw) -> list[_Group]:
    """Choose which groups to name: how many by `NAMED_SHARES`, which by drawn area."""
    roll, count = draw(), 1
    for share in NAMED_SHARES[len(groups)]:
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


def _relation(first: _Group, second: _Group, draw: Draw) -> str | None:
    """Return words for a relation that holds between two groups, or None."""
    for name in (_pick(SIDES, draw), *SIDES):
        pairs = ((a, b) for a in first.members for b in second.members)
        if all(relation_holds(a, b, name) for a, b in pairs):  # no exception to argue about
            name = "next to" if name in ("left of", "right of") and draw() < 0.3 else name
            return _pick(SURFACES[name], draw)
    return None


def _list(phrases: list[str]) -> str:
    if len(phrases) < 3:
        return " and ".join(phrases)
    return " , ".join(phrases[:-1]) + f" and {phrases[-1]}"


def _category_phrase(groups: list[_Group], draw: Draw) -> str | None:
    """Hide objects of one category behind its word: "some animals and a car"."""
    by_category: dict[str, int] = {}
    for group in groups:
        category = KIND_BY_NAME[group.name].category
        by_category[category] = by_category.get(category, 0) + len(group.members)
    category, count = max(by_category.items(), key=lambda item: item[1])
    singular, plural = CATEGORY_WORDS[category]
    words = _article(singular) if count == 1 else f"some {plural}"
    others = [g for g in groups if KIND_BY_NAME[g.name].category != category]
    return _list([words, *(_noun_phrase(g, draw) for g in others[:1])])


def _home_caption(scene: Scene, draw: Draw) -> str:
    groups, place = _groups(scene), PLACE_BY_NAME[scene.place]
    style, where = draw(), f" {_pick(place.phrases, draw)}" if draw() < PLACE_SHARE else ""
    if style < 0.03:
        return f"a bunch of things {_pick(place.phrases, draw)}"
    if style < 0.10:
        return f"{_category_phrase(groups, draw)}{where}"
    named = _choose(groups, draw)
    if style < 0.17:
        return f"{_article(place.scene_noun)} with {_list([_noun_phrase(g, draw) for g in named])}"
    phrases = [_noun_phrase(g, draw) for g in named]
    if len(named) == 2 and style < 0.55:
        relation = _relation(*named, draw)
        if relation:
            return f"{phrases[0]} {relation} {phrases[1]}{where}"
    if len(named) == 2 and style < 0.65:
        return f"{phrases[0]} with {phrases[1]}{where}"
    opening = ""
    if style > 0.85:
        opening = "there are " if len(named[0].members) > 1 else "there is "
    elif style > 0.75:
        opening = _pick(("a photo of ", "a picture of ", "a view of "), draw)
    return f"{opening}{_list(phrases)}{where}"


def _away_caption(scene: Scene, draw: Draw) -> str:
    groups, place = _groups(scene), PLACE_BY_NAME[scene.place]
    style, where = draw(), f" {_pick(place.phrases, draw)}" if draw() < PLACE_SHARE else ""
    named = _choose(groups, draw)
    if style < 0.05:
        return f"what a day {_pick(place.phrases, draw)}"
    if style < 0.25:
        verb = "are" if len(named[0].members) > 1 else "is"
        mine = [_noun_phrase(g, draw, determiner=_pick(("my", "our"), draw)) for g in named]
        return f"here {verb} {_list(mine)}{where}"
    phrases = [_noun_phrase(g, draw) for g in named]
    if style < 0.45:
        return f"look , {_list(phrases)}{where} !"
    if style < 0.65:
        return f"{_pick(place.phrases, draw)} we saw {_list(phrases)}"
    if len(named) == 2 and style < 0.85:
        relation = _relation(*named, draw)
        if relation:
            return f"i spotted {phrases[0]} {relation} {phrases[1]}{where}"
    return f"nice shot of {_list(phrases)}{where}"


def _stream(scene: Scene, which: int) -> Iterator[float]:
    return iter(scene_rng(scene.split, scene.index, purpose=1 + which).random(64).tolist())


def home_captions(scene: Scene) -> tuple[str, ...]:
    """Write the scene's five captions in the describing style.

    >>> from vizer_lab.world.world import make_scene
    >>> len(home_captions(make_scene("test", 0)))
    5
    """
    return tuple(
        _home_caption(scene, _stream(scene, k).__next__) for k in range(CAPTIONS_PER_SCENE)
    )


def another_home_caption(scene: Scene, which: int = 0) -> str:
    """Write what one more person would, in the same way as the five but on words of its own.

    >>> from vizer_lab.world.world import make_scene
    >>> another_home_caption(make_scene("test", 3))
    'a teddy bear'
    """
    if not 0 <= which < CAPTIONS_PER_SCENE:
        raise ValueError(f"which={which}: wanted 0 to {CAPTIONS_PER_SCENE - 1}")
    return _home_caption(scene, _stream(scene, CAPTIONS_PER_SCENE + which).__next__)


def away_captions(scene: Scene) -> tuple[str, ...]:
    """Write the scene's five captions in the other domain's style."""
    return tuple(
        _away_caption(scene, _stream(scene, 10 + k).__next__) for k in range(CAPTIONS_PER_SCENE)
    )


def captions_of(scene: Scene) -> tuple[str, ...]:
    """Write the five captions in the style of the scene's own split."""
    return away_captions(scene) if scene.split.startswith("away") else home_captions(scene)
