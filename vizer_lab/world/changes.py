"""Pairs of scenes that differ in one known way: the exact answer to "what changed?".

>>> from vizer_lab.world.world import make_scene
>>> scene = make_scene("second_test", 0)
>>> pair = changed_pair(scene, "gone")
>>> len(pair.before.objects) - len(pair.after.objects), pair.appeared
(1, None)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from vizer_lab.world.world import Scene, objects_of, scene_rng

CHANGES = ("gone", "swapped", "none")


@dataclass(frozen=True)
class ChangedPair:
    """A scene before and after, and the kinds of thing that only one of the two contains."""

    before: Scene
    after: Scene
    vanished: str | None
    appeared: str | None


def changed_pair(scene: Scene, change: str) -> ChangedPair:
    """Take a thing away, put another in its place, or change nothing but the place's variant.

    The thing is one whose kind stands in the scene once. Raises `ValueError` where there is none,
    or no other thing would be left.
    """
    if change not in CHANGES:
        raise ValueError(f"no change {change!r}: wanted one of {', '.join(CHANGES)}")
    if change == "none":
        return ChangedPair(scene, replace(scene, variant=(scene.variant + 1) % 12), None, None)
    counts = Counter(o.name for o in scene.objects)
    alone = [i for i, o in enumerate(scene.objects) if counts[o.name] == 1]
    if not alone or len(scene.objects) < 2:
        raise ValueError(f"{scene.id} has no kind that is there once beside another thing")
    rng = scene_rng(scene.split, scene.index, purpose=41)
    index = alone[int(rng.integers(len(alone)))]
    thing = scene.objects[index]
    others = [o for i, o in enumerate(scene.objects) if i != index]
    if change == "gone":
        return ChangedPair(scene, replace(scene, objects=tuple(others)), thing.name, None)
    new = [kind.name for kind in objects_of(scene.split) if kind.name not in counts]
    name = new[int(rng.integers(len(new)))]
    objects = list(scene.objects)
    objects[index] = replace(thing, name=name)
    return ChangedPair(scene, replace(scene, objects=tuple(objects)), thing.name, name)


def can_change(scene: Scene) -> bool:
    """Tell whether a scene has a thing that can be taken away or swapped.

    >>> from vizer_lab.world.world import make_scene
    >>> can_change(make_scene("second_test", 0))
    True
    """
    counts = Counter(o.name for o in scene.objects)
    return len(scene.objects) > 1 and 1 in counts.values()
