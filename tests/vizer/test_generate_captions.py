"""Decoding baselines: first words by the long way, a ban that works, samples laid out by image."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.decoding import Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.vizer.generate_captions import (
    first_token_mass,
    generate_captions,
    sample_captions,
    share_captions,
    suppressed_first_words,
    vision_batches,
)

SHORT = Greedy(max_tokens=4)


@pytest.fixture(scope="module")
def model():
    vlm = tiny_smol()
    return vlm, vlm.encode_image(noise_images(5))


def test_batches_keep_the_order_and_leave_no_image_out(model):
    _, vision = model
    parts = list(vision_batches(vision, batch=2))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat([p.image_features for p in parts]), vision.image_features)


def test_first_token_mass_is_the_mean_of_the_models_own_distribution(model):
    vlm, vision = model
    everything = first_token_mass(vlm, vision, top=1000)
    assert list(everything.values()) == sorted(everything.values(), reverse=True)
    probabilities = torch.zeros(len(vlm.processor.tokenizer))
    for i in range(len(vision)):
        states = vlm.caption_states(vision.select([i]), vlm.tokenize(["cat"]))
        probabilities += vlm.token_logits(states[0, 0]).detach().softmax(dim=-1) / len(vision)
    for word, mass in everything.items():
        (token,) = vlm.processor.tokenizer.encode(word, add_special_tokens=False)
        assert mass == pytest.approx(float(probabilities[token]), abs=1e-5)
    assert "" not in everything and sum(everything.values()) < 1
    assert first_token_mass(vlm, vision, top=2) == dict(list(everything.items())[:2])


def test_the_likeliest_first_words_are_banned_and_come_no_more(model):
    vlm, vision = model
    before = generate_captions(vlm, vision, decoding=SHORT)
    found = suppressed_first_words(vlm, vision, words=3, decoding=SHORT)
    assert found.banned == tuple(first_token_mass(vlm, vision, top=3))
    assert any(text.split()[:1] and text.split()[0] in found.banned for text in before)
    assert not any(text.split()[0] in found.banned for text in found.texts if text)


def test_another_prompt_is_another_baseline(model):
    vlm, vision = model
    texts = generate_captions(vlm, vision, decoding=SHORT, prompt="<image> what is on the photo")
    assert len(texts) == 5 and texts != generate_captions(vlm, vision, decoding=SHORT)


def test_samples_stand_one_row_an_image_and_repeat_with_the_seed(model):
    vlm, vision = model
    rule = Sample(max_tokens=4)
    rows = sample_captions(vlm, vision, samples=3, decoding=rule, generator=seeded(0))
    again = sample_captions(vlm, vision, samples=3, decoding=rule, generator=seeded(0))
    assert rows == again and [len(row) for row in rows] == [3] * 5
    flat = vlm.generate(vision, decoding=rule, samples=3, generator=seeded(0)).texts
    assert [text for row in rows for text in row] == list(flat)
    assert rows != sample_captions(vlm, vision, samples=3, decoding=rule, generator=seeded(1))


def test_errors_by_message(model):
    vlm, vision = model
    with pytest.raises(ValueError, match="the source contains no image"):
        generate_captions(vlm, vision.select([]))
    with pytest.raises(ValueError, match="samples is 0"):
        sample_captions(vlm, vision, samples=0, generator=seeded(0))
    with pytest.raises(ValueError, match="top is 0"):
        first_token_mass(vlm, vision, top=0)


def test_where_another_process_fails_this_one_does_too(model, monkeypatch):
    """Nobody waits for captions that will not come."""
    vlm, vision = model
    assert share_captions(vlm, vision, decoding=SHORT) == generate_captions(
        vlm, vision, decoding=SHORT
    )
    monkeypatch.setattr(
        "vizer_core.vizer.generate_captions.gather_items", lambda mine: [*mine, "an image is torn"]
    )
    with pytest.raises(ValueError, match="an image is torn"):
        share_captions(vlm, vision, decoding=SHORT)
    with pytest.raises(ValueError, match="source contains no image"):
        share_captions(vlm, vision.select([]))
