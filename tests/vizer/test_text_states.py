"""States that a mapper trains on: read alone or after an image, by the base, padding invisible."""

from __future__ import annotations

import pytest
import torch
from tiny_vlm import noise_images, tiny_smol

from vizer_core.decoding import Greedy, Sample
from vizer_core.runtime import seeded
from vizer_core.vizer import text_states
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vizer.pooling import last_read
from vizer_core.vizer.text_states import (
    ImageSource,
    generated_states,
    ground_truth_states,
    ground_truth_states_in_context,
    read_back_states,
    token_states,
)

TEXTS = ["a dog", "the red ball on the blue boat", "cat", "a cat near the boat", "dog and cat"]
IMAGES = noise_images(5)


@pytest.fixture(scope="module")
def vlm():
    return tiny_smol()


@pytest.fixture(scope="module")
def vision(vlm):
    return vlm.encode_image(IMAGES)


def test_ground_truth_states_are_the_mean_of_each_caption_read_alone(vlm):
    out = ground_truth_states(vlm, TEXTS)
    for text, row in zip(TEXTS, out, strict=True):
        alone = vlm.text_states(vlm.tokenize([text]))[0, 1:]
        assert torch.allclose(row, alone.mean(dim=0), atol=1e-5)
    assert out.dtype == torch.float32 and not out.requires_grad


def test_batches_do_not_change_states(vlm, monkeypatch):
    whole = ground_truth_states(vlm, TEXTS)
    monkeypatch.setattr(text_states, "BATCH", 2)
    assert torch.allclose(ground_truth_states(vlm, TEXTS), whole, atol=1e-5)


def test_token_states_pool_to_the_same_and_hold_zeros_at_padding(vlm):
    tokens = token_states(vlm, TEXTS)
    pooled = last_read(tokens.states, tokens.mask)
    assert torch.allclose(pooled, ground_truth_states(vlm, TEXTS, pool=last_read), atol=1e-5)
    assert bool((tokens.states[:, 1:][~tokens.mask] == 0).all()) and len(tokens) == 5


def test_states_in_context_follow_the_image_and_text_states_do_not(vlm, vision):
    right = ground_truth_states_in_context(vlm, vision, TEXTS)
    other = ground_truth_states_in_context(vlm, vision.select([4, 0, 1, 2, 3]), TEXTS)
    assert right.texts == tuple(TEXTS) and len(right) == 5
    assert torch.equal(right.image_features, vision.image_features)
    assert bool(((right.states - other.states).norm(dim=1) > 1e-3).all())
    by_hand = vlm.caption_states(vision.select([2]), vlm.tokenize(["cat"]))[0, 1:]
    assert torch.allclose(right.states[2], by_hand.mean(dim=0), atol=1e-5)


def test_generated_states_are_those_of_the_captions_that_were_written(vlm, vision):
    out = generated_states(vlm, vision, decoding=Greedy(6))
    captions = vlm.generate(vision, decoding=Greedy(6))
    assert out.texts == captions.texts
    states = vlm.caption_states(vision, captions)
    for row, each, mask in zip(out.states, states, captions.mask, strict=True):
        assert torch.allclose(row, each[1:][mask].mean(dim=0), atol=1e-5)


def test_read_back_states_see_the_words_only(vlm, vision):
    out = read_back_states(vlm, vision, decoding=Sample(max_tokens=6), generator=seeded(1))
    captions = vlm.generate(vision, decoding=Sample(max_tokens=6), generator=seeded(1))
    assert out.texts == captions.texts
    states = vlm.text_states(captions)
    for row, each, mask in zip(out.states, states, captions.mask, strict=True):
        assert torch.allclose(row, each[1:][mask].mean(dim=0), atol=1e-5)


def test_images_and_what_was_encoded_before_give_the_same(vlm, vision):
    source = ImageSource(vlm, IMAGES)
    assert len(source) == 5
    ours = generated_states(vlm, source, decoding=Greedy(6))
    theirs = generated_states(vlm, vision, decoding=Greedy(6))
    assert ours.texts == theirs.texts and torch.allclose(ours.states, theirs.states, atol=1e-5)


def test_an_adapter_changes_nothing_here(vision):
    vlm = tiny_smol()
    before = ground_truth_states(vlm, TEXTS)
    generated = generated_states(vlm, vision, decoding=Greedy(6))
    add_lora(vlm, LoraSettings(2, 4), generator=seeded(0))
    with torch.no_grad():
        for parameter in lora_parameters(vlm).values():
            parameter.normal_(generator=seeded(1))
    assert torch.equal(ground_truth_states(vlm, TEXTS), before)
    again = generated_states(vlm, vision, decoding=Greedy(6))
    assert again.texts == generated.texts and torch.equal(again.states, generated.states)
    changed = vlm.text_states(vlm.tokenize(TEXTS[:1]))[0, 1:].mean(dim=0)
    assert not torch.allclose(changed, before[0], atol=1e-3)


def test_errors_say_what_is_wrong(vlm, vision):
    with pytest.raises(ValueError, match="got no captions and no images"):
        ground_truth_states(vlm, [])
    with pytest.raises(ValueError, match="4 captions for 5 images"):
        ground_truth_states_in_context(vlm, vision, TEXTS[:4])
