"""A mapper beside a constant: planted common parts, ranks by hand, and what collapse looks like."""

from __future__ import annotations

import math

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.vizer.collapse import (
    constant_cosine,
    effective_rank,
    mean_pairwise_cosine,
    measure_collapse,
)


def planted(share: float, *, n: int = 4000, d: int = 64) -> torch.Tensor:
    """Draw features whose common part carries a share of the energy."""
    common = torch.zeros(d)
    common[0] = math.sqrt(share)
    own = torch.randn(n, d, generator=seeded(0))
    own[:, 0] = 0
    return common + math.sqrt(1 - share) * own / own.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("share", [0.04, 0.25, 0.81])
def test_a_constant_scores_the_square_root_of_the_common_share(share):
    assert constant_cosine(planted(share)) == pytest.approx(math.sqrt(share), abs=0.02)


def test_pairwise_cosine_is_the_mean_over_pairs():
    x = torch.randn(7, 5, generator=seeded(1))
    unit = torch.nn.functional.normalize(x, dim=1)
    pairs = [float(unit[i] @ unit[j]) for i in range(7) for j in range(7) if i != j]
    assert mean_pairwise_cosine(x) == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)


def test_effective_rank_counts_directions_and_ignores_rotation_scale_and_a_common_part():
    x = torch.zeros(6, 5)
    x[[0, 2, 4], [0, 1, 2]], x[[1, 3, 5], [0, 1, 2]] = 1.0, -1.0
    turn = torch.linalg.qr(torch.randn(5, 5, generator=seeded(2))).Q
    assert effective_rank(x) == pytest.approx(3.0, abs=1e-5)
    assert effective_rank(7 * x @ turn + 3) == pytest.approx(3.0, abs=1e-4)
    assert effective_rank(torch.ones(4, 5)) == 0.0


def test_one_answer_to_everything_is_called_collapsed():
    targets = planted(0.64, n=300)
    noise = 1e-3 * torch.randn(300, 1, generator=seeded(3)) * torch.eye(64)[1]
    constant = targets.mean(dim=0) + noise
    report = measure_collapse(constant, targets)
    assert report.collapsed and report.effective_rank == pytest.approx(1.0, abs=0.01)
    assert report.beyond_constant == pytest.approx(0.0, abs=1e-3)
    assert report.cosine > 0.75 and report.pairwise_cosine > 0.99
    assert report.retrieval_r1 < 0.02


def test_a_mapper_that_knows_the_images_is_not():
    targets = planted(0.64, n=300)
    report = measure_collapse(targets + 0.01 * torch.randn(targets.shape, generator=seeded(4)),
                              targets)  # fmt: skip
    assert not report.collapsed and report.retrieval_r1 == 1.0
    assert report.beyond_constant == pytest.approx(0.2, abs=0.02)
    order = torch.randperm(300, generator=seeded(5))
    shuffled = measure_collapse(targets[order], targets[order])
    assert shuffled.effective_rank == pytest.approx(report.target_effective_rank, rel=1e-6)
    assert shuffled.retrieval_r1 == 1.0
    assert measure_collapse(targets[order], targets).retrieval_r1 < 0.05


def test_errors_by_message():
    with pytest.raises(ValueError, match=r"got features \(3, 4\) and \(2, 4\)"):
        measure_collapse(torch.ones(3, 4), torch.ones(2, 4))
    with pytest.raises(ValueError, match="got 1 features: wanted at least 2"):
        mean_pairwise_cosine(torch.ones(1, 4))
