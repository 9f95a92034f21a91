"""Figures that show images: what is drawn is what was given, wrong counts are refused."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from vizer_lab.figures.scenes import draw_images, draw_patch_maps


def images(count: int, size: tuple[int, int] = (56, 56)) -> list[Image.Image]:
    return [Image.new("RGB", size, (40 * i, 90, 120)) for i in range(count)]


def test_each_image_stands_above_its_caption():
    figure = draw_images(images(3), ["a dog", "a cat", "a very long caption " * 4])
    assert [axes.get_xlabel() for axes in figure.axes][:2] == ["a dog", "a cat"]
    assert "\n" in figure.axes[2].get_xlabel()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("caption", ["a dog", "a very long caption " * 3])
def test_a_figure_of_images_is_as_high_as_they_and_their_captions(count, caption):
    figure = draw_images(images(count), [caption] * count)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert 0 < figure.get_figheight() - box.y1 < 0.2 and -0.05 < box.y0 < 0.1  # inches


def test_the_box_marks_the_largest_value_of_each_map():
    values = torch.zeros(1, 49)
    values[0, 9] = 1.0  # row 1, column 2
    figure = draw_patch_maps(images(1), ["a dog"], {"attention": values}, (7, 7))
    (box,) = figure.axes[1].patches
    assert box.get_xy() == (2 * 8, 1 * 8)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["image", "attention"]


def test_a_wide_photograph_is_cut_to_the_square_that_the_tower_sees():
    figure = draw_patch_maps(images(1, (80, 60)), ["x"], {"m": torch.rand(1, 4)}, (2, 2))
    assert figure.axes[1].get_images()[0].get_array().shape == (60, 60)


def test_the_same_input_gives_the_same_image():
    maps = {"attention": torch.linspace(0, 1, 49)[None]}
    first, second = (draw_patch_maps(images(1), ["x"], maps, (7, 7)) for _ in range(2))
    assert first._repr_mimebundle_() == second._repr_mimebundle_()


def test_counts_that_differ_are_refused():
    with pytest.raises(ValueError, match="got 2 images and 1 captions"):
        draw_images(images(2), ["x"])
    with pytest.raises(ValueError, match=r"maps of \[1, 1, 2\]"):
        draw_patch_maps(images(1), ["x"], {"m": torch.rand(2, 49)}, (7, 7))
