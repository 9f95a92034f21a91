"""Figures of pairwise accuracy: what belongs to the pair."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vizer_core.plots.style import png_bytes
from vizer_lab.figures.pairwise_accuracy import draw_pair_scores, of_the_pair


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
    drawn = figure.axes[1].collections[0].get_array().reshape(4, 4)
    assert figure.axes[1].get_ylim() == (4, 0)  # the first image on top
    assert (np.diag(drawn) > 1).all()
    assert png_bytes(figure) == png_bytes(draw_pair_scores(tables))
    with pytest.raises(ValueError, match=r"got tables \{'a': \(2, 3\)\}"):
        draw_pair_scores({"a": torch.ones(2, 3)})
