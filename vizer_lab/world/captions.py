"""Five captions a scene, each true, each leaving something out, as five people would write.

Every annotator names some of the objects (large ones first, mostly), says the place about half of
the time, and now and then counts, compares sizes, names a colour, tells where things are, hides
the kinds behind a category word, or is vague. Two styles exist: `home` (COCO-like description)
and `away` (a personal web post), so that a corpus can come from another domain than the images.
"""

from __future__ import annotations

from vizer_lab.world.editions import FIRST, bare
from vizer_lab.world.lexicon import COUNT_WORDS, KIND_BY_NAME, PLACE_BY_NAME
from vizer_lab.world.sentences import describing_sentence, posting_sentence
from vizer_lab.world.wording import (
    SIZES_SAID,
    SURFACES,
    Draw,
    Group,
    caption_stream,
    category_phrase,
    choose_groups,
    groups_of,
    listed,
    noun_of,
    pick,
    relation_words,
    with_article,
)
from vizer_lab.world.world import Scene

__all__ = ["SURFACES", "another_home_caption", "away_captions", "captions_of", "home_captions"]

CAPTIONS_PER_SCENE = 5
PLACE_SHARE, SIZE_SHARE, COLOUR_SHARE = FIRST.place_share, FIRST.size_share, FIRST.colour_share


def _noun_phrase(group: Group, draw: Draw, determiner: str | None = None) -> str:
    """Say a group: "a small dog", "two dogs", "some dogs"; `determiner` replaces the article."""
    kind = KIND_BY_NAME[group.name]
    if len(group.members) > 1:
        number = COUNT_WORDS[len(group.members)] if draw() < 0.75 else pick(("some", "a few"), draw)
        return f"{determiner} {kind.plural}" if determiner else f"{number} {kind.plural}"
    size = group.members[0].size
    words = noun_of(group, draw)
    chance = draw()
    if size != "medium" and chance < SIZE_SHARE:
        words = f"{pick(SIZES_SAID[size], draw)} {words}"
    elif kind.colour and chance > 1 - COLOUR_SHARE:
        words = f"{kind.colour} {words}"
    return f"{determiner} {words}" if determiner else with_article(words)


def _home_caption(scene: Scene, draw: Draw) -> str:
    groups, place = groups_of(scene), PLACE_BY_NAME[scene.place]
    style, where = draw(), f" {pick(place.phrases, draw)}" if draw() < PLACE_SHARE else ""
    if style < 0.03:
        return f"a bunch of things {pick(place.phrases, draw)}"
    if style < 0.10:
        return f"{category_phrase(groups, draw, _noun_phrase)}{where}"
    named = choose_groups(groups, scene, draw)
    if style < 0.17:
        phrases = [_noun_phrase(g, draw) for g in named]
        return f"{with_article(place.scene_noun)} with {listed(phrases)}"
    phrases = [_noun_phrase(g, draw) for g in named]
    if len(named) == 2 and style < 0.55:
        relation = relation_words(*named, draw)
        if relation:
            return f"{phrases[0]} {relation} {phrases[1]}{where}"
    if len(named) == 2 and style < 0.65:
        return f"{phrases[0]} with {phrases[1]}{where}"
    opening = ""
    if style > 0.85:
        opening = "there are " if len(named[0].members) > 1 else "there is "
    elif style > 0.75:
        opening = pick(("a photo of ", "a picture of ", "a view of "), draw)
    return f"{opening}{listed(phrases)}{where}"


def _away_caption(scene: Scene, draw: Draw) -> str:
    groups, place = groups_of(scene), PLACE_BY_NAME[scene.place]
    style, where = draw(), f" {pick(place.phrases, draw)}" if draw() < PLACE_SHARE else ""
    named = choose_groups(groups, scene, draw)
    if style < 0.05:
        return f"what a day {pick(place.phrases, draw)}"
    if style < 0.25:
        verb = "are" if len(named[0].members) > 1 else "is"
        mine = [_noun_phrase(g, draw, determiner=pick(("my", "our"), draw)) for g in named]
        return f"here {verb} {listed(mine)}{where}"
    phrases = [_noun_phrase(g, draw) for g in named]
    if style < 0.45:
        return f"look , {listed(phrases)}{where} !"
    if style < 0.65:
        return f"{pick(place.phrases, draw)} we saw {listed(phrases)}"
    if len(named) == 2 and style < 0.85:
        relation = relation_words(*named, draw)
        if relation:
            return f"i spotted {phrases[0]} {relation} {phrases[1]}{where}"
    return f"nice shot of {listed(phrases)}{where}"


def _describe(scene: Scene, which: int) -> str:
    draw, edition = caption_stream(scene, which).__next__, scene.edition
    write = _home_caption if edition is FIRST else describing_sentence
    return edition.written(write(scene, draw))


def home_captions(scene: Scene) -> tuple[str, ...]:
    """Write the scene's five captions in the describing style.

    >>> from vizer_lab.world.world import make_scene
    >>> len(home_captions(make_scene("test", 0)))
    5
    """
    return tuple(_describe(scene, k) for k in range(CAPTIONS_PER_SCENE))


def another_home_caption(scene: Scene, which: int = 0) -> str:
    """Write what one more person would, in the same way as the five but on words of its own.

    >>> from vizer_lab.world.world import make_scene
    >>> another_home_caption(make_scene("test", 3))
    'a teddy bear'
    """
    if not 0 <= which < CAPTIONS_PER_SCENE:
        raise ValueError(f"which={which}: wanted 0 to {CAPTIONS_PER_SCENE - 1}")
    return _describe(scene, CAPTIONS_PER_SCENE + which)


def away_captions(scene: Scene) -> tuple[str, ...]:
    """Write the scene's five captions in the other domain's style."""
    write = _away_caption if scene.edition is FIRST else posting_sentence
    return tuple(
        scene.edition.written(write(scene, caption_stream(scene, 10 + k).__next__))
        for k in range(CAPTIONS_PER_SCENE)
    )


def captions_of(scene: Scene) -> tuple[str, ...]:
    """Write the five captions in the style of the scene's own split."""
    away = bare(scene.split).startswith("away")
    return away_captions(scene) if away else home_captions(scene)
