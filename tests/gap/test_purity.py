"""Islands as a number: planted clouds, chance, invariance, and refusals."""

import pytest
import torch

from vizer_core.gap.purity import same_group_share
from vizer_core.runtime import seeded


def clouds(distance, sizes=(100, 100)):
    points = torch.randn(sum(sizes), 8, generator=seeded(0))
    points[sizes[0] :, 0] += distance
    return points, ["image"] * sizes[0] + ["text"] * sizes[1]


def test_clouds_far_apart_keep_to_themselves():
    assert same_group_share(*clouds(100.0)) == {"image": 1.0, "text": 1.0}


def test_a_point_is_not_its_own_neighbour():
    points, labels = torch.tensor([[0.0], [1.0], [1.5], [10.0]]), ["a", "b", "b", "a"]
    assert same_group_share(points, labels, k=1) == {"a": 0.0, "b": 1.0}


def test_one_cloud_cut_at_random_gives_the_groups_share_of_the_points():
    found = same_group_share(*clouds(0.0, (300, 100)), k=15)
    assert found["image"] == pytest.approx(299 / 399, abs=0.04)
    assert found["text"] == pytest.approx(99 / 399, abs=0.06)


def test_turning_and_scaling_the_space_changes_nothing():
    points, labels = clouds(1.5)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=seeded(1))).Q
    before, after = same_group_share(points, labels), same_group_share(3 * points @ turn, labels)
    assert before == pytest.approx(after, abs=1e-3)


def test_wrong_counts_are_refused():
    points, labels = clouds(1.0)
    with pytest.raises(ValueError, match="got 3 labels for 200 points"):
        same_group_share(points, labels[:3])
    with pytest.raises(ValueError, match="k is 200, wanted 1 to 199"):
        same_group_share(points, labels, k=200)
