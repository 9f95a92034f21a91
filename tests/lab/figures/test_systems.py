"""The palette of systems: names for people, one look each, and a forest of them."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_hex

from vizer_core.metrics.stats import Interval
from vizer_core.plots.style import COLOURS, MARKERS
from vizer_lab.figures.systems import SYSTEMS, draw_systems, system

F1 = {
    "decap": Interval(0.4, 0.3, 0.5),
    "blind": Interval(0.1, 0.05, 0.2),
    "capdec": Interval(0.2, 0.1, 0.3),
}
LEGEND = {"image": "a method", "control": "control"}


def test_every_system_has_a_name_for_people_and_a_look():
    for name, shown in SYSTEMS.items():
        assert shown.name and "_" not in shown.name and shown.role in COLOURS, name
        assert shown.marker
    assert system("blind").marker == MARKERS["control"] and system("prior").marker == "|"


def test_no_two_systems_of_a_figure_of_questions_look_alike():
    rows = ("type_prior", "question_only", "maccap, borrowed", "maccap", "decap", "human")
    eval_points = {(system(name).role, system(name).marker) for name in rows}
    assert len(eval_points) == len(rows)


def test_rows_have_names_for_people_and_the_asked_order():
    figure = draw_systems({"F1": F1}, ["blind", "decap"], legend=LEGEND, mark="blind")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["blind", "DeCap"]
    dots = [line for line in axes.lines if line.get_marker() in ("o", "D")]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [0.1, 0.4]
    assert [to_hex(dot.get_color()).upper() for dot in dots] == [
        COLOURS["control"],
        COLOURS["image"],
    ]
    assert list(axes.lines[-1].get_xdata()) == [0.1, 0.1]


def test_a_figure_may_colour_rows_by_something_else():
    figure = draw_systems({"F1": F1}, ["blind", "decap"], legend=LEGEND, roles={"decap": "control"})
    assert {line.get_color() for line in figure.axes[0].lines} == {COLOURS["control"]}


def test_an_unknown_system_and_mark_are_refused():
    with pytest.raises(ValueError, match=r"no system 'ours' in the palette: wanted one of oracle"):
        system("ours")
    with pytest.raises(ValueError, match="no row 'decap' to mark: wanted one of blind"):
        draw_systems({"F1": F1}, ["blind"], legend=LEGEND, mark="decap")
