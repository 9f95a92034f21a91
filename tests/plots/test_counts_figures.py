"""Histograms from stored counts hold those counts, whatever they were counted from."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Text

from vizer_core.plots import png_bytes
from vizer_core.plots.counts import Counts, draw_counts

BELL = Counts(-1.0, 0.5, (1, 4, 4, 1))


def test_an_outline_is_the_density_of_its_counts():
    figure = draw_counts(
        {"a": {"image": BELL, "text": Counts(0.0, 2.0, (3,))}, "b": {"image": BELL}}, label="x"
    )
    assert png_bytes(figure)[:4] == b"\x89PNG" and len(figure.axes) == 2
    drawn = figure.axes[0].patches[0].get_data()
    assert drawn.values == pytest.approx([0.2, 0.8, 0.8, 0.2])
    assert drawn.edges == pytest.approx([-1, -0.5, 0, 0.5, 1])
    assert float(np.sum(drawn.values) * 0.5) == pytest.approx(1)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b"]
    assert all(t.get_fontsize() >= 9 for t in figure.findobj(Text) if t.get_text())


def test_the_normal_curve_has_the_mean_and_deviation_of_the_counts():
    figure = draw_counts({"a": {"image": BELL}}, label="x", normal=True, logarithmic=True)
    x, y = figure.axes[0].lines[0].get_data()
    middles, counts = np.array([-0.75, -0.25, 0.25, 0.75]), np.array(BELL.counts)
    std = (counts @ middles**2 / counts.sum()) ** 0.5
    assert pytest.approx(0) == BELL.mean and std == pytest.approx(BELL.std)
    assert x[y.argmax()] == pytest.approx(0, abs=0.01)
    assert y.max() == pytest.approx(1 / std / np.sqrt(2 * np.pi), rel=1e-3)
    assert figure.axes[0].get_yscale() == "log"


def test_two_outlines_of_one_colour_differ_in_their_dashes():
    figure = draw_counts({"a": {"one image": BELL, "two images": BELL, "another": BELL}}, label="x")
    assert len({str(patch.get_linestyle()) for patch in figure.axes[0].patches}) == 3


def test_counts_read_what_a_file_holds_and_refuse_nothing():
    stored = {"start": -1, "width": 0.5, "counts": [1, 4, 4, 1]}
    assert Counts.from_dict(stored) == BELL
    for counts, width in (((), 1.0), ((0, 0), 1.0), ((1, -1), 1.0), ((1,), 0.0)):
        with pytest.raises(ValueError, match="wanted at least one entry, in bins of a positive"):
            Counts(0.0, width, counts)
    with pytest.raises(ValueError, match="got nothing to draw"):
        draw_counts({"a": {}}, label="x")
