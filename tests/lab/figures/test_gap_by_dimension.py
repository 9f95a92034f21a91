"""Figures of one pair and of pooled entries: the numbers they show, and readable text."""

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from vizer_core.gap import GapHistogram
from vizer_core.gap.pooling import scramble_dimensions
from vizer_core.plots import png_bytes
from vizer_core.runtime import seeded
from vizer_lab.figures.gap_by_dimension import draw_pair_gap, draw_same_pool
from vizer_lab.figures.neighbour_cosines import draw_neighbour_cosines
from vizer_lab.world.synthetic import plant_gap

IMAGE = Image.new("RGB", (56, 56), "navy")


@pytest.fixture(scope="module")
def planted():
    return plant_gap(400, 64, generator=seeded(0), gap_norm=0.9)


def readable(figure):
    """Render; every text that shows is 9 points or more."""
    assert png_bytes(figure)[:4] == b"\x89PNG"
    assert all(t.get_fontsize() >= 9 for t in figure.findobj(Text) if t.get_text())
    return " | ".join(t.get_text() for t in figure.findobj(Text))


def test_one_pair_shows_every_entry_and_its_length(planted):
    gap = planted.text_features[0] - planted.image_features[0]
    figure = draw_pair_gap(IMAGE, "a crown in the snow", gap)
    text = readable(figure)
    assert "“a crown in the snow”" in text and f"length {float(gap.norm()):.2f}" in text
    bars = [bar.get_height() for bar in figure.axes[1].patches]
    assert np.allclose(bars, gap.numpy())


def test_a_long_caption_is_wrapped(planted):
    gap = planted.text_features[0] - planted.image_features[0]
    figure = draw_pair_gap(IMAGE, "a crown beside a very small dog and a much bigger tree", gap)
    assert "\n" in figure.axes[0].get_xlabel()


def test_the_pool_is_the_same_and_the_dimensions_are_not(planted):
    pairs = scramble_dimensions(planted.image_features, planted.text_features, generator=seeded(1))
    histograms = {}
    for name, source in {"as measured": planted, "scrambled, control": pairs}.items():
        histograms[name] = GapHistogram(64)
        histograms[name].update(source.image_features, source.text_features)
    figure = draw_same_pool(histograms)
    text = readable(figure)
    assert "as measured: gap norm 0.900" in text and "400 pairs" in text
    measured, control = (patch.get_data().values for patch in figure.axes[0].patches)
    assert np.array_equal(measured, control)
    longer, shorter = (np.abs(line.get_ydata()).max() for line in figure.axes[1].lines)
    assert longer > 3 * shorter


def test_neighbours_are_told_from_the_own_caption(planted):
    image, text = planted.image_features, planted.text_features
    figure = draw_neighbour_cosines(
        IMAGE, "a crown", own=0.62, to_images=image[1:] @ image[0], to_texts=text[1:] @ image[0]
    )
    words = readable(figure)
    assert "other images (n = 399)" in words and "its own caption" in words
    assert figure.axes[1].lines[0].get_xdata()[0] == pytest.approx(0.62)
    assert all(patch.get_data().values.sum() <= 1 + 1e-9 for patch in figure.axes[1].patches)


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="got nothing to draw"):
        draw_same_pool({})
    with pytest.raises(ValueError, match="empty"):
        draw_same_pool({"as measured": GapHistogram(4)})
