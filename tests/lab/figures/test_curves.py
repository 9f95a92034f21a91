"""Named curves: their points are the given ones, and a control is told apart."""

from __future__ import annotations

import pytest

from vizer_core.plots.style import COLOURS
from vizer_lab.figures.curves import draw_curves


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
