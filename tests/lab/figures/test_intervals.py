"""Rows of estimates: dots and bars where they were given, nothing without a role."""

from __future__ import annotations

import pytest

from vizer_core.metrics.stats import Interval
from vizer_core.plots.style import COLOURS
from vizer_lab.figures.intervals import draw_grouped_intervals, draw_intervals

ROLES = {"right": "image", "wrong": "control"}
ROWS = {"objects": Interval(2.0, 1.5, 2.5, 9), "places": Interval(1.0, 0.5, 1.5, 9)}


def test_every_way_has_its_dots_and_intervals_in_its_own_colour():
    panels = {
        "own": {"right": ROWS, "wrong": {"objects": Interval(6.0, 5.0, 7.0, 9)}},
        "human": {"wrong": ROWS},
    }
    figure = draw_grouped_intervals(panels, label="nats", roles=ROLES, zero=0.0, limits=(-1.0, 8.0))
    first, second = figure.axes
    bar, *_ = first.get_lines()
    objects, places, wrong = (line for line in first.get_lines() if line.get_marker() in "oD")
    assert [float(dot.get_xdata()[0]) for dot in (objects, places, wrong)] == [2.0, 1.0, 6.0]
    assert objects.get_color() == COLOURS["image"] and wrong.get_color() == COLOURS["control"]
    # the dots of one row lie side by side, the first above; rows do not mix
    above, below = objects.get_ydata()[0], wrong.get_ydata()[0]
    assert above < below < places.get_ydata()[0]
    assert list(bar.get_xdata()) == [1.5, 2.5] and set(bar.get_ydata()) == {above}
    assert [label.get_text() for label in first.get_yticklabels()] == ["objects", "places"]
    dots = [line for line in second.get_lines() if line.get_marker() == "D"]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [2.0, 1.0]
    assert first.get_xlim() == (-1, 8) and first.get_ylim()[0] > first.get_ylim()[1]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["right", "wrong"]


def test_each_system_is_a_row_with_its_interval_and_controls_are_grey():
    rows = {"patches": Interval(0.5, 0.4, 0.6), "patches, another image": Interval(0.2, 0.1, 0.3)}
    figure = draw_intervals(rows, label="share", chance=0.2)
    lines = figure.axes[0].get_lines()
    assert list(lines[0].get_xdata()) == [0.4, 0.6] and lines[1].get_xdata()[0] == 0.5
    assert lines[2].get_color() == COLOURS["control"]
    assert "0.20" in figure.axes[0].get_title(loc="left")


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="got no intervals"):
        draw_intervals({}, label="x")


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ({}, "got no estimates for a way"),
        ({"own": {"right": {}}}, "got no estimates for a way"),
        ({"own": {"odd": ROWS}}, r"no role for \['odd'\]: wanted one of image"),
    ],
)
def test_nothing_to_draw_and_ways_without_a_role_are_refused(panels, message):
    with pytest.raises(ValueError, match=message):
        draw_grouped_intervals(panels, label="x", roles=ROLES)
