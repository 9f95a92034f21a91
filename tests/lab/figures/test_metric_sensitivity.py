"""Metric sensitivity: the cells and dots are the given numbers, empty input is refused."""

from __future__ import annotations

import numpy as np
import pytest

from vizer_core.metrics.stats import Interval
from vizer_core.plots.style import COLOURS, svg_text
from vizer_lab.figures.metric_sensitivity import draw_agreement, draw_sensitivity

SHARES = {
    ("paraphrase", "cider"): Interval(-0.12, -0.2, -0.05, 9),
    ("paraphrase", "clipscore"): Interval(0.01, -0.02, 0.03, 9),
    ("wrong_count", "cider"): Interval(-0.9, -1.0, -0.8, 9),
}


def test_cells_hold_the_numbers_brackets_mark_zero_and_a_dash_nothing():
    groups = {"no fault": ["paraphrase"], "wrong": ["wrong_count"]}
    figure, again = (
        draw_sensitivity(SHARES, groups=groups, metrics=["cider", "clipscore"]) for _ in range(2)
    )
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["-.12", "(+.01)", "-.90", "–"]
    (cells,) = axes.collections
    drawn = cells.get_array().reshape(2, 2)
    assert np.allclose(drawn[:, 0], [-0.12, -0.9]) and cells.get_clim() == (-1, 1)
    assert axes.get_ylim() == (2, 0)  # the first row on top
    assert [label.get_text() for label in axes.get_yticklabels()] == ["paraphrase", "wrong count"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["CIDEr", "CLIPScore"]
    assert len(axes.get_lines()) == 1 and axes.get_lines()[0].get_ydata()[0] == 1
    assert svg_text(figure) == svg_text(again)


def test_dots_are_sorted_by_the_first_level_and_coloured_by_what_they_read():
    one = {
        "cider": Interval(0.6, 0.5, 0.7, 9),
        "clipscore": Interval(0.4, 0.3, 0.5, 9),
        "length": Interval(-0.2, -0.3, -0.1, 9),
    }
    figure = draw_agreement({"caption": one, "system": one}, references=["cider"])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["length", "CLIPScore", "CIDEr"]
    lines = figure.axes[1].get_lines()
    assert list(lines[4].get_xdata()) == [0.5, 0.7] and lines[5].get_xdata()[0] == 0.6
    assert [lines[i].get_color() for i in (1, 3, 5)] == [
        COLOURS["control"],
        COLOURS["image"],
        COLOURS["text"],
    ]
    assert figure.axes[0].get_xlim() == (-0.3, 1)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda: draw_sensitivity(SHARES, groups={}, metrics=["cider"]),
            "got 0 edits and 1 metrics",
        ),
        (lambda: draw_agreement({}), "got no levels"),
    ],
)
def test_nothing_to_draw_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
