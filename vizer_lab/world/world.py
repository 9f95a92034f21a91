"""Scenes: a few drawn objects at a place, with everything about them known exactly.

A scene is a small record; its image, its captions and its questions are all made from it.
Scene number i of a split is drawn from its own seed, so any scene can be made alone, in any
order, on any machine, and no two splits share one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vizer_core.metrics.grounding import ObjectTruth, SceneTruth
from vizer_lab.world.kinds import ObjectKind, Place
from vizer_lab.world.lexicon import (
    AWAY_PLACES,
    HOME_PLACES,
    KIND_BY_NAME,
    world_named,
)
from vizer_lab.world.settings import (
    BIG_FROM,
    COUNT_SHARES,
    PREFIX,
    REPEAT_SHARE,
    SIZE_LEVELS,
    SIZES,
    SMALL_BELOW,
    part_of,
)

# every split draws from its own stream of seeds; a stream is for training without labels; splits
# of the other world have other objects
_PARTS = (
    *("train", "validation", "test", "stream", "away_train", "away_test", "away_validation"),
    *("other_train", "other_validation", "other_test", "other_stream"),
)
# numbered on from the splits of the smaller world that came before (`settings.PREFIX`)
SPLITS: dict[str, int] = {
    f"{PREFIX}{part}": number for number, part in enumerate(_PARTS, start=len(_PARTS))
}
HOME_SPLITS = ("train", "validation", "test", "stream")
WORLD_SEED = 20261123

MAX_OVERLAP = 0.12
PLACEMENT_TRIES = 24


@dataclass(frozen=True)
class SceneObject:
    """One drawn object: centre (x, y) and width w as fractions of the image; y grows downward."""

    name: str
    x: float
    y: float
    w: float
    flip: bool

    @property
    def size(self) -> str:
        """`small`, `medium` or `big`, from the width alone."""
        if self.w < SMALL_BELOW:
            return "small"
        return "big" if self.w >= BIG_FROM else "medium"


@dataclass(frozen=True)
class Scene:
    """An image's exact content. `split` and `index` name the seed that it was drawn from."""

    split: str
    index: int
    objects: tuple[SceneObject, ...]
    place: str
    variant: int

    @property
    def id(self) -> str:
        """The scene's name, for instance `second_test-00017`."""
        return f"{self.split}-{self.index:05d}"

    @property
    def truth(self) -> SceneTruth:
        """What the exact scorer needs to know."""
        return SceneTruth(
            objects=tuple(
                ObjectTruth(
                    name=o.name,
                    category=KIND_BY_NAME[o.name].category,
                    colour=KIND_BY_NAME[o.name].colour,
                    size=o.size,
                    x=o.x,
                    y=o.y,
                    w=o.w,
                )
                for o in self.objects
            ),
            background=self.place,
        )


def scene_rng(split: str, index: int, purpose: int) -> np.random.Generator:
    """Return the random stream of one scene: `purpose` keeps layout, words and questions apart."""
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}: wanted one of {sorted(SPLITS)}")
    return np.random.Generator(np.random.PCG64([WORLD_SEED, SPLITS[split], index, purpose]))


def places_of(split: str) -> tuple[Place, ...]:
    """Return the places of a split: away and in the other world they are not those of home."""
    return HOME_PLACES if part_of(split) in HOME_SPLITS else AWAY_PLACES


def world_of(split: str) -> str:
    """Return the world that a split's scenes are from.

    >>> world_of("second_other_test"), world_of("second_away_test")
    ('second_other', 'second')
    """
    return "second_other" if part_of(split).startswith("other_") else "second"


def split_in(world: str, part: str) -> str:
    """Return the name of a part (`train`, `test`, ...) in a world.

    >>> split_in("second", "train"), split_in("second_other", "test")
    ('second_train', 'second_other_test')
    """
    world_named(world)
    return f"{world}_{part}"


def objects_of(split: str) -> tuple[ObjectKind, ...]:
    """Return the kinds of object that a split's scenes contain."""
    return world_named(world_of(split)).objects


def make_scene(split: str, index: int) -> Scene:
    """Draw scene `index` of `split`; the same arguments always give the same scene.

    >>> make_scene("second_test", 3) == make_scene("second_test", 3)
    True
    """
    u = iter(scene_rng(split, index, purpose=0).random(128).tolist())
    marks = np.cumsum(COUNT_SHARES)[:-1]
    count = 1 + int(np.searchsorted(marks, next(u), side="right"))
    places = places_of(split)
    place = places[int(next(u) * len(places))].name
    variant = int(next(u) * 12)
    names = _draw_names(count, objects_of(split), u)
    return Scene(split, index, _place_objects(names, u), place, variant)


def _draw_names(count: int, kinds: tuple[ObjectKind, ...], u) -> list[str]:
    names: list[str] = []
    for _ in range(count):
        if names and next(u) < REPEAT_SHARE:
            names.append(names[-1])
        else:
            names.append(kinds[int(next(u) * len(kinds))].name)
    return names


def _place_objects(names: list[str], u) -> tuple[SceneObject, ...]:
    """Place each object where it covers at most `MAX_OVERLAP` of another; shrink it if it must."""
    placed: list[SceneObject] = []
    top = SIZE_LEVELS[len(names) - 1]
    for name in names:
        level, flip = int(next(u) * top), next(u) < 0.5
        rng = np.random.Generator(np.random.PCG64(int(next(u) * 2**53)))
        for attempt in range(PLACEMENT_TRIES * (level + 1)):
            w = SIZES[max(0, level - attempt // PLACEMENT_TRIES)]
            x, y = (w / 2 + (1 - w) * rng.random(2)).tolist()
            if all(_overlap((x, y, w), o) <= MAX_OVERLAP for o in placed):
                break
        else:
            continue  # no free spot even at the smallest size: the scene has one object fewer
        placed.append(SceneObject(name, round(x, 4), round(y, 4), w, flip))
    return tuple(placed)


def _overlap(box: tuple[float, float, float], other: SceneObject) -> float:
    """Return the shared area over the smaller box's area."""
    x, y, w = box
    dx = min(x + w / 2, other.x + other.w / 2) - max(x - w / 2, other.x - other.w / 2)
    dy = min(y + w / 2, other.y + other.w / 2) - max(y - w / 2, other.y - other.w / 2)
    return max(dx, 0.0) * max(dy, 0.0) / min(w, other.w) ** 2
