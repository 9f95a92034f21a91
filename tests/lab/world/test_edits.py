"""Controlled edits over every caption of some scenes: what they change, and nothing else."""

from __future__ import annotations

import re
from dataclasses import asdict

import numpy as np
import pytest

from vizer_lab.world import Scene, make_scene
from vizer_lab.world.captions import home_captions
from vizer_lab.world.perturbations import SCENE_EDITS, statements
from vizer_lab.world.phrases import read_phrases
from vizer_lab.world.text_perturbations import SAME_CONTENT
from vizer_lab.world.world import SceneObject

SCENES = [make_scene("second_test", i) for i in range(40)]
FALSE = {
    "object_swapped": ("object", 0),
    "object_swapped_far": ("object", 0),
    "object_added": ("object", 1),
    "wrong_count": ("count", None),
    "wrong_attribute": ("attribute", None),
    "wrong_relation": ("relation", None),
    "wrong_background": ("background", 0),
}


def edited(name: str) -> list[tuple[dict[str, int], str]]:
    """Return the counts that moved, with the caption after, for every caption with a place."""
    found = []
    for scene in SCENES:
        for k, before in enumerate(home_captions(scene)):
            rng = np.random.default_rng([scene.index, k])
            if name in SCENE_EDITS:
                after = SCENE_EDITS[name](before, scene, rng)
            else:
                after = SAME_CONTENT[name](before, rng)
            if after is not None:
                a, b = (asdict(statements(text, scene)) for text in (before, after))
                found.append(({key: b[key] - a[key] for key in a if a[key] != b[key]}, after))
    return found


@pytest.mark.parametrize("name", sorted(SCENE_EDITS | SAME_CONTENT))
def test_an_edited_caption_has_plain_punctuation_and_a_place_in_many_captions(name: str) -> None:
    cases = edited(name)
    assert len(cases) > 1.5 * len(SCENES)
    assert not any(re.search(r" [,.!?]|\s\s", after) for _, after in cases)


@pytest.mark.parametrize("name", sorted(FALSE))
def test_a_fault_is_one_false_statement_of_its_kind(name: str) -> None:
    kind, said = FALSE[name]
    for moved, after in edited(name):
        more, true = moved.get(f"{kind}_said", 0), moved.get(f"{kind}_true", 0)
        assert more - true == 1, (after, moved)
        assert said is None or more == said, (after, moved)
        others = {k for k in moved if k.endswith("_said") and not k.startswith(kind)}
        assert not others, (after, moved)


@pytest.mark.parametrize("name", sorted(SAME_CONTENT))
def test_a_change_that_is_no_fault_keeps_every_statement_and_its_truth(name: str) -> None:
    cases = edited(name)
    assert len(cases) > 4 * len(SCENES)
    assert not any(moved for moved, _ in cases), [case for case in cases if case[0]]


def test_lists_relations_and_openings_are_turned_as_people_would_write_them() -> None:
    rng = np.random.default_rng(0)
    reordered, restyled = (SAME_CONTENT[name] for name in ("reordered", "style_change"))
    for before, after in (
        ("two dogs, a cat", "a cat, two dogs"),
        ("two dogs are above a cat, with an owl", "a cat is below two dogs, with an owl"),
        ("in the snow, a dog left of a big tree", "in the snow, a big tree right of a dog"),
        ("in the city, there are two dogs and a cat", "a cat and two dogs in the city"),
        ("an image of a dog", "a dog"),
        (
            "a snowy scene with a dog, a cat and an owl",
            "a snowy scene with an owl, a cat and a dog",
        ),
    ):
        assert reordered(before, rng) == after
    there = {restyled("there is a dog", np.random.default_rng(i)) for i in range(30)}
    assert "look, a dog!" in there and len(there) == 4
    ahead = {restyled("in the snow, a dog", np.random.default_rng(i)) for i in range(30)}
    assert "nice shot of a dog in the snow" in ahead and len(ahead) == 4
    many = {restyled("two dogs are above a cat", np.random.default_rng(i)) for i in range(30)}
    assert "here are two dogs above a cat" in many and len(many) == 4


def test_more_is_named_as_a_list_goes_on() -> None:
    scene = make_scene("second_test", 48)  # a ladybug, a horse, a robot and a tulip in a room
    for before, after in (
        ("a robot and a tulip", r"a robot, a tulip and an? [\w ]+"),
        ("a robot above a tulip", r"a robot above a tulip, with an? [\w ]+"),
        ("a robot, a tulip", r"a robot, a tulip and an? [\w ]+"),
        ("a robot indoors", r"a robot and an? [\w ]+ indoors"),
    ):
        added = SCENE_EDITS["object_added"](before, scene, np.random.default_rng(0))
        assert added is not None and re.fullmatch(after, added)
    more = SCENE_EDITS["more_true_detail"]("a tulip and a horse", scene, np.random.default_rng(0))
    assert more is not None and more.startswith("a tulip, a big horse, a small red ladybug and a ")


def test_true_detail_adds_no_false_statement() -> None:
    for moved, after in edited("more_true_detail"):
        kinds = ("object", "attribute", "count", "relation", "background")
        assert all(moved.get(f"{k}_said", 0) == moved.get(f"{k}_true", 0) for k in kinds), after


def test_a_wrong_count_may_be_six_and_its_verb_follows() -> None:
    dog, cat = (
        SceneObject(name, x, y, 0.3, False) for name, x, y in (("dog", 0.3, 0.2), ("cat", 0.3, 0.8))
    )
    scene = Scene("second_test", 0, (dog, cat), "snow", 0)
    texts = {
        SCENE_EDITS["wrong_count"]("a dog is above a cat", scene, np.random.default_rng(i))
        for i in range(60)
    }
    assert "six dogs are above a cat" in texts and "a dog is above five cats" in texts
    read = read_phrases("five dogs, a cat")
    assert [n.plural for n in read.nouns] == [True, False]
    assert read.changed({0: "six"}) == "six dogs, a cat"
