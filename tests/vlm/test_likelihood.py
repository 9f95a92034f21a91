"""Log-probabilities of caption tokens: by the whole table, padding, temperature, refusals."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_vlm import noise_images, tiny_qwen, tiny_smol

from vizer_core.decoding import Sample
from vizer_core.runtime import seeded
from vizer_core.vlm.language_side import base_kl, log_probs_of, token_log_probs


@pytest.mark.parametrize("make", [tiny_smol, tiny_qwen])
def test_they_are_those_of_the_whole_table_and_0_at_padding(make):
    vlm = make()
    vision = vlm.encode_image(noise_images(3))
    captions = vlm.generate(vision, decoding=Sample(max_tokens=6), samples=2, generator=seeded(1))
    captions.mask[0, 2:] = False
    states = vlm.caption_states(vision, captions)
    table = vlm.token_logits(states[:, :-1]).float().log_softmax(dim=-1)
    wanted = table.gather(-1, captions.ids[..., None])[..., 0].masked_fill(~captions.mask, 0.0)
    found = token_log_probs(vlm, states, captions)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert float(found[0, 2:].abs().sum()) == 0
    logits = vlm.token_logits(states[:, :-1][captions.mask])
    cooler = log_probs_of(logits, captions, temperature=0.5)
    torch.testing.assert_close(cooler, log_probs_of(2 * logits, captions))


def test_logits_of_padding_are_refused():
    vlm = tiny_smol()
    captions = vlm.tokenize(["a cat", "a"])
    count = int(captions.mask.sum())
    logits = torch.zeros(captions.mask.numel(), 8)
    with pytest.raises(ValueError, match=f"{len(logits)} rows of logits for {count} caption tok"):
        log_probs_of(logits, captions)


def test_the_distance_from_the_base_by_hand_and_its_zero():
    a, b = (torch.randn(6, 5, generator=seeded(seed)) for seed in (0, 1))
    base, new = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.1, 0.9]]).log()
    wanted = 0.5 * math.log(0.5 / 0.1) + 0.5 * math.log(0.5 / 0.9)
    assert float(base_kl(base, new)) == pytest.approx(wanted, rel=1e-5)
    assert float(base_kl(a, a + 7)) == pytest.approx(0.0, abs=1e-6)  # logits up to a constant
    assert float(base_kl(a, b)) > 0
    with pytest.raises(ValueError, match="with at least one position"):
        base_kl(a[:0], b[:0])
