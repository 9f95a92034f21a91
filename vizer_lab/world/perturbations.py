"""Controlled edits of true captions: each makes one known fault, or a change that is no fault.

A metric is tested by what it does when a caption changes in a known way (CLIPScore section 4 and
CHAIR section 4 do it with objects only). The truth of every edit is checked by the exact parser.

==================  ============================================================================
content, wrong      object_swapped (same category, or another), object_added, wrong_count,
                    wrong_attribute, wrong_relation, wrong_background
content, less       object_dropped
content, more       more_true_detail: all that the scene contains, more than any reference says
no fault            reworded, reordered, paraphrase (both), style_change
form                shuffled_words, keyword_list, repetition, truncated, generic: need no scene
==================  ============================================================================

An edit that a caption offers no place for (no relation in it, say) returns None.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vizer_core.metrics.grounding import (
    RELATIONS,
    GroundingCounts,
    check_caption,
    parse_caption,
    relation_holds,
)
from vizer_lab.world.captions import SURFACES, captions_of
from vizer_lab.world.lexicon import (
    COLOURS,
    KIND_BY_NAME,
    OBJECTS,
    PLACE_BY_NAME,
)
from vizer_lab.world.phrases import (
    NounPhrase,
    Phrases,
    read_phrases,
    shared_lexicon,
)
from vizer_lab.world.settings import COUNT_WORDS
from vizer_lab.world.wording import listed
from vizer_lab.world.world import Scene, SceneObject, places_of

SceneEdit = Callable[[str, Scene, np.random.Generator], str | None]


def _one_of(options, rng: np.random.Generator):
    return options[int(rng.integers(len(options)))]


def _there(phrase: NounPhrase, scene: Scene) -> list[SceneObject]:
    return [thing for thing in scene.objects if thing.name in phrase.names]


def _plain(read: Phrases, scene: Scene) -> list[NounPhrase]:
    """Return the noun phrases that name a kind which is in the scene."""
    return [n for n in read.nouns if not n.is_category and _there(n, scene)]


def _absent_kinds(read: Phrases, scene: Scene) -> list:
    taken = {o.name for o in scene.objects} | {name for n in read.nouns for name in n.names}
    return [kind for kind in OBJECTS if kind.name not in taken]


def statements(caption: str, scene: Scene) -> GroundingCounts:
    """Count what a caption states of a scene, and how much of it is true."""
    return check_caption(parse_caption(caption, shared_lexicon()), scene.truth)


def _swap(caption: str, scene: Scene, rng: np.random.Generator, *, same: bool) -> str | None:
    read = read_phrases(caption)
    if not (options := _plain(read, scene)):
        return None
    phrase = _one_of(options, rng)
    category = KIND_BY_NAME[phrase.name].category
    absent = [k for k in _absent_kinds(read, scene) if (k.category == category) == same]
    if not absent:
        return None
    kind = _one_of(absent, rng)
    return read.changed({phrase.noun: kind.plural if phrase.plural else kind.name})


def object_swapped(caption: str, scene: Scene, rng: np.random.Generator) -> str | None:
    """Name an absent kind of the same category in place of one that is there."""
    return _swap(caption, scene, rng, same=True)


def object_swapped_far(caption: str, scene: Scene, rng: np.random.Generator) -> str | None:
    """Name an absent kind of another category in place of one that is there."""
    return _swap(caption, scene, rng, same=False)


def _continued(read: Phrases, phrases: list[str]) -> tuple[dict[int, str], str]:
    """Return what changes before the last noun, and what comes behind it, to name more things.

    "A and B" becomes "A, B and C"; "A above B", of which no third thing is a part, "A above B, with
    C".
    """
    before = read.nouns[-1].start - 1
    words = read.pieces[before].words if before >= 0 else ""
    if phrases and before >= 0 and read.pieces[before].kind == "relation":
        return {}, f" , with {listed(phrases)}"
    joint = {before: ","} if phrases and words == "and" else {}
    return joint, listed(["", *phrases]) if phrases else ""


def object_added(caption: str, scene: Scene, rng: np.random.Generator) -> str | None:
    """Name one object more, which is not there."""
    read = read_phrases(caption)
    if not read.nouns:
        return None
    kind, last = _one_of(_absent_kinds(read, scene), rng), read.nouns[-1]
    changes, tail = _continued(read, [f"a {kind.name}"])
    return read.changed(changes | {last.noun: f"{read.pieces[last.noun].words}{tail}"})


def object_dropped(caption: str, scene: Scene, rng: np.random.Generator) -> str | None:
    """Leave out the last object named, and what joins it to the others."""
    read = read_phrases(caption)
    if len(read.nouns) < 2:
        return None
    before, last = read.nouns[-2:]
    changes = dict.fromkeys(range(before.noun + 1, last.noun + 1), "")
    if before.start and read.pieces[before.start - 1].words == ",":
        changes[before.start - 1] = "and"
    return read.changed(changes)


def wrong_count(caption: str, scene: Scene, rng: np.random.Generator) -> str | None:
    """Say a number of some kind that is not its number in the scene."""
    read = read_phrases(caption)
    if not (options := _plain(read, scene)):
        return None
    phrase = _one_of(options, rng)
    true = len(_there(phrase, scene))
    word = _one_of([w for number, w in COUNT_WORDS.items() if number != true], rng)
    changes = dict.fromkeys(phrase.determiners, "")
    changes |= {phrase.start: word, phrase.noun: KIND_BY_NAME[phrase.name].plural}
    for beside in (phrase.start - 1, phrase.noun + 1):  # "there is", and "a dog is above"
        if 0 <= beside < len(read.pieces) and read.pieces[beside].words == "is":
            changes[beside] = "are"
    return read.changed(changes)


def wrong_attribute(caption: str, scene: Scene, rng: np.random.Generator) -> str | None:
    """Say a wrong size or colour: in place of a right one, else a wrong size where none stood."""
    read = read_phrases(caption)
    options = [n for n in _plain(read, scene) if not n.plural]
    if not options:
        return None
    phrase = next((n for n in options if n.size or n.colour), options[0])
    if phrase.colour is not None:
        true = KIND_BY_NAME[phrase.name].colour
        return read.changed({phrase.colour: _one_of([c for c in COLOURS if c != true], rng)})
    sizes = {thing.size for thing in _there(phrase, scene)}
    wrong = [word for word in ("small", "big") if word not in sizes]
    if not wrong:
        return None
    if phrase.size is not None:
        return read.changed({phrase.size: _one_of(wrong, rng)})
    return read.changed({phrase.noun: f"{_one_of(wrong, rng)} {read.pieces[phrase.noun].words}"})


def _false_relations(first: NounPhrase, second: NounPhrase, scene: Scene) -> list[str]:
    pairs = [(a, b) for a in _there(first, scene) for b in _there(second, scene) if a is not b]
    return [r for r in RELATIONS if pairs and not any(relation_holds(a, b, r) for a, b in pairs)]


def wrong_relation(caption: str, scene: Scene, rng: np.random.Generator) -> str | None:
    """Say of two objects how they do not stand: for a true relation, else for a plain "and"."""
    read = read_phrases(caption)
    for first, second in zip(read.nouns, read.nouns[1:]):
        joint = first.noun + 1
        joined = second.start == joint + 1 and (
            read.pieces[joint].kind == "relation"
            or (len(read.nouns) == 2 and read.pieces[joint].words in ("and", "with"))
        )
        if joined and (wrong := _false_relations(first, second, scene)):
            return read.changed({joint: SURFACES[_one_of(wrong, rng)][0]})
    return None


def wrong_background(caption: str, scene: Scene, rng: np.random.Generator) -> str | None:
    """Name another place of the same world in place of the scene's own."""
    read = read_phrases(caption)
    if not (found := read.find("background")):
        return None
    place = _one_of([p for p in places_of(scene.split) if p.name != scene.place], rng)
    was_noun = read.pieces[found[0]].words == PLACE_BY_NAME[scene.place].scene_noun
    return read.changed({found[0]: place.scene_noun if was_noun else _one_of(place.phrases, rng)})


