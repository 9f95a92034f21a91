"""One estimate: a bar from its lower to its upper end, through a dot, lying or upright."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from vizer_core.metrics.stats import Interval
from vizer_core.plots.estimates import (
    LINES,
    Estimate,
    draw_estimate,
    draw_estimate_curve,
    draw_interval,
)
from vizer_core.plots.style import COLOURS, MARKERS

VALUE = Interval(0.6, 0.5, 0.8)


@pytest.fixture
def axes():
    return Figure().add_subplot()


def test_a_row_is_a_paler_bar_through_a_dot(axes):
    assert isinstance(VALUE, Estimate)
    draw_estimate(axes, VALUE, 3, "region", number="0.60", label="ours")
    bar, dot = axes.lines
    assert bar.get_xydata().tolist() == [[0.5, 3.0], [0.8, 3.0]] and bar.get_alpha() == 0.6
    assert dot.get_xydata().tolist() == [[0.6, 3.0]] and dot.get_label() == "ours"
    assert (dot.get_marker(), dot.get_color()) == (MARKERS["region"], COLOURS["region"])
    assert axes.texts[0].get_text() == "0.60" and axes.texts[0].xy == (0.6, 3)


def test_an_upright_one_stands_over_its_place_and_may_look_different(axes):
    draw_estimate(axes, VALUE, 3, "text", upright=True, marker="X", markerfacecolor="white")
    bar, dot = axes.lines
    assert bar.get_xydata().tolist() == [[3.0, 0.5], [3.0, 0.8]]
    assert dot.get_xydata().tolist() == [[3.0, 0.6]]
    assert (dot.get_marker(), dot.get_markerfacecolor()) == ("X", "white") and not axes.texts


def test_the_bar_may_stand_alone(axes):
    draw_interval(axes, VALUE, 1, "image", wide=1)
    (bar,) = axes.lines
    assert bar.get_xydata().tolist() == [[0.5, 1.0], [0.8, 1.0]] and bar.get_linewidth() == 1


def test_a_curve_joins_its_estimates_in_order_of_their_places(axes):
    draw_estimate_curve(axes, "ours", {2.0: Interval(0.3, 0.2, 0.4), 1.0: VALUE}, "control")
    *bars, curve = axes.lines
    assert curve.get_xydata().tolist() == [[1.0, 0.6], [2.0, 0.3]]
    assert bars[0].get_xydata().tolist() == [[1.0, 0.5], [1.0, 0.8]]
    assert (curve.get_linestyle(), curve.get_label()) == (LINES["control"], "ours")


def test_every_role_has_a_marker_and_a_line():
    assert MARKERS.keys() == LINES.keys() == COLOURS.keys()
