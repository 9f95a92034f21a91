"""Target spaces: what centring and whitening take out, and controls that leave nothing in place."""

from __future__ import annotations

import pytest
import torch

from vizer_core.runtime import seeded
from vizer_core.vizer.targets import (
    Centring,
    centre,
    derangement,
    shuffled,
    shuffled_targets,
    uncentred,
    whiten,
)
from vizer_core.vlm.protocol import VisionBatch

FEATURES = torch.randn(200, 6, generator=seeded(0)) * torch.tensor([5, 3, 2, 1, 0.5, 0.2]) + 4


def batch(n: int) -> VisionBatch:
    features = torch.arange(n, dtype=torch.float32)[:, None].expand(n, 3)
    return VisionBatch(
        features, tuple(features[i : i + 1] + 100 for i in range(n)), torch.ones(n, 3).long()
    )


def test_centring_takes_out_the_mean_and_keeps_differences():
    space = centre(FEATURES)
    out = space.apply(FEATURES)
    assert torch.allclose(out.mean(dim=0), torch.zeros(6), atol=1e-5)
    assert torch.allclose(out[0] - out[1], FEATURES[0] - FEATURES[1], atol=1e-6)
    assert torch.equal(uncentred(FEATURES).apply(FEATURES), FEATURES)


def test_whitening_makes_every_direction_count_alike():
    out = whiten(FEATURES, floor=1e-6).apply(FEATURES)
    assert torch.allclose(torch.cov(out.T), torch.eye(6), atol=1e-3)


def test_whitening_is_blind_to_a_rotation_of_the_features():
    turn = torch.linalg.qr(torch.randn(6, 6, generator=seeded(1))).Q
    straight = whiten(FEATURES).apply(FEATURES)
    turned = whiten(FEATURES @ turn).apply(FEATURES @ turn)
    assert torch.allclose(straight @ straight.T, turned @ turned.T, atol=1e-2)


def test_the_floor_keeps_a_dead_direction_small():
    flat = FEATURES.clone()
    flat[:, 5] = 4 + 1e-4 * torch.randn(200, generator=seeded(2))
    out = whiten(flat, floor=1e-2).apply(flat)
    assert float(out[:, 5].std()) < 0.01


@pytest.mark.parametrize("n", [2, 3, 7, 50])
def test_a_derangement_leaves_nothing_in_its_place(n):
    for seed in range(20):
        order = derangement(n, generator=seeded(seed))
        assert sorted(order.tolist()) == list(range(n))
        assert not bool((order == torch.arange(n)).any())


def test_derangements_of_three_are_drawn_evenly():
    first = [int(derangement(3, generator=seeded(seed))[0]) for seed in range(400)]
    assert 150 < first.count(1) < 250  # there are two, and each is as likely


def test_shuffled_images_keep_their_embeddings_and_get_anothers_target():
    source = shuffled(batch(8), generator=seeded(0))
    out = source.select([3, 0, 5])
    assert [int(e[0, 0]) - 100 for e in out.image_embeddings] == [3, 0, 5]
    assert out.targets[:, 0].tolist() == [float(source.order[i]) for i in (3, 0, 5)]
    assert len(source) == 8
    again = source.select([3])  # the same wrong target each time
    assert float(again.targets[0, 0]) == float(out.targets[0, 0])


def test_shuffled_targets_are_the_same_rows_elsewhere():
    rows = torch.arange(10.0)[:, None].expand(10, 2)
    out = shuffled_targets(rows, generator=seeded(4))
    assert sorted(out[:, 0].tolist()) == rows[:, 0].tolist()
    assert not bool((out[:, 0] == rows[:, 0]).any())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: centre(torch.zeros(0, 3)), "got 0 features: wanted at least 1"),
        (lambda: centre(torch.full((2, 3), float("nan"))), "NaN or inf: encode those images"),
        (lambda: whiten(torch.ones(4, 3)), "all 4 features are one vector"),
        (lambda: whiten(FEATURES, floor=0.0), "floor is 0.0: wanted 0 < floor"),
        (lambda: derangement(1, generator=seeded(0)), "cannot derange 1 images"),
        (lambda: Centring(torch.zeros(3)).apply(FEATURES), "6 wide, the target space was fitted"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
