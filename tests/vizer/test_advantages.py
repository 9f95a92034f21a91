"""Advantages and losses: closed forms, TRL's formulas written out in numpy, and unbiasedness."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.vizer.policy_gradient import (
    group_mean,
    grpo,
    rloo,
    scaled_by_batch,
    scst,
    sequence_loss,
)

REWARDS = torch.randn(5, 4, generator=seeded(0))


def ragged(m: int = 6, t: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log-probabilities and a right-padded mask whose padding holds NaN."""
    mask = torch.arange(t)[None] < torch.tensor([5, 1, 3, 2, 4, 5])[:m, None]
    log_probs = -torch.rand(m, t, generator=seeded(1))
    return log_probs.masked_fill(~mask, float("nan")), mask


def test_rloo_is_each_reward_minus_the_mean_of_the_others():
    wanted = torch.empty_like(REWARDS)
    for i, row in enumerate(REWARDS):
        for j in range(4):
            others = torch.cat([row[:j], row[j + 1 :]])
            wanted[i, j] = row[j] - others.mean()
    assert torch.allclose(rloo(REWARDS), wanted, atol=1e-6)


def test_numbers_are_those_of_trls_formulas():
    """TRL's trainers flatten rewards image by image; their lines, written out in numpy."""
    flat, k = REWARDS.numpy().reshape(-1).astype(np.float64), 4
    grouped = flat.reshape(-1, k)
    sums = grouped.sum(axis=1, keepdims=True)
    trl_rloo = (flat.reshape(-1, k) - (sums - grouped) / (k - 1)).reshape(-1)
    trl_grpo = (flat - grouped.mean(axis=1).repeat(k)) / (
        grouped.std(axis=1, ddof=1).repeat(k) + 1e-4
    )
    np.testing.assert_allclose(rloo(REWARDS).reshape(-1).numpy(), trl_rloo, atol=1e-6)
    np.testing.assert_allclose(grpo(REWARDS).reshape(-1).numpy(), trl_grpo, rtol=1e-5, atol=1e-6)
    spread = trl_rloo / (trl_rloo.std(ddof=1) + 1e-4)
    np.testing.assert_allclose(
        scaled_by_batch(rloo(REWARDS)).reshape(-1).numpy(), spread, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("advantage", [rloo, group_mean, grpo])
def test_a_reward_common_to_an_image_changes_nothing(advantage):
    moved = REWARDS + torch.arange(5.0)[:, None]
    assert torch.allclose(advantage(moved), advantage(REWARDS), atol=1e-5)
    assert torch.allclose(advantage(REWARDS).sum(dim=1), torch.zeros(5), atol=1e-5)


def test_scst_rewards_what_beats_the_greedy_caption():
    greedy = REWARDS.median(dim=1).values
    assert ((scst(REWARDS, greedy) > 0) == (greedy[:, None] < REWARDS)).all()


def test_grpo_ignores_the_size_of_rewards_and_rloo_does_not():
    assert torch.allclose(grpo(100 * REWARDS), grpo(REWARDS), rtol=1e-3)
    assert torch.allclose(rloo(100 * REWARDS), 100 * rloo(REWARDS), rtol=1e-4)


def test_losses_by_hand_and_padding_is_never_read():
    log_probs, mask = ragged()
    advantages = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0, -1.0])
    sums = torch.stack([row[keep].sum() for row, keep in zip(log_probs, mask)])
    assert torch.allclose(sequence_loss(log_probs, mask, advantages), -(advantages * sums).mean())


def test_gradients_are_trls_at_the_first_step_after_sampling():
    """There the ratio exp(log p - log p_old) is 1, and clipping does nothing."""
    values, mask = ragged()
    advantages = torch.randn(6, generator=seeded(2))
    mine, theirs = (values.nan_to_num().clone().requires_grad_() for _ in range(2))
    sequence_loss(mine, mask, advantages).backward()
    total = (theirs * mask).sum(dim=1)
    ratio = (total - total.detach()).exp()
    clipped = ratio.clamp(0.8, 1.2)
    (-torch.minimum(ratio * advantages, clipped * advantages)).mean().backward()
    assert torch.allclose(mine.grad, theirs.grad, atol=1e-7)
    assert float(mine.grad[~mask].abs().sum()) == 0.0


def test_the_rloo_gradient_is_the_gradient_of_the_expected_reward():
    """Over all draws of k = 2 from three words, weighted by their chance, nothing is left over."""
    logits = torch.tensor([0.3, -0.5, 1.1], requires_grad=True)
    worth = torch.tensor([1.0, 4.0, -2.0])
    (true,) = torch.autograd.grad((logits.softmax(0) * worth).sum(), logits)
    estimate = torch.zeros(3)
    for a in range(3):
        for b in range(3):
            log_p = logits.log_softmax(0)[[a, b]]
            loss = sequence_loss(
                log_p[:, None], torch.ones(2, 1, dtype=bool), rloo(worth[[a, b]][None])[0]
            )
            (grad,) = torch.autograd.grad(loss, logits)
            estimate += float(log_p.detach().sum().exp()) * -grad
    assert torch.allclose(estimate, true, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rloo(torch.ones(3, 1)), "a group baseline needs at least 2"),
        (lambda: grpo(torch.ones(3, 1)), "a group baseline needs at least 2"),
        (lambda: scst(torch.ones(3, 2), torch.ones(2)), "got 2 greedy rewards for 3 images"),
        (lambda: scaled_by_batch(torch.ones(1, 1)), "got 1 advantages"),
        (
            lambda: sequence_loss(torch.ones(2, 3), torch.ones(2, 3, dtype=bool), torch.ones(4)),
            "and 4 advantages: wanted one mask entry per token",
        ),
        (
            lambda: sequence_loss(torch.ones(2, 3), torch.zeros(2, 3, dtype=bool), torch.ones(2)),
            "2 of 2 captions have no token",
        ),
    ],
)
def test_errors_by_message(call, message):
    with pytest.raises(ValueError, match=message):
        call()
