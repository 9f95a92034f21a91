"""The sphere toy against values recomputed from Liang et al.'s description."""

import pytest

from vizer_core.gap.shift import contrastive_loss
from vizer_core.gap.sphere import sphere_points, sweep_sphere


@pytest.mark.parametrize(
    ("scale", "height"),
    [(1, 0.0101), (10, 0.0101), (50, 0.7172), (100, 0.8586), (500, 0.9798), (1000, 0.9798)],
)
def test_mismatched_pairs_want_a_gap_at_a_low_temperature(scale, height):
    swept = sweep_sphere(logit_scale=float(scale), mismatch=True)
    assert swept.best_height == pytest.approx(height, abs=1e-4)


@pytest.mark.parametrize("scale", [1, 50, 100, 1000])
def test_right_pairs_want_none(scale):
    swept = sweep_sphere(logit_scale=float(scale), mismatch=False)
    assert swept.best_height == pytest.approx(0.0101, abs=1e-4)


@pytest.mark.parametrize(
    ("height", "swapped", "right"),
    [(0.0, 0.2088, 0.1101), (0.5, 0.1941, 0.1201), (1.0, 2.1972, 2.1972)],
)
def test_the_loss_at_three_heights(height, swapped, right):
    images, texts = sphere_points(height), sphere_points(-height)
    mixed = texts[[0, 1, 2, 8, 4, 5, 6, 7, 3]]
    for target, value in ((texts, right), (mixed, swapped)):
        loss = contrastive_loss(images, target, logit_scale=100.0, batch_size=9)
        assert loss.symmetric == pytest.approx(value, abs=1.5e-4)


def test_points_lie_on_the_sphere_and_wrong_settings_are_named():
    assert sphere_points(0.3).norm(dim=1).tolist() == pytest.approx([1.0] * 9, abs=1e-6)
    with pytest.raises(ValueError, match="-1 to 1"):
        sphere_points(1.5)
    with pytest.raises(ValueError, match="positive"):
        sweep_sphere(logit_scale=0.0, mismatch=True)
