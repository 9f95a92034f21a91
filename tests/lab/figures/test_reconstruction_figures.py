"""Figures of text-only training: the points are the given ones, marks and bars stand right."""

from __future__ import annotations

import pytest

from vizer_core.gap import Interval
from vizer_core.plots.style import COLOURS, png_bytes
from vizer_core.textonly.noise import GaussianNoise
from vizer_lab.figures.reconstruction import (
    draw_losses,
    draw_noise_cosine,
    draw_trade_off,
)

MEASURED = {1: {0.01: 0.66, 0.03: 0.45}, 10: {0.01: 0.94, 0.03: 0.85}}
LEVELS = {0.0: Interval(1.5, 1.4, 1.6), 48.0: Interval(0.8, 0.7, 0.9)}
PANELS = {"CIDEr": {"text in": LEVELS, "another": {0.0: Interval(0.1, 0.0, 0.2)}}}
ROLES = {"text in": "text", "another": "control"}


def test_cosines_stand_where_they_were_measured_and_the_curve_is_the_closed_form():
    figure = draw_noise_cosine(MEASURED, 128, pair=0.43, matched=0.035)
    (axes,) = figure.axes
    curve, dots, mean_curve, mean_dots, level, matched = axes.get_lines()
    assert list(dots.get_xdata()) == [0.01, 0.03] and list(dots.get_ydata()) == [0.66, 0.45]
    assert list(mean_dots.get_ydata()) == [0.94, 0.85]
    for line, copies in ((curve, 1), (mean_curve, 10)):
        variance, cosine = line.get_xdata()[40], line.get_ydata()[40]
        wanted = GaussianNoise(variance).expected_cosine(128, copies=copies)
        assert cosine == pytest.approx(wanted)
    assert level.get_ydata()[0] == 0.43 and matched.get_xdata()[0] == 0.035
    assert curve.get_xdata()[-1] == pytest.approx(0.07)
    assert [t.get_text() for t in axes.get_legend().get_texts()][1] == "mean of 10 noisy copies"


def test_losses_are_drawn_as_they_are_with_their_levels():
    figure = draw_losses({"no noise": [2.0, 1.0]}, levels={"floor": 0.5}, label="nats")
    single, mean, level = figure.axes[0].get_lines()
    assert list(single.get_ydata()) == [2.0, 1.0] and list(mean.get_ydata()) == [2.0, 1.5]
    assert level.get_ydata()[0] == 0.5 and figure.axes[0].texts[0].get_text() == "floor"
    assert figure.axes[0].get_ylabel() == "nats" and figure.axes[0].get_ylim()[0] == 0


def test_the_name_of_a_level_stands_on_the_side_where_no_curve_ends():
    levels = {"floor": 0.5, "start": 1.9}
    figure = draw_losses({"no noise": [2.0, 1.0]}, levels=levels, label="nats")
    assert [text.get_va() for text in figure.axes[0].texts] == ["top", "bottom"]


def test_readings_have_their_role_their_bars_and_the_mark():
    figure = draw_trade_off(PANELS, roles=ROLES, mark=65.0)
    (axes,) = figure.axes
    *bars, text, _, control, mark = axes.get_lines()
    assert list(text.get_xdata()) == [0.0, 48.0] and list(text.get_ydata()) == [1.5, 0.8]
    assert list(bars[0].get_ydata()) == [1.4, 1.6] and text.get_color() == COLOURS["text"]
    assert control.get_color() == COLOURS["control"] and control.get_linestyle() == "--"
    assert mark.get_xdata()[0] == 65.0 and axes.get_title(loc="left") == "CIDEr"
    assert axes.get_ylim()[0] == 0


def test_without_images_there_is_no_mark():
    (axes,) = draw_trade_off(PANELS, roles=ROLES).axes
    assert all(line.get_linestyle() != ":" for line in axes.get_lines())


def test_drawn_again_they_are_the_same_bytes():
    first, second = (png_bytes(draw_trade_off(PANELS, roles=ROLES, mark=65.0)) for _ in range(2))
    assert first == second


def test_nothing_to_draw_and_unknown_roles_are_refused():
    with pytest.raises(ValueError, match="got no cosines"):
        draw_noise_cosine({}, 128, pair=0.4, matched=0.03)
    with pytest.raises(ValueError, match="got no losses"):
        draw_losses({"no noise": []}, levels={}, label="nats")
    with pytest.raises(ValueError, match="got no points"):
        draw_trade_off({"CIDEr": {"text in": {}}}, roles=ROLES, mark=65.0)
    with pytest.raises(ValueError, match=r"no role for \['another'\]: wanted one of text, image"):
        draw_trade_off(PANELS, roles={"text in": "text"}, mark=65.0)
