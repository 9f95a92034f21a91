"""The mass of first words: the mean of the model's own distribution, whatever the batches."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.vlm.first_words import _likeliest, first_word_mass


@pytest.fixture(scope="module")
def model():
    vlm = tiny_smol()
    return vlm, vlm.encode_image(noise_images(5))


def test_it_is_the_mean_of_what_the_model_says_of_each_image(model):
    vlm, vision = model
    found = first_word_mass(vlm, [vision], top=3)
    assert list(found.values()) == sorted(found.values(), reverse=True) and len(found) == 3
    for word, mass in found.items():
        token = vlm.tokenize([word]).ids[0, 0]
        each = []
        for index in range(len(vision)):
            states = vlm.caption_states(vision.select([index]), vlm.tokenize(["cat"]))
            each.append(vlm.token_logits(states[0, 0]).detach().softmax(dim=-1)[token])
        assert mass == pytest.approx(float(torch.stack(each).mean()), abs=1e-6)


def test_batches_and_how_many_are_asked_for_change_nothing(model):
    vlm, vision = model
    whole = first_word_mass(vlm, [vision], top=8)
    parts = [vision.select([0, 1, 2]), vision.select([3]), vision.select([4])]
    assert first_word_mass(vlm, parts, top=8) == pytest.approx(whole, abs=1e-6)
    assert first_word_mass(vlm, [vision], top=2) == dict(list(whole.items())[:2])


def test_marks_are_passed_over_and_tokens_of_one_word_are_one(model, monkeypatch):
    vlm, vision = model
    every = list(first_word_mass(vlm, [vision], top=1000).items())
    mass = [value for _, value in every]
    names = {word: "" if index < 8 else "cat" if index < 10 else word
             for index, (word, _) in enumerate(every)}  # fmt: skip
    plain = type(vlm).decode
    monkeypatch.setattr(
        type(vlm), "decode", lambda self, ids: tuple(names.get(w, w) for w in plain(self, ids))
    )
    found = first_word_mass(vlm, [vision], top=1)  # four tokens at a time: eight marks fill two
    assert found.keys() == {"cat"} and found["cat"] >= mass[8] - 1e-9
    assert first_word_mass(vlm, [vision], top=1000)["cat"] >= mass[8]


def test_errors_by_message(model):
    vlm, vision = model
    with pytest.raises(ValueError, match="top is 0: wanted at least 1 word"):
        first_word_mass(vlm, [vision], top=0)
    with pytest.raises(ValueError, match="got no image"):
        first_word_mass(vlm, [], top=1)


def test_all_tokens_of_a_word_are_added_before_words_are_chosen(model, monkeypatch):
    vlm, _ = model
    monkeypatch.setattr(
        type(vlm), "decode", lambda self, ids: tuple(("a", "the")[int(i) // 2] for i in ids)
    )
    mass = torch.tensor([0.30, 0.24, 0.25, 0.21], dtype=torch.float64)
    assert _likeliest(vlm, mass, 1) == pytest.approx({"a": 0.54})
    assert _likeliest(vlm, mass, 2) == pytest.approx({"a": 0.54, "the": 0.46})
    assert list(_likeliest(vlm, mass[[2, 0, 1, 3]] - 0.2, 2)) == ["a", "the"]
