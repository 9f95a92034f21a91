"""Figures of captions: boxes on the chosen patches, candidates by cosine, words by system."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image

from vizer_core.plots.captions import (
    draw_candidates,
    draw_caption_gallery,
    draw_sub_regions,
)
from vizer_core.plots.style import COLOURS
from vizer_core.textonly.filtering import Candidates

GRID = (7, 7)


def images(count: int, size: tuple[int, int] = (56, 56)) -> list[Image.Image]:
    return [Image.new("RGB", size, (40 * i, 90, 120)) for i in range(count)]


def boxes(axes) -> list[tuple[float, float]]:
    return [patch.get_xy() for patch in axes.patches]


def test_the_chosen_patches_are_boxed_and_numbered_by_rank():
    weights = torch.zeros(2, 49)
    weights[0, 9], weights[1, 20] = 1.0, 1.0
    figure = draw_sub_regions(images(1)[0], torch.tensor([9, 20]), weights, GRID, shown=2)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["image", "2 patches", "region 1", "region 2"]
    assert boxes(figure.axes[1]) == [(2 * 8 - 0.5, 1 * 8 - 0.5), (6 * 8 - 0.5, 2 * 8 - 0.5)]
    assert [text.get_text() for text in figure.axes[1].texts] == ["1", "2"]
    assert boxes(figure.axes[3]) == [(6 * 8 - 0.5, 2 * 8 - 0.5)]


def test_weight_keeps_contrast_and_the_rest_is_pale():
    weights = torch.zeros(1, 49)
    weights[0, 9] = 0.25  # the panel's own largest: full contrast
    image = images(1)[0]
    figure = draw_sub_regions(image, torch.tensor([9]), weights, GRID, shown=1)
    pixels = figure.axes[2].get_images()[0].get_array()
    assert tuple(pixels[8, 16]) == image.getpixel((0, 0))
    assert np.asarray(pixels)[0, 0].min() > 160


def test_a_wide_photograph_is_cut_to_the_square_that_the_tower_sees():
    image = images(1, (80, 60))[0]
    figure = draw_sub_regions(image, torch.tensor([3]), torch.rand(1, 4), (2, 2), shown=1)
    assert figure.axes[1].get_images()[0].get_array().shape == (60, 60, 3)
    assert boxes(figure.axes[1]) == [(29.5, 29.5)]


def test_patches_that_count_the_class_token_are_refused():
    with pytest.raises(ValueError, match=r"run from 49 to 49 .* subtract 1"):
        draw_sub_regions(images(1)[0], torch.tensor([49]), torch.rand(1, 49), GRID, shown=1)
    with pytest.raises(ValueError, match="got 2 patches, weights of 1 regions"):
        draw_sub_regions(images(1)[0], torch.tensor([1, 2]), torch.rand(1, 49), GRID)


TEXTS = ("a dog", "a cat", "a dog", "")
CANDIDATES = Candidates((TEXTS,), torch.tensor([[0.2, 0.5, 0.2, 0.1]]))


def test_candidates_stand_in_order_of_their_cosine_and_the_caption_is_filled():
    figure = draw_candidates(images(1)[0], CANDIDATES, 0, truth=[0.0, 1.0, 0.0, 0.0])
    axes = figure.axes[1]
    lines = [text.get_text() for text in axes.get_yticklabels()]
    assert lines == ["a cat  [1.00]", "a dog x2  [0.00]", "(nothing)  [0.00]"]
    assert [float(line.get_xdata()[0]) for line in axes.lines] == pytest.approx([0.5, 0.2, 0.1])
    fills = [line.get_markerfacecolor() for line in axes.lines]
    assert to_hex(fills[0]).upper() == COLOURS["region"]
    assert fills[1:] == ["white", "white"]


def test_a_truth_for_each_candidate_is_wanted():
    with pytest.raises(ValueError, match="got 1 truths for 4 candidates"):
        draw_candidates(images(1)[0], CANDIDATES, 0, truth=[1.0])


def test_the_gallery_shows_each_images_words_by_name():
    chosen = torch.tensor([[0, 1], [2, 3]])
    words = {"maccap": ["a dog", "a very long caption " * 8], "reference": ["a cat", ""]}
    figure = draw_caption_gallery(images(2), chosen, GRID, words)
    first = [text.get_text() for text in figure.axes[2].texts]
    assert first == ["maccap", "a dog", "reference", "a cat"]
    second = [text.get_text() for text in figure.axes[5].texts]
    assert second[0] == "maccap"
    assert len(second) > 5
    assert second[-1] == "(nothing)"
    assert to_hex(figure.axes[2].texts[3].get_color()).upper() == COLOURS["text"]
    assert boxes(figure.axes[4]) == [(2 * 8 - 0.5, -0.5), (3 * 8 - 0.5, -0.5)]


def test_a_gallery_wants_as_many_words_as_images():
    with pytest.raises(ValueError, match=r"captions of \[2, 2, 1\]"):
        draw_caption_gallery(images(2), torch.zeros(2, 1, dtype=torch.int64), GRID, {"a": ["x"]})


def test_the_same_input_gives_the_same_image():
    first, second = (draw_candidates(images(1)[0], CANDIDATES, 0) for _ in range(2))
    assert first._repr_mimebundle_() == second._repr_mimebundle_()
