"""The drawn VLM's captions: exact ones are true and whole, the web has its shares of faults."""

from __future__ import annotations

import re

import pytest

from vizer_lab.world.world import Scene, SceneObject, make_scene
from vizer_lab.zoo.noisy_captions import (
    GENERIC,
    ONE_OBJECT,
    CaptionNoise,
    caption_draw,
    exact_caption,
    noisy_caption,
    reading_order,
)
from vizer_lab.zoo.vlm_processor import WORD_PATTERN, vlm_vocabulary
from vizer_lab.zoo.vlm_scores import caption_scores

SCENES = [make_scene("second_validation", i) for i in range(400)]
ONLY = {
    "generic": CaptionNoise(1.0, 0.0, 0.0),
    "partial": CaptionNoise(0.0, 1.0, 0.0),
    "wrong": CaptionNoise(0.0, 0.0, 1.0),
    "decent": CaptionNoise(0.0, 0.0, 0.0),
}


def words_of(text: str) -> list[str]:
    return re.findall(WORD_PATTERN, text)


def exact(scenes: list[Scene], visit: int = 0) -> list[str]:
    return [exact_caption(s, caption_draw(s.split, s.index, visit)) for s in scenes]


def web(mix: CaptionNoise, scenes: list[Scene] = SCENES) -> list[str]:
    return [noisy_caption(s, caption_draw(s.split, s.index, 0), mix) for s in scenes]


def test_exact_captions_are_true_and_leave_no_object_out() -> None:
    scores = caption_scores(exact(SCENES), SCENES)
    for name in ("object_precision", "object_recall", "relation_accuracy", "background_accuracy"):
        assert scores[name] == 1.0, name
    assert 0.75 < scores["background_said"] < 0.95 and 0.4 < scores["relation_said"] < 0.95


def test_objects_come_in_reading_order() -> None:
    things = (
        SceneObject("dog", 0.9, 0.1, 0.3, False),
        SceneObject("cat", 0.1, 0.2, 0.3, False),
        SceneObject("car", 0.2, 0.9, 0.3, False),
        SceneObject("cat", 0.6, 0.9, 0.3, False),
    )
    assert [o.name for o in reading_order(things)] == ["cat", "dog", "car", "cat"]
    caption = exact_caption(Scene("second_test", 0, things, "snow", 0), lambda: 0.99)
    assert caption == "two cats, a dog and a car"


def test_another_visit_brings_another_caption_and_the_same_visit_the_same() -> None:
    assert exact(SCENES) == exact(SCENES)
    changed = sum(a != b for a, b in zip(exact(SCENES), exact(SCENES, visit=1)))
    assert changed > 0.5 * len(SCENES)


@pytest.mark.parametrize(
    ("sort", "vague", "precision", "recall"),
    [
        ("generic", (0.9, 1), (0, 0.1), (0, 0.1)),  # "home" is a word for a house too
        ("partial", (0, 0), (1, 1), (0.25, 0.5)),
        ("wrong", (0, 0), (0, 0.1), (0, 0.1)),
        ("decent", (0, 0), (1, 1), (1, 1)),
    ],
)
def test_each_sort_of_noisy_caption_has_its_fault(sort, vague, precision, recall) -> None:
    scores = caption_scores(web(ONLY[sort]), SCENES)
    assert vague[0] <= scores["vague"] <= vague[1]
    assert precision[0] <= scores["object_precision"] <= precision[1]
    assert recall[0] <= scores["object_recall"] <= recall[1]


def test_the_mix_keeps_its_shares() -> None:
    mix = CaptionNoise(generic=0.30, partial=0.28, wrong=0.22)
    texts = web(mix)
    assert sum(text in GENERIC for text in texts) / len(texts) == pytest.approx(0.30, abs=0.07)
    assert mix.decent == pytest.approx(0.20)


def test_every_word_is_in_the_vocabulary() -> None:
    known = set(vlm_vocabulary())
    texts = exact(SCENES) + [text for mix in ONLY.values() for text in web(mix)]
    assert {word for text in texts for word in words_of(text)} <= known
    forms = [*GENERIC, *(form.format("", bare="") for form in ONE_OBJECT)]
    assert {word for text in forms for word in words_of(text)} <= known


def test_shares_that_are_no_shares_are_refused() -> None:
    with pytest.raises(ValueError, match="shares of web captions"):
        CaptionNoise(generic=0.8, partial=0.3, wrong=0.0)
