"""Figures of an ablation: every bar is a share, every run a point."""

from __future__ import annotations

import numpy as np
import pytest

from vizer_lab.figures.ablation import draw_chance, draw_proxy


def test_bars_are_shares_of_the_draws_side_by_side():
    counts = {"loss": np.array([0, 0, 1, 3]), "reward": np.array([4])}
    roles = {"loss": "region", "reward": "text"}
    figure = draw_chance(counts, rows=4, roles=roles)
    (axes,) = figure.axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == [0.5, 0.25, 0, 0.25, 0, 0, 0, 0, 0, 1]
    middles = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
    assert middles[4] == pytest.approx(3.8) and middles[9] == pytest.approx(4.2)
    with pytest.raises(ValueError, match="none above rows=2"):
        draw_chance({"loss": np.array([3])}, rows=2, roles=roles)


def test_a_proxy_has_one_point_a_run_and_one_name_a_system():
    pairs = {"vizer_g": [(0.9, 0.6), (0.8, 0.7)], "read_back": [(0.1, 0.9)]}
    roles = {"vizer_g": "image", "read_back": "region"}
    figure = draw_proxy(pairs, labels=("cosine", "F1"), roles=roles, base=0.61)
    (axes,) = figure.axes
    assert [list(line.get_xdata()) for line in axes.lines[:2]] == [[0.9, 0.8], [0.1]]
    assert [text.get_text() for text in axes.texts] == ["base"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["vizer_g", "read_back"]
    with pytest.raises(ValueError, match="got no points"):
        draw_proxy({}, labels=("a", "b"), roles={})
