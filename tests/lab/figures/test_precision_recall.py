"""Precision against recall: curves of temperature."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_rgb

from vizer_core.metrics.stats import Interval
from vizer_core.plots.style import COLOURS, png_bytes
from vizer_lab.figures.precision_recall import draw_precision_recall


def at(recall, precision):
    def around(value):
        return Interval(value, value - 0.02, value + 0.03, 10)

    return around(recall), around(precision)


CURVES = {
    "primed": {"T = 1": at(0.4, 0.4), "T = .7": at(0.5, 0.6), "greedy": at(0.7, 0.7)},
    "trained": {"T = 1": at(0.5, 0.5)},
}
ROLES = {"primed": "text", "trained": "region"}


def test_points_stand_at_recall_and_precision_and_pale_as_they_cool():
    figure = draw_precision_recall({"middling": CURVES, "hard": CURVES}, roles=ROLES)
    axes = figure.axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "^"]
    assert [(d.get_xdata()[0], d.get_ydata()[0]) for d in dots] == [
        (0.4, 0.4),
        (0.5, 0.6),
        (0.7, 0.7),
    ]
    assert dots[0].get_markerfacecolor() == pytest.approx(to_rgb(COLOURS["text"]))
    assert dots[2].get_markerfacecolor() == (1.0, 1.0, 1.0)
    assert dots[1].get_markerfacecolor() != dots[2].get_markerfacecolor()
    assert axes.get_xlim() == axes.get_ylim() == pytest.approx((0.3, 1.02))  # no mark is cut
    bars = [[*line.get_xdata(), *line.get_ydata()] for line in axes.lines]
    assert any(bar == pytest.approx([0.4, 0.4, 0.38, 0.43]) for bar in bars if len(bar) == 4)
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["primed", "trained", "T = 1", "T = .7", "greedy"]
    assert png_bytes(figure) == png_bytes(
        draw_precision_recall({"middling": CURVES, "hard": CURVES}, roles=ROLES)
    )


def test_five_bases_fill_two_rows_and_no_empty_panel_is_left():
    figure = draw_precision_recall({str(i): CURVES for i in range(5)}, roles=ROLES)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list("01234")


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="got no points"):
        draw_precision_recall({}, roles=ROLES)
    with pytest.raises(ValueError, match=r"no role for \['primed'\]"):
        draw_precision_recall({"hard": CURVES}, roles={"trained": "region"})
