"""Captions with one word wrong, or with their words in another order."""

from __future__ import annotations

import pytest

from vizer_core.metrics.grounding import check_caption, parse_caption
from vizer_lab.studies import with_a_wrong_word, with_words_shuffled
from vizer_lab.world import DrawnSplit, drawn_lexicon

SPLIT = DrawnSplit("second_test", 12)
TEXTS = [captions[0] for captions in SPLIT.captions]


def false_objects(text: str, row: int) -> int:
    found = check_caption(parse_caption(text, drawn_lexicon("second")), SPLIT.scenes[row].truth)
    return found.object_said - found.object_true


def test_one_thing_is_named_that_is_not_in_the_scene_and_the_rest_stays():
    changed = with_a_wrong_word(TEXTS, SPLIT.scenes)
    moved = [row for row, text in enumerate(changed) if text != TEXTS[row]]
    assert len(moved) > len(TEXTS) // 2
    for row in moved:
        assert false_objects(changed[row], row) == false_objects(TEXTS[row], row) + 1
    assert changed == with_a_wrong_word(TEXTS, SPLIT.scenes)
    assert changed != with_a_wrong_word(TEXTS, SPLIT.scenes, seed=1)


def test_without_scenes_a_word_comes_from_the_next_caption():
    assert with_a_wrong_word(["a dog on a road", "the"]) == ["a dog on a road", "the"]
    assert with_a_wrong_word(["a dog", "a dog", "two cats"]) == ["a dog", "a cats", "two dog"]
    with pytest.raises(ValueError, match="got 2 captions and 12 scenes"):
        with_a_wrong_word(["a", "b"], SPLIT.scenes)


def test_shuffled_words_are_the_same_words():
    mixed = with_words_shuffled(TEXTS)
    assert all(sorted(a.split()) == sorted(b.split()) for a, b in zip(mixed, TEXTS))
    assert all(a != b for a, b in zip(mixed, TEXTS) if len(set(b.split())) > 1)
    assert mixed == with_words_shuffled(TEXTS) != with_words_shuffled(TEXTS, seed=1)
