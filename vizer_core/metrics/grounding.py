"""Exact grounding: read what a caption states about a scene and check it against the scene.

On real photographs nobody knows every true sentence, so hallucination metrics work from lists
(CHAIR, Rohrbach et al. 2018, section 3: share of mentioned objects that are absent). A made scene
knows its objects, counts, attributes, positions and background, so each statement of a caption is
simply true or false.

===============  ==============================================================
object           precision = true mentions / mentions (1 - CHAIR_i over distinct names);
                 recall = scene objects named / scene objects
attribute        a colour or size said of a noun: some object of that name has it
count            a number word is exact; a bare plural means at least two; "a" and "an" state
                 no count ("a dog" is true of a scene with two dogs)
relation         some pair of the two names stands in it (`relation_holds`)
background       the phrase names the scene's background
===============  ==============================================================

A statement about an object that is not in the scene is false. A category word ("an animal") is a
true mention when any of its members is there, but names no object, so it never adds recall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

from vizer_core.metrics.caption_parser import (
    RELATIONS,
    Lexicon,
    Mention,
    ParsedCaption,
    RelationClaim,
    parse_caption,
)

__all__ = [
    "RATES",
    "RELATIONS",
    "RELATION_MARGIN",
    "GroundingCounts",
    "Lexicon",
    "Mention",
    "ObjectTruth",
    "ParsedCaption",
    "Placed",
    "RelationClaim",
    "SceneTruth",
    "check_caption",
    "ground_captions",
    "grounding_rates",
    "parse_caption",
    "relation_holds",
]

RELATION_MARGIN = 0.15  # centres must differ by more than this share of the image's side


@runtime_checkable
class Placed(Protocol):
    """Anything with a centre: a drawn object, or its truth."""

    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...


@dataclass(frozen=True)
class ObjectTruth:
    """One object of a scene; `x`, `y` is its centre in 0..1, y growing downward, `w` its width."""

    name: str
    category: str
    colour: str | None
    size: str
    x: float
    y: float
    w: float


@dataclass(frozen=True)
class SceneTruth:
    """All that is true of a scene."""

    objects: tuple[ObjectTruth, ...]
    background: str


@dataclass(frozen=True)
class GroundingCounts:
    """Statements made and statements true, by kind: the sufficient statistics of every rate."""

    object_true: int = 0
    object_said: int = 0
    object_found: int = 0
    object_there: int = 0
    attribute_true: int = 0
    attribute_said: int = 0
    count_true: int = 0
    count_said: int = 0
    relation_true: int = 0
    relation_said: int = 0
    background_true: int = 0
    background_said: int = 0

    def __add__(self, other: GroundingCounts) -> GroundingCounts:
        return GroundingCounts(
            *(getattr(self, f.name) + getattr(other, f.name) for f in fields(self))
        )


RATES = {
    "object_precision": ("object_true", "object_said"),
    "object_recall": ("object_found", "object_there"),
    "attribute_accuracy": ("attribute_true", "attribute_said"),
    "count_accuracy": ("count_true", "count_said"),
    "relation_accuracy": ("relation_true", "relation_said"),
    "background_accuracy": ("background_true", "background_said"),
}


def relation_holds(a: Placed, b: Placed, relation: str) -> bool:
    """Say whether `a` stands in `relation` to `b`, by their centres.

    The larger of |dx| and |dy| is the dominant axis (|dx| on a tie). A side needs the dominant
    axis and more than `RELATION_MARGIN`; "next to" only needs the horizontal one.

    >>> cat = ObjectTruth("cat", "animal", None, "small", 0.2, 0.5, 0.1)
    >>> dog = ObjectTruth("dog", "animal", None, "small", 0.7, 0.4, 0.1)
    >>> [r for r in RELATIONS if relation_holds(cat, dog, r)]
    ['left of', 'next to']
    """
    dx, dy = a.x - b.x, a.y - b.y
    horizontal = abs(dx) >= abs(dy)
    rules: dict[str, Callable[[], bool]] = {
        "left of": lambda: horizontal and dx < -RELATION_MARGIN,
        "right of": lambda: horizontal and dx > RELATION_MARGIN,
        "above": lambda: not horizontal and dy < -RELATION_MARGIN,
        "below": lambda: not horizontal and dy > RELATION_MARGIN,
        "next to": lambda: horizontal,
    }
    if relation not in rules:
        raise ValueError(f"unknown relation {relation!r}; wanted one of {list(RELATIONS)}")
    return rules[relation]()


def _objects_of(mention: Mention, truth: SceneTruth) -> list[ObjectTruth]:
    return [thing for thing in truth.objects if thing.name in mention.names]


def _attribute_verdicts(mention: Mention, truth: SceneTruth) -> list[bool]:
    """Judge each attribute said; one whose truth is not recorded (colour None) is left out."""
    there, verdicts = _objects_of(mention, truth), []
    if mention.colour is not None and not (there and all(o.colour is None for o in there)):
        verdicts.append(any(o.colour == mention.colour for o in there))
    if mention.size is not None:
        verdicts.append(any(o.size == mention.size for o in there))
    return verdicts


def _count_verdicts(mention: Mention, truth: SceneTruth) -> list[bool]:
    there = len(_objects_of(mention, truth))
    if mention.number is not None:
        return [there == mention.number]
    return [there >= 2] if mention.plural and not mention.is_category else []


def _relation_verdict(claim: RelationClaim, parsed: ParsedCaption, truth: SceneTruth) -> bool:
    subjects = _objects_of(parsed.mentions[claim.subject], truth)
    targets = _objects_of(parsed.mentions[claim.target], truth)
    return any(
        a is not b and relation_holds(a, b, claim.relation) for a in subjects for b in targets
    )


def check_caption(parsed: ParsedCaption, truth: SceneTruth) -> GroundingCounts:
    """Count the statements of a parsed caption and those that are true of the scene."""
    there = {thing.name for thing in truth.objects}
    mentioned = {m.names for m in parsed.mentions}
    named = {name for m in parsed.mentions if not m.is_category for name in m.names}
    attributes = [v for m in parsed.mentions for v in _attribute_verdicts(m, truth)]
    counts = [v for m in parsed.mentions for v in _count_verdicts(m, truth)]
    relations = [_relation_verdict(claim, parsed, truth) for claim in parsed.relations]
    backgrounds = [said == truth.background for said in parsed.backgrounds]
    return GroundingCounts(
        object_true=sum(bool(names & there) for names in mentioned),
        object_said=len(mentioned),
        object_found=len(named & there),
        object_there=len(there),
        attribute_true=sum(attributes),
        attribute_said=len(attributes),
        count_true=sum(counts),
        count_said=len(counts),
        relation_true=sum(relations),
        relation_said=len(relations),
        background_true=sum(backgrounds),
        background_said=len(backgrounds),
    )


def ground_captions(
    captions: Sequence[str], truths: Sequence[SceneTruth], *, lexicon: Lexicon
) -> list[GroundingCounts]:
    """Parse and check one caption per scene."""
    if len(captions) != len(truths):
        raise ValueError(
            f"got {len(captions)} captions for {len(truths)} scenes: wanted one caption per scene"
        )
    return [check_caption(parse_caption(c, lexicon), t) for c, t in zip(captions, truths)]


def grounding_rates(counts: GroundingCounts) -> dict[str, float]:
    """Turn counts (of one caption, or summed over many) into rates; kinds never said are absent.

    >>> grounding_rates(GroundingCounts(object_true=1, object_said=2))
    {'object_precision': 0.5}
    """
    pairs = {name: (getattr(counts, t), getattr(counts, s)) for name, (t, s) in RATES.items()}
    return {name: true / said for name, (true, said) in pairs.items() if said}


def is_exact(counts: GroundingCounts) -> bool:
    """Say whether a caption names all objects of its scene, nothing else, and the place.

    >>> is_exact(GroundingCounts(1, 1, 1, 1, background_true=1, background_said=1))
    True
    """
    objects = counts.object_true == counts.object_said and counts.object_found == (
        counts.object_there
    )
    return objects and counts.background_true == counts.background_said >= 1
