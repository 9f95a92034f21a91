"""Writing token by token equals reading the whole; states branch; the cache is open to change."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vizer_core.language import no_prefix, pick, start, step
from vizer_core.runtime import seeded

PROMPTS = ["a", "a small dog on a", "the cat"]
STEPS = torch.tensor([[5, 6, 7], [9, 9, 8], [11, 5, 6]])  # [step, row]


def prefix_of(lm, q: int = 3) -> torch.Tensor:
    scale = lm.embed(torch.arange(4, 20)[None]).std()
    return torch.randn(3, q, lm.width, generator=seeded(3)) * scale


@pytest.mark.parametrize("q", [0, 3])
def test_stepping_equals_reading_the_whole(lm, q):
    prefix = prefix_of(lm, q)
    state, whole = start(lm, prefix, PROMPTS), lm.opening(prefix, PROMPTS)
    embeddings, mask = whole.embeddings, whole.mask
    for ids in [None, *STEPS]:
        if ids is not None:
            state = step(lm, state, ids)
            embeddings = torch.cat([embeddings, lm.embed(ids[:, None])], dim=1)
            mask = torch.cat([mask, torch.ones(3, 1, dtype=torch.bool)], dim=1)
        assert torch.equal(state.mask, mask)
        logits, hidden = lm.logits(embeddings, mask), lm.hidden_states(embeddings, mask)
        assert torch.allclose(state.logits, logits[:, -1], atol=1e-5)
        assert torch.allclose(state.hidden[mask], hidden[mask], atol=1e-5)


def test_a_state_stays_good_after_steps_from_it(lm):
    before = start(lm, prefix_of(lm), PROMPTS)
    keys = before.cache[0][0].clone()
    one = step(lm, before, STEPS[0])
    step(lm, one, STEPS[1])
    step(lm, before, STEPS[2])
    assert torch.equal(before.cache[0][0], keys)
    assert torch.equal(step(lm, before, STEPS[0]).logits, one.logits)


def test_picked_rows_go_on_as_their_originals(lm):
    state = start(lm, prefix_of(lm), PROMPTS)
    rows = torch.tensor([2, 0, 0])
    picked = step(lm, pick(state, rows), STEPS[0])
    wanted = torch.stack([step(lm, state, ids.expand(3)).logits[row]
                          for ids, row in zip(STEPS[0], rows)])  # fmt: skip
    assert torch.allclose(picked.logits, wanted, atol=1e-5)
    many = pick(state, torch.arange(3).repeat_interleave(4))
    assert many.logits.shape[0] == 12 and torch.equal(many.logits[5], state.logits[1])


def test_gradients_reach_cached_keys_and_values_and_move_the_next_word(lm):
    before = start(lm, no_prefix(lm, 1), ["a small"])
    shifts = [torch.zeros_like(t, requires_grad=True) for pair in before.cache for t in pair]
    moved = iter(shifts)
    shifted = replace(before, cache=tuple((k + next(moved), v + next(moved))
                                          for k, v in before.cache))  # fmt: skip
    word = torch.tensor([7])
    loss = step(lm, shifted, word).logits.log_softmax(-1)[0, 9]
    gradients = torch.autograd.grad(loss, shifts)
    assert all(bool((g != 0).any()) for g in gradients)
    size = sum(float(g.square().sum()) for g in gradients) ** 0.5
    up = iter(g * (0.01 / size) for g in gradients)
    better = replace(before, cache=tuple((k + next(up), v + next(up)) for k, v in before.cache))
    gain = step(lm, better, word).logits.log_softmax(-1)[0, 9] - loss
    assert float(gain.detach()) == pytest.approx(0.01 * size, rel=0.2)


def test_wrong_steps_are_told_what_to_do(opt):
    state = start(opt, prefix_of(opt), PROMPTS)
    with pytest.raises(ValueError, match="2 ids for 3 rows: wanted one id per row"):
        step(opt, state, torch.tensor([1, 2]))
    full = start(opt, torch.zeros(1, 47, 32))
    with pytest.raises(ValueError, match="tiny-opt has 48 positions and all are taken"):
        step(opt, full, torch.tensor([5]))
