"""Forests and sweeps: every estimate stands where it should, in the colour of its role."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_hex

from vizer_core.gap.interval import Interval
from vizer_core.plots.forest import draw_forest, draw_sweep
from vizer_core.plots.style import COLOURS

F1 = {"maccap": Interval(0.6, 0.5, 0.7), "blind": Interval(0.1, 0.05, 0.2)}
CIDER = {"maccap": Interval(1.2, 1.0, 1.4), "blind": Interval(0.5, 0.4, 0.6)}
ROLES = {"maccap": "region", "blind": "control"}
LEGEND = {"region": "MacCap", "control": "control"}


def forest(**change):
    panels = {"object F1": F1, "CIDEr": CIDER}
    return draw_forest(panels, **{"roles": ROLES, "legend": LEGEND, "mark": "blind"} | change)


def test_each_panel_shows_each_row_with_its_interval():
    left, right = forest().axes
    assert [left.get_xlabel(), right.get_xlabel()] == ["object F1", "CIDEr"]
    assert [label.get_text() for label in left.get_yticklabels()] == ["maccap", "blind"]
    assert list(left.lines[0].get_xdata()) == [0.5, 0.7]
    assert list(left.lines[1].get_xdata()) == [0.6]
    assert list(right.lines[3].get_xdata()) == [0.5]
    assert list(right.lines[3].get_ydata()) == [1]


def test_the_first_row_stands_at_the_top():
    low, high = forest().axes[0].get_ylim()
    assert low > high


def test_roles_give_the_colours_and_the_legend():
    figure = forest()
    assert to_hex(figure.axes[0].lines[1].get_color()).upper() == COLOURS["region"]
    assert to_hex(figure.axes[0].lines[3].get_color()).upper() == COLOURS["control"]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["MacCap", "control"]


def test_the_marked_row_has_a_line_through_every_panel():
    for axes, at in zip(forest().axes, (0.1, 0.5)):
        assert list(axes.lines[-1].get_xdata()) == [at, at]
    assert len(forest(mark=None).axes[0].lines) == 4


def test_a_row_without_a_score_leaves_its_place_empty():
    figure = draw_forest({"object F1": F1, "CIDEr": {"blind": CIDER["blind"]}},
                         roles=ROLES, legend=LEGEND)  # fmt: skip
    assert len(figure.axes[1].lines) == 2
    assert list(figure.axes[1].lines[1].get_ydata()) == [1]


def test_wrong_rows_are_refused():
    with pytest.raises(ValueError, match="got no rows"):
        draw_forest({}, roles={}, legend={})
    with pytest.raises(ValueError, match=r"roles are \{'blind': None\}"):
        forest(roles={"maccap": "region"})
    with pytest.raises(ValueError, match="no row 'decap' to mark: wanted one of maccap, blind"):
        forest(mark="decap")


CURVES = {
    "regions": {3.0: Interval(0.4, 0.3, 0.5), 1.0: Interval(0.6, 0.5, 0.7)},
    "global": {1.0: Interval(0.5, 0.4, 0.6), 3.0: Interval(0.5, 0.4, 0.6)},
}
SWEEP = {"labels": ("variance", "object F1"), "roles": {"regions": "region", "global": "image"}}


def test_a_sweep_joins_its_points_in_order_of_the_setting():
    axes = draw_sweep(CURVES, **SWEEP).axes[0]
    curve = next(line for line in axes.lines if line.get_label() == "regions")
    assert list(curve.get_xdata()) == [1.0, 3.0]
    assert list(curve.get_ydata()) == [0.6, 0.4]
    assert list(axes.lines[0].get_ydata()) == [0.5, 0.7]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("variance", "object F1")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "3"]


def test_a_second_curve_stands_a_little_apart():
    axes = draw_sweep(CURVES, **SWEEP, log=True).axes[0]
    curve = next(line for line in axes.lines if line.get_label() == "global")
    assert axes.get_xscale() == "log"
    assert list(curve.get_xdata()) == pytest.approx([1.03, 3.09])


@pytest.mark.parametrize("unit", [0.1, 1.0, 100.0])
def test_a_second_curve_stands_nearer_to_its_setting_than_to_the_next(unit):
    points = {unit * step: Interval(0.5, 0.4, 0.6) for step in range(3)}
    axes = draw_sweep({"regions": points, "global": points}, **SWEEP).axes[0]
    curve = next(line for line in axes.lines if line.get_label() == "global")
    assert list(curve.get_xdata()) == pytest.approx([0.04 * unit, 1.04 * unit, 2.04 * unit])


def test_a_sweep_starts_at_zero_and_shows_a_level():
    axes = draw_sweep(CURVES, **SWEEP, level=("blind", 0.1)).axes[0]
    assert axes.get_ylim()[0] == 0
    line = next(line for line in axes.lines if line.get_label() == "blind")
    assert list(line.get_ydata()) == [0.1, 0.1]
    fall = {"change": {1.0: Interval(-0.2, -0.3, -0.1)}}
    below = draw_sweep(fall, labels=("x", "y"), roles={"change": "image"}).axes[0]
    assert below.get_ylim()[0] < -0.3 and below.get_legend() is None


def test_a_sweep_wants_points():
    with pytest.raises(ValueError, match="got no points"):
        draw_sweep({"regions": {}}, **SWEEP)


def test_the_same_rows_give_the_same_image():
    assert forest()._repr_mimebundle_() == forest()._repr_mimebundle_()
    assert (
        draw_sweep(CURVES, **SWEEP)._repr_mimebundle_()
        == draw_sweep(CURVES, **SWEEP)._repr_mimebundle_()
    )
