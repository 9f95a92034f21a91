"""Judge a caption by drawing it: caption, scene, comparison; no reference caption takes part.

Huang et al. (2408.01723) have a text-to-image model draw a caption and compare the two
images by features. The drawn world has an exact artist: a caption is parsed, what it states is
drawn (`drawn_scene`), and the two scenes are compared thing by thing (`compare_scenes`) or, as in
the paper, by an encoder's cosine of the two images.

Where we differ: what a caption leaves open (where things stand, how large they are) is drawn in one
fixed way, so the cosine pays for the artist's choices too, and the exact comparison does not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from vizer_core.metrics.grounding import Mention, ParsedCaption, parse_caption
from vizer_lab.world.lexicon import KIND_BY_NAME, drawn_lexicon
from vizer_lab.world.settings import MOST_OBJECTS
from vizer_lab.world.world import Scene, SceneObject, objects_of, places_of, world_of

COLUMNS = 3
WIDTHS = {"small": 0.22, "medium": 0.30, "big": 0.42}


@dataclass(frozen=True)
class RoundTrip:
    """Things in both scenes, in the caption's and in the true one; whether the place is right."""

    both: int
    drawn: int
    there: int
    place: bool

    @property
    def f1(self) -> float:
        """F1 over things, each as often as it is there."""
        return 2 * self.both / (self.drawn + self.there) if self.drawn + self.there else 0.0


def drawn_scene(caption: str, scene: Scene) -> Scene:
    """Return the scene that a caption of `scene` describes, in the same world.

    Things stand in rows of three, in the order in which they are named, those "left of" another
    before it; a category word draws its first kind, a bare plural two. Without a place the first
    one is drawn. More things than the fullest scene contains are left out.
    """
    said = parse_caption(caption, drawn_lexicon(world_of(scene.split)))
    names: list[tuple[str, str | None]] = []
    for index in _in_order(said):
        mention = said.mentions[index]
        names += [(_name(mention, scene.split), mention.size)] * _number(mention)
    known = {place.name for place in places_of(scene.split)}
    place = next((p for p in said.backgrounds if p in known), places_of(scene.split)[0].name)
    things = tuple(
        _placed(name, size, spot) for spot, (name, size) in enumerate(names[:MOST_OBJECTS])
    )
    return Scene(scene.split, scene.index, things, place, scene.variant)


def compare_scenes(drawn: Scene, true: Scene) -> RoundTrip:
    """Count what two scenes share: kinds of thing with their numbers, and the place."""
    mine, theirs = (Counter(o.name for o in scene.objects) for scene in (drawn, true))
    return RoundTrip(
        both=sum((mine & theirs).values()),
        drawn=sum(mine.values()),
        there=sum(theirs.values()),
        place=drawn.place == true.place,
    )


def round_trip(caption: str, scene: Scene) -> RoundTrip:
    """Draw a caption and compare it with the scene that it is of; an empty one draws nothing."""
    said = parse_caption(caption, drawn_lexicon(world_of(scene.split)))
    found = compare_scenes(drawn_scene(caption, scene), scene)
    return found if said.backgrounds else RoundTrip(found.both, found.drawn, found.there, False)


def _in_order(said: ParsedCaption) -> list[int]:
    """Return the mentions in the order in which they are drawn: first what stands left or above."""
    order = list(range(len(said.mentions)))
    for claim in said.relations:
        if claim.relation in ("right of", "below"):
            order.remove(claim.target)
            order.insert(order.index(claim.subject), claim.target)
    return order


def _name(mention: Mention, split: str) -> str:
    kinds = [kind.name for kind in objects_of(split) if kind.name in mention.names]
    return kinds[0] if kinds else sorted(mention.names)[0]


def _number(mention: Mention) -> int:
    if mention.number is not None:
        return mention.number
    return 2 if mention.plural else 1


def _placed(name: str, size: str | None, spot: int) -> SceneObject:
    w = WIDTHS[size or "medium"] if name in KIND_BY_NAME else WIDTHS["medium"]
    row, column = divmod(spot, COLUMNS)
    x, y = (column + 0.5) / COLUMNS, 0.3 + 0.4 * row
    inside = w / 2
    return SceneObject(
        name, min(max(x, inside), 1 - inside), min(max(y, inside), 1 - inside), w, False
    )
