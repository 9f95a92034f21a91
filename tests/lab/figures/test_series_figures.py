"""Panels of rows read in several ways: dots where they were given, nothing without a role."""

from __future__ import annotations

import pytest

from vizer_core.metrics.stats import Interval
from vizer_core.plots.style import COLOURS
from vizer_lab.figures.series import draw_curves, draw_series

ROLES = {"right": "image", "wrong": "control"}
ROWS = {"objects": Interval(2.0, 1.5, 2.5, 9), "places": Interval(1.0, 0.5, 1.5, 9)}


def test_every_series_has_its_dots_and_intervals_in_its_own_colour():
    panels = {
        "own": {"right": ROWS, "wrong": {"objects": Interval(6.0, 5.0, 7.0, 9)}},
        "human": {"wrong": ROWS},
    }
    figure = draw_series(panels, label="nats", roles=ROLES, zero=0.0, limits=(-1.0, 8.0))
    first, second = figure.axes
    right, wrong = first.get_lines()[:2]
    assert list(right.get_xdata()) == [2.0, 1.0] and list(wrong.get_xdata()) == [6.0]
    assert right.get_color() == COLOURS["image"] and wrong.get_color() == COLOURS["control"]
    # series of one row lie side by side, the first above; rows do not mix
    above, below = right.get_ydata()[0], wrong.get_ydata()[0]
    assert above < below < right.get_ydata()[1]
    assert first.collections[0].get_segments()[0][:, 0].tolist() == [1.5, 2.5]
    assert [label.get_text() for label in first.get_yticklabels()] == ["objects", "places"]
    assert second.get_lines()[0].get_xdata().tolist() == [2.0, 1.0]
    assert first.get_xlim() == (-1, 8) and first.get_ylim()[0] > first.get_ylim()[1]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["right", "wrong"]


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ({}, "got no series, or an empty one"),
        ({"own": {"right": {}}}, "got no series, or an empty one"),
        ({"own": {"odd": ROWS}}, r"no role for the series \['odd'\]: wanted one of image"),
    ],
)
def test_nothing_to_draw_and_series_without_a_role_are_refused(panels, message):
    with pytest.raises(ValueError, match=message):
        draw_series(panels, label="x", roles=ROLES)


def test_curves_keep_their_points_and_a_control_is_grey_and_dashed():
    figure = draw_curves(
        {"own": ([1.0, 2.0], [0.1, 0.4]), "own, shuffled": ([1.0, 2.0], [0.0, 0.01])},
        along="step",
        label="cosine",
        roles={"own": "image", "own, shuffled": "control"},
    )
    own, control = figure.axes[0].get_lines()[:2]
    assert own.get_xydata().tolist() == [[1.0, 0.1], [2.0, 0.4]]
    assert (control.get_color(), control.get_linestyle()) == (COLOURS["control"], "--")
    assert own.get_color() != COLOURS["control"]


def test_curves_without_points_are_refused():
    with pytest.raises(ValueError, match="got no curves, or places and heights of different"):
        draw_curves(
            {"own": ([1.0], [0.1, 0.2])}, along="step", label="cosine", roles={"own": "image"}
        )
