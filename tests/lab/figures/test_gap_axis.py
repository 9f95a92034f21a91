"""Figures of the gap: the drawn values are the given ones, empty input is refused."""

from __future__ import annotations

import pytest
import torch

from vizer_core.gap import Interval
from vizer_core.shapes import unit_norm
from vizer_lab.figures.gap_axis import draw_gap_axis, draw_scale_curve


def point(scale: float, gap: float, *, held: bool = True) -> dict:
    value = Interval(gap, gap - 0.01, gap + 0.01)
    return {"scale": scale, "gap_norm": value, "r1": Interval(0.5, 0.4, 0.6), "held": held}


def test_clouds_apart_do_not_share_a_bin_and_lie_around_zero():
    rng = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(2, 200, 8, generator=rng)
    base = torch.eye(8)[0]
    figure = draw_gap_axis({"model": (unit_norm(noise[0] + base), unit_norm(noise[1] - base))})
    image, text = (figure.axes[0].patches[i].get_data() for i in (0, 2))
    assert float((image.values * text.values).sum()) == 0
    middle = (image.edges[1:] + image.edges[:-1]) / 2
    assert (image.values * middle).sum() < -0.5 < 0.5 < (text.values * middle).sum()


def test_scales_are_sorted_and_a_learned_one_is_hollow():
    figure = draw_scale_curve([point(100, 0.9), point(27, 0.4, held=False)], nulls=[0.03])
    curve = figure.axes[0].get_lines()[0]
    assert list(curve.get_xdata()) == [27, 100] and list(curve.get_ydata()) == [0.4, 0.9]
    fills = [line.get_markerfacecolor() for line in figure.axes[0].get_lines()[1:5]]
    assert fills.count("white") == 1


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: draw_gap_axis({}), "got no features"),
        (lambda: draw_scale_curve([point(5, 0.1)]), "got 1 points, wanted at least two"),
    ],
)
def test_nothing_to_draw_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
