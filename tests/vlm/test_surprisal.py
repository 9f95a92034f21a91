"""Surprisal of a caption's tokens, by hand and by what it must not depend on; kinds of words."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.vlm import surprisal as surprisal_module
from vizer_core.vlm.surprisal import (
    nats_by_kind,
    surprisal_with_image,
    surprisal_without_image,
    words_of,
)
from vizer_core.vlm.word_kinds import plain_word_kind, replace_words
from vizer_lab.world.word_kinds import KINDS, drawn_word_kind

TEXTS = ("a red dog on the boat", "itap of cat", "")


@pytest.fixture(scope="module")
def vlm():
    return tiny_smol()


@pytest.fixture(scope="module")
def vision(vlm):
    return vlm.encode_image(noise_images(3))


def test_surprisal_is_the_log_probability_that_a_plain_forward_gives(vlm, vision):
    captions = vlm.tokenize(TEXTS)
    found = surprisal_with_image(vlm, vision, captions)
    logits = vlm.token_logits(vlm.caption_states(vision, captions))[0, 1]
    chance = logits.softmax(-1)[captions.ids[0, 1]]
    torch.testing.assert_close(found[0, 1], -chance.log().detach())
    assert (found[captions.mask] > 0).all() and (found[~captions.mask] == 0).all()


def test_batches_do_not_change_it_and_the_image_does(vlm, vision, monkeypatch):
    captions = vlm.tokenize(TEXTS)
    right = surprisal_with_image(vlm, vision, captions)
    alone = surprisal_without_image(vlm, captions)
    wrong = surprisal_with_image(vlm, vision.select([1, 2, 0]), captions)
    monkeypatch.setattr(surprisal_module, "BATCH", 2)
    torch.testing.assert_close(surprisal_with_image(vlm, vision, captions), right)
    torch.testing.assert_close(surprisal_without_image(vlm, captions), alone)
    assert not torch.allclose(wrong, right) and not torch.allclose(alone, right)


def test_text_alone_is_the_same_whatever_stands_beside_it(vlm):
    both = surprisal_without_image(vlm, vlm.tokenize(TEXTS[:2]))
    one = surprisal_without_image(vlm, vlm.tokenize(TEXTS[1:2]))
    torch.testing.assert_close(both[1:, : one.shape[1]], one)


def test_every_token_has_its_word_and_the_end_has_none(vlm):
    words = words_of(vlm, vlm.tokenize(TEXTS))
    assert words[0] == ("a", "red", "dog", "on", "the", "boat", "")
    assert words[1:] == (("itap", "of", "cat", ""), ("",))


def test_tokens_that_split_a_word_share_it(vlm, monkeypatch):
    pieces = {4: "a", 5: " gui", 6: "tar", 7: " red"}

    def decode(ids):
        return tuple("".join(pieces.get(int(i), "") for i in row) for row in ids)

    monkeypatch.setattr(vlm, "decode", decode)
    row = surprisal_module._words_of_row(vlm, torch.tensor([4, 5, 6, 7, 3]))
    assert row == ("a", "guitar", "guitar", "red", "")
    pieces.update({5: " dog", 6: ",", 7: " cat."})
    row = surprisal_module._words_of_row(vlm, torch.tensor([4, 5, 6, 7, 3]))
    assert row == ("a", "dog", ",", "cat.", "")


def test_kinds_share_out_the_whole_surprisal():
    nats = torch.rand(2, 4, generator=torch.Generator().manual_seed(0))
    words = (("a", "dog", "two", ""), ("two", "dogs", "", ""))
    found = nats_by_kind(nats, words, plain_word_kind)
    parts = sum(value.rows.sum(axis=0) for kind, value in found.items() if kind != "all tokens")
    assert parts == pytest.approx(found["all tokens"].rows.sum(axis=0))
    assert found["all tokens"].rows[:, 1].sum() == 8
    assert list(found)[:3] == ["all tokens", "end", "first word"]


def test_drawn_words_have_the_kind_that_the_world_gives_them():
    said = {"bunny": "object", "churches": "object", "dunes": "place", "few": "number"}
    said |= {"beside": "relation", "little": "size or colour", "stock": "other word"}
    said |= {"dog,": "object", "six": "number", ",": "other word"}
    assert {word: drawn_word_kind(word) for word in said} == said
    assert set(said.values()) | {"other word"} == set(KINDS)


def test_replaced_words_are_others_of_their_kind_and_the_rest_stays():
    texts = ["two dogs on a lawn", "three cats", "no number here"]
    new = replace_words(
        texts, "number", kind_of=plain_word_kind, generator=torch.Generator().manual_seed(1)
    )
    assert new == ("three dogs on a lawn", "two cats", "no number here")


def test_a_mark_stays_where_it_is_when_its_word_is_replaced():
    rng = torch.Generator().manual_seed(0)
    new = replace_words(["two dogs, red", "cat"], "object", kind_of=drawn_word_kind, generator=rng)
    assert new == ("two cat, red", "dogs")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v, i: surprisal_with_image(v, i, v.tokenize(["a"])), "1 captions for 3 images"),
        (
            lambda v, i: nats_by_kind(torch.zeros(1, 1), (), plain_word_kind),
            "got 1 rows of surprisal for 0 captions",
        ),
        (
            lambda v, i: replace_words(
                ["two dogs"], "number", kind_of=plain_word_kind, generator=torch.Generator()
            ),
            "1 different words of kind 'number' in 1 captions: wanted at least 2",
        ),
    ],
)
def test_wrong_input_is_named(call, message, vlm, vision):
    with pytest.raises(ValueError, match=message):
        call(vlm, vision)
