"""Half-precision steps: unscale, then clip (pitfall 14)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vizer_core.textonly.update import GRADIENT_NORM, apply_gradients, precision_of


def linear_and_loss(scale: float = 50.0) -> tuple[nn.Linear, torch.Tensor]:
    torch.manual_seed(0)
    layer = nn.Linear(4, 4)
    return layer, scale * layer(torch.randn(8, 4)).square().mean()


def step(enabled: bool, loss_scale: float = 50.0) -> tuple[nn.Linear, float]:
    layer, loss = linear_and_loss(loss_scale)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, enabled=enabled)
    norm = apply_gradients([loss], torch.optim.SGD(layer.parameters(), lr=1.0), scaler).norm
    return layer, float(norm)


def gradient_norm(layer: nn.Linear) -> float:
    return float(torch.cat([p.grad.flatten() for p in layer.parameters()]).norm())


def test_a_scaled_step_is_the_float32_step():
    (scaled, scaled_norm), (plain, plain_norm) = step(True), step(False)
    assert plain_norm > GRADIENT_NORM
    assert scaled_norm == pytest.approx(plain_norm, rel=1e-3)
    assert gradient_norm(scaled) == pytest.approx(GRADIENT_NORM, rel=1e-3)
    for a, b in zip(scaled.parameters(), plain.parameters()):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)


def test_small_gradients_pass_unclipped():
    layer, norm = step(True, loss_scale=0.01)
    assert norm < GRADIENT_NORM and gradient_norm(layer) == pytest.approx(norm, rel=1e-3)


def test_clipping_before_unscaling_shrinks_the_gradient_to_one_over_the_scale():
    layer, loss = linear_and_loss()
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    scaler.scale(loss).backward()
    nn.utils.clip_grad_norm_(layer.parameters(), 1.0)  # the release's order
    scaler.unscale_(optimizer)
    assert gradient_norm(layer) == pytest.approx(2.0**-16, rel=1e-3)


def test_an_overflow_skips_the_step_and_halves_the_scale():
    layer, loss = linear_and_loss()
    before = layer.weight.detach().clone()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    norm = apply_gradients([loss * 3e38], torch.optim.SGD(layer.parameters(), lr=1.0), scaler).norm
    assert not torch.isfinite(norm)
    assert layer.weight.equal(before) and scaler.get_scale() == 2.0**15


@pytest.mark.parametrize(
    ("dtype", "live"), [(torch.float32, False), (torch.bfloat16, False), (torch.float16, True)]
)
def test_precision_follows_the_model(dtype, live):
    autocast, scaler = precision_of(dtype, torch.device("cpu"))
    assert scaler.is_enabled() is live
    with autocast:
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_odd_dtypes_are_refused():
    with pytest.raises(ValueError, match=r"language model is in torch\.float64"):
        precision_of(torch.float64, torch.device("cpu"))


def test_losses_in_turn_are_one_loss():
    (whole, loss), (cut, other) = linear_and_loss(), linear_and_loss()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    one = apply_gradients([loss], torch.optim.SGD(whole.parameters(), lr=1.0), scaler)
    torch.manual_seed(0)
    nn.Linear(4, 4)  # the same draws as linear_and_loss
    again = 50 * cut(torch.randn(8, 4)).square().mean()
    halves = (0.5 * other, 0.5 * again)
    two = apply_gradients(halves, torch.optim.SGD(cut.parameters(), lr=1.0), scaler)
    assert float(two.loss) == pytest.approx(float(one.loss)) == float(loss.detach())
    for a, b in zip(whole.parameters(), cut.parameters()):
        torch.testing.assert_close(a, b)
