"""Figures of pairwise accuracy: what belongs to the pair, and runs that have no end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vizer_core.metrics.stats import Interval
from vizer_core.plots.style import png_bytes
from vizer_lab.figures.pairwise_accuracy import (
    CHANCE,
    Foretold,
    draw_foretelling,
    draw_pair_scores,
    of_the_pair,
)

ROLES = {"image in context": "image", "listener": "region"}
BOTH = {"over the twin": Interval(0.3, 0.2, 0.4), "over the base": Interval(0.1, -0.1, 0.2)}
RUNS = [
    Foretold("weak", "image in context", 0.51, BOTH),
    Foretold("easy", "listener", 0.9, BOTH),
    Foretold("easy", "image in context", 0.49, {"over the base": Interval(0.0, -0.1, 0.1)}),
]


def test_what_belongs_to_image_or_caption_alone_is_taken_out():
    rng = np.random.default_rng(0)
    pair = np.eye(5) * 4
    rows, columns = rng.normal(size=(5, 1)), rng.normal(size=(1, 5))
    found = of_the_pair(pair + 10 * rows + 10 * columns)
    np.testing.assert_allclose(found, of_the_pair(pair), atol=1e-9)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-9)
    assert (np.diag(found) > found[0, 1]).all()
    assert not of_the_pair(rows + np.zeros((5, 5))).round(9).any()


def test_each_table_has_a_panel():
    tables = {"by caption": torch.ones(4, 1) * torch.arange(4.0), "by pair": torch.eye(4)}
    figure = draw_pair_scores(tables)
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == list(tables)
    drawn = figure.axes[1].images[0].get_array()
    assert (np.diag(drawn) > 1).all()
    assert png_bytes(figure) == png_bytes(draw_pair_scores(tables))
    with pytest.raises(ValueError, match=r"got tables \{'a': \(2, 3\)\}"):
        draw_pair_scores({"a": torch.ones(2, 3)})


def test_runs_lie_at_their_separation_and_end():
    figure = draw_foretelling(RUNS, roles=ROLES)
    twin, base = figure.axes
    assert [axes.get_title(loc="left") for axes in (twin, base)] == list(BOTH)
    points = [[line for line in axes.lines if line.get_markersize() == 7] for axes in (twin, base)]
    assert [len(found) for found in points] == [2, 3]
    assert [float(line.get_xdata()[0]) for line in points[0]] == [0.51, 0.9]
    assert points[0][0].get_marker() != points[0][1].get_marker()
    assert points[1][1].get_marker() == points[1][2].get_marker()
    assert any(np.all(np.asarray(line.get_xdata()) == CHANCE) for line in twin.lines)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == [*ROLES, "base: weak", "base: easy"]
    assert png_bytes(figure) == png_bytes(draw_foretelling(RUNS, roles=ROLES))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="got no runs with an end"):
        draw_foretelling([], roles=ROLES)
    with pytest.raises(ValueError, match=r"no role for \['listener'\]"):
        draw_foretelling(RUNS, roles={"image in context": "image"})