def _attributes(things: list[SceneObject]) -> list[str]:
    """Say in words all that the parser can check of objects of one kind."""
    size = {thing.size for thing in things}
    words = [s for s in ("small", "big") if size == {s}]
    colour = KIND_BY_NAME[things[0].name].colour
    return [*words, colour] if colour else words


def _full_phrase(things: list[SceneObject]) -> str:
    kind, words = KIND_BY_NAME[things[0].name], _attributes(things)
    number = COUNT_WORDS[len(things)] if len(things) > 1 else "a"
    return " ".join([number, *words, kind.plural if len(things) > 1 else kind.name])


def _enriched(read: Phrases, scene: Scene) -> dict[int, str]:
    """Add size, colour and exact number to the noun phrases that lack them."""
    changes: dict[int, str] = {}
    for phrase in _plain(read, scene):
        things = _there(phrase, scene)
        said = {read.pieces[p].words for p in (phrase.size, phrase.colour) if p is not None}
        size_said = phrase.size is not None
        new = [
            w
            for w in _attributes(things)
            if w not in said and not (size_said and w in ("small", "big"))
        ]
        changes[phrase.noun] = " ".join([*new, read.pieces[phrase.noun].words])
        vague = {read.pieces[p].words for p in phrase.determiners} & {"some", "few"}
        if vague and len(things) > 1:
            changes |= dict.fromkeys(phrase.determiners, "")
            changes[phrase.start] = COUNT_WORDS[len(things)]
    return changes


def more_true_detail(caption: str, scene: Scene, rng: np.random.Generator) -> str | None:
    """Add everything true that the caption leaves out; None if that is no more than a reference.

    The caption's own words stay, in their order, but "some" becomes the number, and an "and" after
    which the list goes on a comma.
    """
    read = read_phrases(caption)
    if not read.nouns:
        return None
    changes = _enriched(read, scene)
    named = {name for n in read.nouns if not n.is_category for name in n.names}
    left = [name for name in dict.fromkeys(o.name for o in scene.objects) if name not in named]
    full = [_full_phrase([o for o in scene.objects if o.name == name]) for name in left]
    joint, tail = _continued(read, full)
    changes |= joint
    if not read.find("background"):
        tail += f" {_one_of(PLACE_BY_NAME[scene.place].phrases, rng)}"
    last = read.nouns[-1].noun
    changes[last] = changes.get(last, read.pieces[last].words) + tail
    longer = read.changed(changes)
    most = max(said(statements(c, scene)) for c in (caption, *captions_of(scene)))
    return longer if said(statements(longer, scene)) > most else None


def said(counts: GroundingCounts) -> int:
    """Return the number of statements made."""
    return sum(getattr(counts, f"{k}_said") for k in
               ("object", "attribute", "count", "relation", "background"))  # fmt: skip


SCENE_EDITS: dict[str, SceneEdit] = {
    "object_swapped": object_swapped,
    "object_swapped_far": object_swapped_far,
    "object_added": object_added,
    "object_dropped": object_dropped,
    "wrong_count": wrong_count,
    "wrong_attribute": wrong_attribute,
    "wrong_relation": wrong_relation,
    "wrong_background": wrong_background,
    "more_true_detail": more_true_detail,
}
