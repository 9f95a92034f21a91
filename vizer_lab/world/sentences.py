"""Captions as people write them: each true, each leaving something out.

A phrase may contain size and colour at once ("a small red
apple"), a group may have attributes ("two big dogs"), a relation may stand in a longer list, and
the place may come first. Every claim that the exact parser reads from such a caption is true of the
scene: that is what `tests/lab/world/test_captions.py` checks on thousands of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from vizer_lab.world.lexicon import KIND_BY_NAME, PLACE_BY_NAME
from vizer_lab.world.settings import COLOUR_SHARE, COUNT_WORDS, PLACE_SHARE, SIZE_SHARE
from vizer_lab.world.wording import (
    SIZES_SAID,
    Draw,
    Group,
    category_phrase,
    choose_groups,
    groups_of,
    listed,
    noun_of,
    pick,
    relation_words,
    with_article,
)
from vizer_lab.world.world import Scene, SceneObject

VAGUE_SHARE, CATEGORY_SHARE, SCENE_SHARE, PLACE_FIRST_SHARE = 0.02, 0.05, 0.08, 0.07
RELATION_SHARE = 0.45  # of captions that name two groups or more
FULL_RELATION_SHARE, FULL_PLACE_SHARE, FULL_LOOK_SHARE = 0.85, 0.85, 0.3
NUMBER_SHARE = 0.85  # of groups of several; the others are "some" or "a few"
OPENINGS = ("a photo of ", "an image of ", "a view of ")


def noun_phrase(group: Group, draw: Draw, determiner: str | None = None) -> str:
    """Say a group: "a small red apple", "two dogs", "some big dogs".

    `determiner` ("my") replaces the article or the number. The draws are four however it is said.
    """
    kind = KIND_BY_NAME[group.name]
    by_size, by_colour, by_number = draw(), draw(), draw()
    many = len(group.members) > 1
    words = kind.plural if many else noun_of(group, draw)
    if kind.colour and by_colour < COLOUR_SHARE:
        words = f"{kind.colour} {words}"
    if group.size in SIZES_SAID and by_size < SIZE_SHARE:
        words = f"{pick(SIZES_SAID[group.size], draw)} {words}"
    if determiner:
        return f"{determiner} {words}"
    if not many:
        return with_article(words)
    vague = pick(("some", "a few"), draw)
    number = COUNT_WORDS[len(group.members)]
    return f"{number if by_number < NUMBER_SHARE else vague} {words}"


def related(
    named: Sequence[Group], phrases: Sequence[str], draw: Draw, *, whole: bool = True
) -> str | None:
    """Say how the first group stands to another one, then list the rest; None where none can be.

    The parser joins a relation to the noun before it and the noun after it, so the pair stands
    together and the others follow behind a comma. A `whole` sentence may have a verb.
    """
    for other in range(1, len(named)):
        words = relation_words(named[0], named[other], draw)
        if words is None:
            continue
        verb = ""
        if draw() < 0.2 and whole:
            verb = "are " if len(named[0].members) > 1 else "is "
        rest = [p for k, p in enumerate(phrases) if k not in (0, other)]
        tail = f" , with {listed(rest)}" if rest else ""
        return f"{phrases[0]} {verb}{words} {phrases[other]}{tail}"
    return None


def describing_sentence(scene: Scene, draw: Draw) -> str:
    """Write one caption in the describing style, its marks standing apart."""
    groups, place = groups_of(scene), PLACE_BY_NAME[scene.place]
    style = draw()
    where = pick(place.phrases, draw) if draw() < PLACE_SHARE else ""
    behind = f" {where}" if where else ""
    if style < VAGUE_SHARE:
        return f"a bunch of things {pick(place.phrases, draw)}"
    style -= VAGUE_SHARE
    if style < CATEGORY_SHARE:
        return f"{category_phrase(groups, draw, noun_phrase)}{behind}"
    named = choose_groups(groups, draw)
    phrases = [noun_phrase(g, draw) for g in named]
    style -= CATEGORY_SHARE
    if style < SCENE_SHARE:
        return f"{with_article(place.scene_noun)} with {listed(phrases)}"
    body = related(named, phrases, draw) if draw() < RELATION_SHARE else None
    if body is None:
        body = _plainly(named, phrases, draw)
    style -= SCENE_SHARE
    if where and style < PLACE_FIRST_SHARE:
        return f"{where} , {body}"
    return f"{body}{behind}"


def _plainly(named: Sequence[Group], phrases: Sequence[str], draw: Draw) -> str:
    """List the phrases, with an opening or without."""
    style = draw()
    if len(phrases) > 1 and style < 0.15:
        return f"{phrases[0]} with {listed(phrases[1:])}"
    if style < 0.30:
        return " , ".join(phrases)
    opening = ""
    if style > 0.85:
        opening = "there are " if len(named[0].members) > 1 else "there is "
    elif style > 0.70:
        opening = pick(OPENINGS, draw)
    return f"{opening}{listed(phrases)}"


def posting_sentence(scene: Scene, draw: Draw) -> str:
    """Write one caption as a personal post on the web, its marks standing apart."""
    groups, place = groups_of(scene), PLACE_BY_NAME[scene.place]
    style, where = draw(), ""
    if draw() < PLACE_SHARE:
        where = f" {pick(place.phrases, draw)}"
    named = choose_groups(groups, draw)
    if style < 0.05:
        return f"what a day {pick(place.phrases, draw)} !"
    if style < 0.25:
        verb = "are" if len(named[0].members) > 1 else "is"
        mine = [noun_phrase(g, draw, determiner=pick(("my", "our"), draw)) for g in named]
        return f"here {verb} {listed(mine)}{where}"
    phrases = [noun_phrase(g, draw) for g in named]
    if style < 0.40:
        return f"look , {listed(phrases)}{where} !"
    if style < 0.60:
        return f"{pick(place.phrases, draw)} we saw {listed(phrases)}"
    if style < 0.85:
        relation = related(named, phrases, draw, whole=False)
        if relation:
            return f"i spotted {relation}{where}"
    return f"nice shot of {listed(phrases)}{where}"


def full_sentence(scene: Scene, ordered: Sequence[SceneObject], draw: Draw) -> str:
    """Name every kind and its number in a given order of the objects, marks standing apart.

    Most often the first two kinds are set in relation and the place is said; now and then a size or
    a colour. Nothing is vague and no synonym is used: it is what a model that sees everything would
    say. (When the related pair varied and was in six captions of ten, a trained model's likeliest
    caption held a relation in three of a hundred.)
    """
    kinds = dict.fromkeys(o.name for o in ordered)
    groups = [Group(n, tuple(o for o in ordered if o.name == n)) for n in kinds]
    place = PLACE_BY_NAME[scene.place]
    where = f" {pick(place.phrases, draw)}" if draw() < FULL_PLACE_SHARE else ""
    phrases = [_full_phrase(group, draw) for group in groups]
    if len(groups) > 1 and draw() < FULL_RELATION_SHARE:
        words = relation_words(groups[0], groups[1], draw)
        if words:
            phrases[:2] = [f"{phrases[0]} {words} {phrases[1]}"]
    return listed(phrases) + where


def _full_phrase(group: Group, draw: Draw) -> str:
    """Say a group with its exact number, now and then with its size, its colour or both."""
    kind = KIND_BY_NAME[group.name]
    by_size, by_colour = draw(), draw()
    many = len(group.members) > 1
    words = kind.plural if many else kind.name
    if kind.colour and by_colour < FULL_LOOK_SHARE:
        words = f"{kind.colour} {words}"
    if group.size in SIZES_SAID and by_size < FULL_LOOK_SHARE:
        words = f"{group.size} {words}"
    return f"{COUNT_WORDS[len(group.members)]} {words}" if many else with_article(words)
