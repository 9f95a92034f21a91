"""Diagrams: every arrow from one box to another, none outside; a cloud of first words."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
import torch

from vizer_lab.figures import draw_first_words, two_readings, vlm_parts

SHAPES = {"pixels": "(1, 3, 8, 8)", "patches": "(1, 4, 2)", "F_I": "(1, 2)", "ids": "(1, 3)"}
SHAPES |= {"image tokens": "(1, 6)", "states": "(1, 4, 6)", "logits": "(1, 4, 9)"}


@pytest.mark.parametrize("diagram", [vlm_parts(SHAPES), two_readings()])
def test_all_is_drawn_inside(diagram):
    svg = ElementTree.fromstring(diagram._repr_svg_())
    *_, wide, high = map(float, svg.get("viewBox").split())
    lines = [e for e in svg.iter() if e.tag.endswith("polyline")]
    assert len(lines) == len(diagram.arrows) and {a for a, _, _ in diagram.arrows} <= set(
        diagram.boxes
    )
    for line in lines:
        for point in line.get("points").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= wide and 0 <= y <= high
    frames = [e for e in svg.iter() if e.tag.endswith("rect") and e.get("stroke-width") == "2"]
    assert len(frames) == sum(box.part for box in diagram.boxes.values())


def test_the_parts_of_a_vlm_carry_the_shapes_that_were_measured():
    shown = vlm_parts(SHAPES)
    assert all(shape in shown._repr_svg_() and shape in repr(shown) for shape in SHAPES.values())
    into = {end for start, end, _ in shown.arrows if start == "patches"}
    assert into == {"mean", "connector"}  # F_I is taken before the connector


def test_a_shape_that_is_missing_is_named():
    with pytest.raises(ValueError, match=r"no shape of \['logits'\]"):
        vlm_parts({name: shape for name, shape in SHAPES.items() if name != "logits"})


def test_first_words_are_counted_on_the_side_of_the_likelier():
    figure = draw_first_words(torch.tensor([[0.2, 0.1], [0.1, 0.3], [0.4, 0.1]]), ("a", "itap"))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ['"a" likelier: 2 images', '"itap" likelier: 1 images']
    (axes,) = figure.axes
    assert [len(c.get_offsets()) for c in axes.collections] == [2, 1]
    assert re.search('"itap"', axes.get_ylabel())


def test_probabilities_of_another_number_of_words_are_refused():
    with pytest.raises(ValueError, match=r"probabilities \(2, 3\) of 2 words: wanted \[n, 2\]"):
        draw_first_words(torch.zeros(2, 3), ("a", "b"))
