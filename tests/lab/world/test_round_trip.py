"""Drawn captions: a true caption comes back, a false one does not, and scenes can be drawn."""

from __future__ import annotations

import pytest

from vizer_core.metrics.grounding import relation_holds
from vizer_lab.world import make_scene, render_scene
from vizer_lab.world.round_trip import compare_scenes, drawn_scene, round_trip
from vizer_lab.world.settings import MOST_OBJECTS
from vizer_lab.zoo.noisy_captions import caption_draw, exact_caption

SCENES = [make_scene("second_test", index) for index in range(40)]


def test_an_exact_caption_comes_back_whole():
    for scene in SCENES:
        said = exact_caption(scene, caption_draw("second_test", scene.index, 0))
        assert round_trip(said, scene).f1 == 1.0, said


def test_known_answers():
    scene = next(s for s in SCENES if len({o.name for o in s.objects}) == 2 == len(s.objects))
    one, two = (o.name for o in scene.objects)
    half = round_trip(f"a {one}", scene)
    assert (half.both, half.drawn, half.there, half.place) == (1, 1, 2, False)
    more = round_trip(f"two {one}s and a {two}", scene)
    assert more.both <= 2 and more.drawn >= 2
    empty = round_trip("", scene)
    assert (empty.drawn, empty.f1, empty.place) == (0, 0.0, False)


def test_what_is_said_to_be_left_is_drawn_left():
    scene = SCENES[0]
    for said, relation in (
        ("a dog to the left of a camel", "left of"),
        ("a dog to the right of a camel", "right of"),
    ):
        drawn = drawn_scene(said, scene)
        things = {o.name: o for o in drawn.objects}
        assert relation_holds(things["dog"], things["camel"], relation), said


def test_drawn_scenes_are_scenes():
    drawn = drawn_scene("a small dog and two big camels in the snow", SCENES[0])
    assert [o.size for o in drawn.objects] == ["small", "big", "big"]
    assert render_scene(drawn).shape == (112, 112, 3) and drawn.place == "snow"
    assert compare_scenes(drawn, drawn).f1 == 1.0
    many = ", ".join(["six dogs", "six camels"])
    assert len(drawn_scene(many, SCENES[0]).objects) == MOST_OBJECTS


@pytest.mark.parametrize("caption", ["an animal", "some animals on a lawn"])
def test_categories_are_drawn_as_one_of_theirs(caption):
    assert len(drawn_scene(caption, SCENES[0]).objects) in (1, 2)
