"""Socratic Models: what CLIP names, how a language model is told, what is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_captioners import encoder, states, tiny_lm, word_lists
from tiny_clip import WORDS

from vizer_core.captioners import Socratic
from vizer_core.captioners.socratic import (
    CompletionPrompt,
    Finding,
    NotesPrompt,
    Prompting,
    TagPrefix,
    WordList,
    find_words,
    first_sentence,
)
from vizer_core.decoding import Greedy, Sample
from vizer_core.runtime import seeded
from vizer_lab.world.lexicon import HOME_PLACES, OBJECTS
from vizer_lab.world.word_lists import drawn_word_lists

FOUND = (Finding("objects", ("w3", "w5")), Finding("place", ("w9",)))


def test_clip_names_the_words_whose_texts_are_nearest():
    objects, place = word_lists()
    wanted = encoder().encode_text([objects.texts[4], objects.texts[9]])
    found = find_words(wanted, (objects, place), encoder())
    assert [row[0].words[0] for row in found] == [WORDS[4], WORDS[9]]
    assert [len(row[0].words) for row in found] == [3, 3] and len(found[0][1].words) == 1
    scores = wanted @ encoder().encode_text(objects.texts).T
    best = scores[0].argsort(descending=True)[:3].tolist()
    assert found[0][0].words == tuple(WORDS[i] for i in best)


def test_tags_stand_in_front_of_bos_at_one_length():
    lm = tiny_lm()
    prefix = TagPrefix(4).prefix([FOUND, FOUND[:1]], lm)
    ids = lm.tokenize(["w3 w5 w9 w3", "w3 w5 w3 w5"]).ids[:, 1:-1]
    torch.testing.assert_close(prefix, lm.embed(ids))
    torch.testing.assert_close(TagPrefix(2).prefix([FOUND], lm), lm.embed(ids[:1, :2]))
    assert TagPrefix().prompts([FOUND, FOUND]) == ["", ""]


def test_notes_stand_behind_bos():
    prompting = NotesPrompt("w1", "w2")
    assert prompting.prefix([FOUND], tiny_lm()).shape == (1, 0, 16)
    assert prompting.prompts([FOUND[:1]]) == ["w1 Objects: w3, w5. w2"]


def system(completions: int, decoding=None) -> Socratic:
    return Socratic(
        encoder(), tiny_lm(), word_lists(), TagPrefix(), completions,
        decoding or Sample(temperature=2.0, max_tokens=4), batch_size=2,
    )  # fmt: skip


def test_one_greedy_completion_is_what_the_language_model_writes():
    lm = tiny_lm()
    found = find_words(states().image_features, word_lists(), encoder())
    expected = lm.generate(TagPrefix().prefix(found, lm), decoding=Greedy(4)).texts
    assert system(1, Greedy(4)).caption(states(), generator=seeded(0)) == list(expected)


def test_clip_takes_the_nearest_completion():
    several = system(6).candidates(states(), generator=seeded(0))
    assert several.scores.shape == (5, 6) and len(set(several.texts[0])) > 1
    for image, texts, scores in zip(states().image_features, several.texts, several.scores):
        torch.testing.assert_close(scores, encoder().encode_text(texts) @ image)
    assert system(6).caption(states(), generator=seeded(0)) == several.best


def test_a_completion_ends_with_its_first_sentence():
    assert first_sentence("") == "" and first_sentence("\n a dog\nQ: x") == "a dog"
    assert first_sentence("a dog") == "a dog" and first_sentence("A cat. A dog.") == "A cat."


def test_a_quoted_caption_ends_with_its_quotation_mark():
    assert first_sentence(' a dog on a lawn". Next photo: "a cat"') == "a dog on a lawn"
    assert first_sentence('"a cat. A dog"') == "a cat." and first_sentence('""') == ""
    assert first_sentence('a dog"\na cat') == "a dog"


def test_a_completion_goes_on_from_a_caption_that_has_begun():
    lm, prompting = tiny_lm(), CompletionPrompt("w1", "w2", "w4")
    assert prompting.prompts([FOUND]) == ['w1 Objects: w3, w5. Place: w9. w2 "w4']
    assert prompting.prefix([FOUND, FOUND], lm).shape == (2, 0, lm.width)
    assert isinstance(prompting, Prompting)


def test_the_drawn_worlds_words_are_lists():
    objects, place = drawn_word_lists([p.name for p in HOME_PLACES], top_places=2)
    assert len(objects.words) == len(OBJECTS) and "a photo of a dog" in objects.texts
    assert place.words[0] == "in the snow" and place.texts[0] == "a photo in the snow"
    with pytest.raises(ValueError, match=r"no such places: \['moon'\]"):
        drawn_word_lists(["moon"])


def test_lists_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="'x' has 2 words, 1 texts and keeps 1"):
        WordList("x", ("a", "b"), ("a",))
    with pytest.raises(ValueError, match="keeps 3: wanted a text per word, and 1 to 2 kept"):
        WordList.from_template("x", ["a", "b"], top=3)
    with pytest.raises(ValueError, match=r"has no \{\} for the word"):
        WordList.from_template("x", ["a"], "a photo")
    with pytest.raises(ValueError, match="no word lists"):
        replace(system(1), lists=()).caption(states(), generator=seeded(0))
