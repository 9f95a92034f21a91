"""Controlled edits of the second edition's captions: what they change, and nothing else."""

from __future__ import annotations

import re
from dataclasses import asdict

import numpy as np
import pytest

from vizer_lab.world import Scene, make_scene
from vizer_lab.world.captions import home_captions
from vizer_lab.world.editions import SECOND
from vizer_lab.world.perturbations import SCENE_EDITS, statements
from vizer_lab.world.phrases import read_phrases
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
            after = SCENE_EDITS[name](before, scene, rng)
            if after is not None:
                a, b = (asdict(statements(text, scene)) for text in (before, after))
                found.append(({key: b[key] - a[key] for key in a if a[key] != b[key]}, after))
    return found


@pytest.mark.parametrize("name", sorted(SCENE_EDITS))
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


def test_true_detail_adds_no_false_statement() -> None:
    for moved, after in edited("more_true_detail"):
        kinds = ("object", "attribute", "count", "relation", "background")
        assert all(moved.get(f"{k}_said", 0) == moved.get(f"{k}_true", 0) for k in kinds), after


def test_a_wrong_count_may_be_six_and_its_verb_follows() -> None:
    dog, cat = (
        SceneObject(name, x, y, 0.3, False, SECOND)
        for name, x, y in (("dog", 0.3, 0.2), ("cat", 0.3, 0.8))
    )
    scene = Scene("second_test", 0, (dog, cat), "snow", 0)
    texts = {
        SCENE_EDITS["wrong_count"]("a dog is above a cat", scene, np.random.default_rng(i))
        for i in range(60)
    }
    assert "six dogs are above a cat" in texts and "a dog is above five cats" in texts
    read = read_phrases("five dogs, a cat", SECOND)
    assert [n.plural for n in read.nouns] == [True, False]
    assert read.changed({0: "six"}) == "six dogs, a cat"
