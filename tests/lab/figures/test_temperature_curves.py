"""Precision and recall over temperature, from the rows of the study of unlabelled images."""

from __future__ import annotations

import pytest

from vizer_lab.figures.temperature_curves import draw_temperature_curves, temperature_curves

SYSTEMS = {("base", 1): "untrained", ("base", 5): "untrained, five views"}
ROLES = {"untrained": "text", "untrained, five views": "image"}


def row(base: str, views: int, temperature: float, recall: float) -> dict:
    about = {"base": base, "system": "base", "views": views, "temperature": temperature}
    return about | {"object_precision": [0.8, 0.7, 0.9], "object_recall": [recall] * 3}


ROWS = [
    row(base, views, t, (1 - t) * 0.5) for base in "ab" for views in (1, 5) for t in (0.0, 0.3, 1.0)
]


def test_a_curve_runs_from_warm_to_greedy_and_a_panel_is_a_base():
    curves = temperature_curves([r for r in ROWS if r["base"] == "a"], SYSTEMS)
    assert list(curves["untrained"]) == ["T = 1", "T = .3", "greedy"]
    assert [point[0].mean for point in curves["untrained"].values()] == [0.0, 0.35, 0.5]
    figure = draw_temperature_curves(ROWS, systems=SYSTEMS, roles=ROLES)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b"]
    one = draw_temperature_curves(ROWS, systems=SYSTEMS, roles=ROLES, bases=["b"])
    assert [axes.get_title(loc="left") for axes in one.axes] == ["b"]


def test_captions_that_name_nothing_have_no_point():
    vague = {key: value for key, value in ROWS[0].items() if key != "object_precision"}
    assert temperature_curves([vague, ROWS[1]], SYSTEMS)["untrained"].keys() == {"T = .3"}


def test_a_base_without_a_curve_is_refused():
    with pytest.raises(ValueError, match=r"no curve for c: wanted one of \[\('base', 1\)"):
        draw_temperature_curves(ROWS, systems=SYSTEMS, roles=ROLES, bases=["a", "c"])
