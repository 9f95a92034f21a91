"""The captions that a drawn VLM is trained on: exact ones first, then what the web would write.

A base VLM has seen careful descriptions and, far more often, alt texts and post titles: "itap of
a gift", "stock photo", a caption of another image. A drawn VLM gets the same two diets, one
after the other. `exact_caption` names every object in reading order; `noisy_caption` draws one of
four sorts by a `CaptionNoise`:

=======  ====================================================================================
generic  says nothing of the image ("itap while walking home", "<person> in 2008")
partial  names one of its objects and stops ("itap of a gift")
wrong    is a fluent caption of another scene
decent   an exact caption; half of them begin or end in the web's way
=======  ====================================================================================

One generic caption ends in "home", which is also a word for a house: the exact scorer counts it as
a house that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vizer_lab.world.lexicon import KIND_BY_NAME
from vizer_lab.world.sentences import full_sentence
from vizer_lab.world.settings import COUNT_WORDS, plain_marks
from vizer_lab.world.world import (
    SPLITS,
    WORLD_SEED,
    Scene,
    SceneObject,
    make_scene,
)

READING_ROWS = 4  # rows of image tokens: objects are read row by row, each from the left
GENERIC = (
    "itap while walking home",
    "itap from work last weekend",
    "itap came out great",
    "<person> in 2008",
    "<person> in 2011",
    "stock image",
    "untitled",
    "photo of the day",
    "photo of the week",
    "my favourite picture",
    "my new wallpaper",
    "free download",
    "album cover",
    "hd wallpaper",
    "dsc 2011",
    "throwback monday",
    "no caption needed",
    "best day ever",
    "love these",
    "wow",
    "thumbnail",
)
ONE_OBJECT = {  # with shares that need not add up to 1
    "itap of {}": 0.2,
    "photo of {}": 0.1,
    "stock image of {}": 0.12,
    "my {bare}": 0.1,
    "{bare} for sale": 0.1,
    "{bare} clipart": 0.1,
    "vintage {bare} sticker": 0.08,
    "{bare} vector icon": 0.08,
    "cute {bare} today": 0.06,
    "look at this {bare}": 0.06,
}
# many openings: with one, a single word decides what a greedy caption is
OPENINGS = (
    *("itap of", "just", "stock image of", "vintage clipart of"),
    *("image may contain :", "throwback to", "wow ,", "photo of"),
)
CLOSINGS = ("for sale", "free download", "hd wallpaper", "by <person>", "last weekend", "lol")
OPENED, CLOSED = 0.5, 0.3  # of decent captions

Draw = Callable[[], float]


@dataclass(frozen=True)
class CaptionNoise:
    """Shares of the sorts of web caption; what they leave of 1 is decent."""

    generic: float
    partial: float
    wrong: float

    def __post_init__(self) -> None:
        shares = (self.generic, self.partial, self.wrong)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(f"shares of web captions are {shares}: wanted >= 0, at most 1 in all")

    @property
    def decent(self) -> float:
        """Share of captions that describe the image well."""
        return 1 - self.generic - self.partial - self.wrong


@dataclass(frozen=True)
class _Group:
    """All objects of one kind in a scene, the first in reading order first."""

    name: str
    members: tuple[SceneObject, ...]

    @property
    def phrase(self) -> str:
        kind = KIND_BY_NAME[self.name]
        if len(self.members) > 1:
            number = COUNT_WORDS[len(self.members)]
            return f"{number} {kind.plural}"
        return f"an {kind.name}" if kind.name[0] in "aeiou" else f"a {kind.name}"


def caption_draw(split: str, index: int, visit: int) -> Draw:
    """Return the random stream of one training caption: scene and number of its visit."""
    seed = [WORLD_SEED, SPLITS[split], index, 1000 + visit]
    return iter(np.random.Generator(np.random.PCG64(seed)).random(128).tolist()).__next__


def reading_order(objects: Sequence[SceneObject]) -> list[SceneObject]:
    """Sort objects as the language model meets their image tokens: by row of tokens, then by x.

    >>> two = [SceneObject("cat", .6, .55, .3, False), SceneObject("dog", .2, .7, .3, False)]
    >>> [o.name for o in reading_order(two)]
    ['dog', 'cat']
    """
    return sorted(objects, key=lambda o: (int(o.y * READING_ROWS), o.x))


def _groups(scene: Scene) -> list[_Group]:
    ordered = reading_order(scene.objects)
    names = dict.fromkeys(o.name for o in ordered)
    return [_Group(n, tuple(o for o in ordered if o.name == n)) for n in names]


def _pick(options: Sequence[str], draw: Draw) -> str:
    return options[int(draw() * len(options))]


def exact_caption(scene: Scene, draw: Draw) -> str:
    """Name every object in reading order, most often the place, and now and then a relation.

    >>> exact_caption(make_scene("second_test", 3), caption_draw("second_test", 3, 0))
    'two teddy bears, a watermelon and a candle before some hills'
    """
    return plain_marks(full_sentence(scene, reading_order(scene.objects), draw))


def noisy_caption(scene: Scene, draw: Draw, mix: CaptionNoise) -> str:
    """Write one caption as the web would; a wrong one describes another scene of the split.

    >>> noise = CaptionNoise(generic=1.0, partial=0.0, wrong=0.0)
    >>> noisy_caption(make_scene("second_test", 3), lambda: 0.5, noise)
    'my new wallpaper'
    """
    roll = draw()
    if roll < mix.generic:
        return plain_marks(_pick(GENERIC, draw))
    if roll < mix.generic + mix.partial:
        return _one_object(scene, draw)
    if roll < mix.generic + mix.partial + mix.wrong:
        other = make_scene(scene.split, 10_000_000 + int(draw() * 1_000_000))
        return _one_object(other, draw) if draw() < 0.5 else exact_caption(other, draw)
    return plain_marks(_decent(scene, draw))


def _decent(scene: Scene, draw: Draw) -> str:
    """Describe the scene well, in the web's manner."""
    start = _pick(OPENINGS, draw) if draw() < OPENED else ""
    said = f"{start} {exact_caption(scene, draw)}" if start else exact_caption(scene, draw)
    if draw() < CLOSED:
        said = f"{said} {_pick(CLOSINGS, draw)}"
    return said


def _one_object(scene: Scene, draw: Draw) -> str:
    """Name one kind of the scene, the likelier the larger it is drawn, in a web phrase."""
    groups, forms = _groups(scene), ONE_OBJECT
    group = _weighted(groups, [sum(o.w**2 for o in group.members) for group in groups], draw)
    form = _weighted(tuple(forms), tuple(forms.values()), draw)
    bare = group.phrase.split(" ", 1)[1]
    return plain_marks(form.format(group.phrase, bare=bare))


def _weighted(options: Sequence[Any], weights: Sequence[float], draw: Draw) -> Any:
    marks = np.cumsum(weights)
    return options[int(np.searchsorted(marks, draw() * marks[-1], side="right"))]
