"""The losses as formulas: values by hand, what they do not see, and who they are equal to."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from vizer_core.runtime import seeded
from vizer_core.vizer.losses import cosine_loss, info_nce

A = torch.randn(6, 5, generator=seeded(0))
B = torch.randn(6, 5, generator=seeded(1))


def test_cosine_loss_of_known_angles():
    mapped = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    targets = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    assert float(cosine_loss(mapped, targets)) == pytest.approx((0 + 1 + 2) / 3)
    turned = torch.tensor([[math.cos(0.3), math.sin(0.3)]])
    assert float(cosine_loss(turned, mapped[:1])) == pytest.approx(1 - math.cos(0.3), abs=1e-6)


def test_cosine_loss_sees_directions_only():
    turn = torch.linalg.qr(torch.randn(5, 5, generator=seeded(2))).Q
    assert torch.allclose(cosine_loss(A, B), cosine_loss(3 * A @ turn, 0.1 * B @ turn), atol=1e-6)


def test_info_nce_of_matching_and_of_equal_pairs():
    assert float(info_nce(torch.eye(4), torch.eye(4), temperature=0.01)) < 1e-6
    assert float(info_nce(torch.ones(7, 3), torch.ones(7, 3))) == pytest.approx(math.log(7))


def test_info_nce_equals_the_double_sum():
    a, b = functional.normalize(A, dim=-1), functional.normalize(B, dim=-1)
    scores, total = (a @ b.T / 0.2).double(), 0.0
    for i in range(6):
        total -= float(scores[i, i] - scores[i].exp().sum().log())
        total -= float(scores[i, i] - scores[:, i].exp().sum().log())
    assert float(info_nce(A, B, temperature=0.2)) == pytest.approx(total / 12, rel=1e-5)


def test_info_nce_is_the_same_for_any_order_of_pairs_and_cosine_too():
    order = torch.randperm(6, generator=seeded(3))
    for loss in (info_nce, cosine_loss):
        assert torch.allclose(loss(A, B), loss(A[order], B[order]), atol=1e-6)


def test_only_info_nce_punishes_one_answer_for_all():
    common = torch.ones(6, 5)
    targets = common + 0.1 * B
    assert float(cosine_loss(common, targets)) < 0.01
    assert float(info_nce(common, targets)) > math.log(6) * 0.9


def test_gradients_are_right():
    a = A.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: cosine_loss(x, B.double()), a)
    assert torch.autograd.gradcheck(lambda x: info_nce(x, B.double(), temperature=0.5), a)


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"mapped \(0, 5\).*with at least 1 rows"):
        cosine_loss(A[:0], B[:0])
    with pytest.raises(ValueError, match="with at least 2 rows"):
        info_nce(A[:1], B[:1])
    with pytest.raises(ValueError, match=r"temperature is 0\.0"):
        info_nce(A, B, temperature=0.0)


def test_the_command_line_has_the_names_of_the_objectives():
    from vizer_core.cli import objectives as shown
    from vizer_core.vizer import named_objectives as known

    assert (tuple(known.OBJECTIVES), known.WITH_MAPPER) == (shown.OBJECTIVES, shown.WITH_MAPPER)
    assert shown.WEIGHT == known.WEIGHT
    assert {known.objective_named(name) for name in (*known.OBJECTIVES, "vizer_g")} == {
        *known.OBJECTIVES
    }
