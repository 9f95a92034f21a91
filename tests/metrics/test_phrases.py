"""Captions cut into statements and joined again: what is said stays said, and nothing is added."""

from __future__ import annotations

import pytest

from vizer_core.metrics.phrases import (
    frequent_statements,
    head_of,
    heads_of,
    is_place,
    join_phrases,
    parts_of,
    phrases_of,
    rewrite,
    statements_of,
)


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("a dog", ("a dog",)),
        ("there are two dogs and a cat.", ("two dogs", "a cat")),
        ("a dog in front of a tree", ("a dog in front of a tree",)),
        ("in the snow, a dog on top of a car", ("in the snow", "a dog on top of a car")),
        ("stock photo of a cat and a dog", ("a cat", "a dog")),
        ("itap of two cats", ("two cats",)),
        ("image may contain : a cat", ("a cat",)),
        ("a cat and photo of a dog", ("a cat", "photo of a dog")),  # no opening
        ("a forest scene with a parrot", ("a forest scene", "a parrot")),
        ("", ()),
    ],
)
def test_captions_fall_into_statements(caption, phrases):
    assert phrases_of(caption) == phrases


def test_relations_fall_into_their_things_and_places_do_not():
    assert parts_of("a dog is to the left of a tree") == ("a dog", "a tree")
    assert parts_of("in front") == ("in front",)
    assert is_place("in the snow") and not is_place("a dog in the snow")
    assert heads_of("two foxes beside some berries") == {"fox", "berry"}
    assert [head_of(w) for w in ("glasses", "glass", "cherries", "buses")] == [
        "glass",
        "glass",
        "cherry",
        "bus",
    ]
    with pytest.raises(ValueError, match="an empty phrase"):
        head_of(" ")


def test_one_rule_for_one_and_many():
    for one, many in (("dog", "dogs"), ("cherry", "cherries"), ("glass", "glasses")):
        assert head_of(f"a {one}") == head_of(f"two {many}")


def test_what_is_accepted_stays_and_is_said_once():
    caption = "a dog above a cat, a hat and a hat in the snow"
    every = set(statements_of([caption]))
    assert rewrite(caption, [], every) == "a dog above a cat and a hat in the snow"
    assert rewrite(caption, [], every - {"a dog above a cat", "a hat"}) == (
        "a dog and a cat in the snow"
    )
    assert rewrite(caption, ["a dog", "a ship"], every | {"a ship"}).endswith("a ship in the snow")
    assert rewrite("a dog", ["a cat"], {"a cat"}) == "a cat"
    assert rewrite("a dog", ["a cat"], {"in the snow"}) == "a dog"


def test_joining_makes_a_list_that_is_cut_the_same():
    things, place = ("a dog", "two cats", "a hat"), "on a lawn"
    assert phrases_of(join_phrases(things, (place, "in the sea"))) == (*things, place)
    assert join_phrases((), ()) == ""


def test_frequent_statements_count_captions():
    texts = ["a dog and a dog", "a cat", "a cat on a lawn"]
    assert frequent_statements(texts, count=1) == ("a cat",)
    with pytest.raises(ValueError, match="count is 0"):
        frequent_statements(texts, count=0)
