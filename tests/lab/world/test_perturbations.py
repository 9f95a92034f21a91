"""Controlled edits: each changes the statement that it says it changes, and nothing else."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from vizer_lab.world import DrawnSplit
from vizer_lab.world.captions import another_home_caption, home_captions
from vizer_lab.world.lexicon import KIND_BY_NAME
from vizer_lab.world.perturbations import SCENE_EDITS, said, statements
from vizer_lab.world.phrases import read_phrases, right_articles
from vizer_lab.world.text_perturbations import FORM_EDITS, SAME_CONTENT
from vizer_lab.world.world import Scene, SceneObject
from vizer_lab.zoo.tokenizer import split_words

N = 60
SPLIT = DrawnSplit("second_test", N)


def scene(*objects: tuple[str, float, float, float], place: str = "snow") -> Scene:
    placed = tuple(SceneObject(name, x, y, w, flip=False) for name, x, y, w in objects)
    return Scene("second_test", 0, placed, place, 0)


DOG_LEFT_OF_TREE = scene(("dog", 0.2, 0.5, 0.3), ("tree", 0.8, 0.5, 0.6))


def edited(name: str) -> list[tuple[Scene, str, str]]:
    """Return (scene, caption, edit) for every caption that offers the edit a place."""
    found = []
    for one in SPLIT.scenes:
        for place, caption in enumerate(home_captions(one)):
            rng = np.random.default_rng([one.index, place])
            if name in SCENE_EDITS:
                after = SCENE_EDITS[name](caption, one, rng)
            else:
                after = (SAME_CONTENT | FORM_EDITS)[name](caption, rng)
            if after is not None:
                found.append((one, caption, after))
    return found


def change(one: Scene, before: str, after: str) -> dict[str, int]:
    """Return the counts that moved."""
    a, b = asdict(statements(before, one)), asdict(statements(after, one))
    return {name: b[name] - a[name] for name in a if b[name] != a[name]}


@pytest.mark.parametrize("name", sorted(SAME_CONTENT))
def test_a_change_that_is_no_fault_keeps_every_statement_and_its_truth(name):
    cases = edited(name)
    assert len(cases) > 2 * N
    for one, before, after in cases:
        assert after != before
        moved = change(one, before, after)
        assert not moved, (before, after, moved)


@pytest.mark.parametrize("name", ["object_swapped", "object_swapped_far"])
def test_a_swap_turns_one_true_object_into_a_false_one(name):
    for one, before, after in edited(name):
        moved = change(one, before, after)
        assert moved["object_true"] == moved["object_found"] == -1, (before, after)
        assert "object_said" not in moved and "background_true" not in moved
        assert "relation_said" not in moved
        assert len(after.split(" and ")) == len(before.split(" and "))


def test_a_swap_stays_in_the_category_or_leaves_it():
    rng = np.random.default_rng(0)
    near = SCENE_EDITS["object_swapped"]("a dog in the snow", DOG_LEFT_OF_TREE, rng)
    far = SCENE_EDITS["object_swapped_far"]("a dog in the snow", DOG_LEFT_OF_TREE, rng)
    table = {n.name for n in read_phrases(f"{near} and {far}").nouns}
    categories = [KIND_BY_NAME[name].category for name in table]
    assert categories.count("animal") == 1 and len(categories) == 2


def test_an_added_object_is_absent_and_nothing_else_moves():
    for one, before, after in edited("object_added"):
        assert change(one, before, after) == {"object_said": 1}, (before, after)


def test_a_dropped_object_takes_only_its_own_statements():
    for one, before, after in edited("object_dropped"):
        moved = change(one, before, after)
        assert moved["object_said"] == moved["object_true"] == -1, (before, after)
        assert set(split_words(after)) <= {*split_words(before), "and"}
        assert "background_true" not in moved and after.split()[-1] not in {",", "and", "with"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("wrong_count", "count"),
        ("wrong_attribute", "attribute"),
        ("wrong_relation", "relation"),
        ("wrong_background", "background"),
    ],
)
def test_a_wrong_statement_is_one_false_statement_of_its_kind(name, kind):
    cases = edited(name)
    assert len(cases) > N / 2
    for one, before, after in cases:
        moved = change(one, before, after)
        false = moved.pop(f"{kind}_said", 0) - moved.pop(f"{kind}_true", 0)
        assert false == 1 and not moved, (before, after, moved)


def test_more_detail_is_all_true_and_more_than_any_reference():
    for one, before, after in edited("more_true_detail"):
        a, b = asdict(statements(before, one)), asdict(statements(after, one))
        assert said(statements(after, one)) > max(
            said(statements(c, one)) for c in home_captions(one)
        )
        kinds = ("object", "attribute", "count", "relation", "background")
        false = [b[f"{k}_said"] - b[f"{k}_true"] - a[f"{k}_said"] + a[f"{k}_true"] for k in kinds]
        assert not any(false), (before, after)
        assert b["object_found"] == b["object_there"]


def test_each_edit_of_one_caption():
    caption, rng = "a dog left of a tree in the snow", np.random.default_rng(1)
    two = scene(("dog", 0.2, 0.5, 0.3), ("tree", 0.8, 0.5, 0.6))
    assert SCENE_EDITS["object_dropped"](caption, two, rng) == "a dog in the snow"
    assert SCENE_EDITS["wrong_relation"](caption, two, rng) != caption
    assert SAME_CONTENT["reordered"](caption, rng) == "a tree right of a dog in the snow"
    assert "puppy to the left of a tree" in SAME_CONTENT["reworded"](caption, rng)
    assert SCENE_EDITS["object_dropped"]("a , b and c", two, rng) is None
    assert right_articles("a owl and an tree") == "an owl and a tree"


def test_a_wrong_count_is_never_the_true_one():
    pair = scene(("dog", 0.2, 0.5, 0.3), ("dog", 0.8, 0.5, 0.3))
    found = {SCENE_EDITS["wrong_count"]("some dogs", pair, np.random.default_rng(i))
             for i in range(30)}  # fmt: skip
    assert found == {"three dogs", "four dogs", "five dogs", "six dogs"}


def test_an_edit_without_a_place_is_none():
    alone, rng = scene(("dog", 0.5, 0.5, 0.45)), np.random.default_rng(0)
    for name in ("object_dropped", "wrong_relation", "wrong_background"):
        assert SCENE_EDITS[name]("a dog", alone, rng) is None
    for name in SCENE_EDITS:
        assert SCENE_EDITS[name]("what fun", alone, rng) is None
    assert FORM_EDITS["truncated"]("dog", rng) is None
    assert FORM_EDITS["shuffled_words"]("dog dog", rng) is None
    assert FORM_EDITS["generic"]("a bunch of things", rng) is None
    assert FORM_EDITS["keyword_list"]("on the", rng) is None


def test_faults_of_form_keep_the_words_they_say_they_keep():
    for _, before, after in edited("shuffled_words"):
        assert after != before and sorted(after.split()) == sorted(before.split())
    for _, before, after in edited("truncated"):
        assert before.startswith(after) and len(after) < len(before)
    for _, before, after in edited("keyword_list"):
        assert len(after.split()) < len(before.split()) and set(after.split()) <= set(
            before.split()
        )


def test_the_same_seed_gives_the_same_edit():
    one = DOG_LEFT_OF_TREE
    for edit in SCENE_EDITS.values():
        first, again = (edit("a dog and a tree", one, np.random.default_rng(5)) for _ in range(2))
        assert first == again


def test_one_more_writer_is_true_and_not_one_of_the_five():
    scenes = SPLIT.scenes
    for one in scenes:
        counts = statements(another_home_caption(one), one)
        assert counts.object_true == counts.object_said
        assert counts.relation_true == counts.relation_said
    fresh = sum(another_home_caption(one) not in home_captions(one) for one in scenes)
    assert fresh > N / 2
    with pytest.raises(ValueError, match="which=5: wanted 0 to 4"):
        another_home_caption(scenes[0], 5)
