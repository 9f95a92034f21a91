"""Captions in notebooks: true and false words marked, words tinted, all of it escaped."""

from __future__ import annotations

import re

import pytest
from contrast import contrast
from PIL import Image

from vizer_core.metrics.grounding import ObjectTruth, SceneTruth
from vizer_lab.figures import caption_gallery, tint_words
from vizer_lab.figures.gallery import FALSE, TRUE
from vizer_lab.figures.tinted import MOST
from vizer_lab.world import drawn_lexicon

DOG = ObjectTruth("dog", "animal", None, "small", 0.2, 0.5, 0.1)
SCENE = SceneTruth((DOG,), "snow")
IMAGE = Image.new("RGB", (8, 8))


def test_a_gallery_marks_what_is_there_and_strikes_out_what_is_not():
    said = {"a & b": ["a dog, a cat"]}
    shown = caption_gallery([IMAGE], said, truths=[SCENE], lexicon=drawn_lexicon("second"))
    html = shown._repr_html_()
    assert TRUE.format("dog") in html and FALSE.format("cat") in html
    assert "a &amp; b" in html and html.count("<img alt=") == 1
    assert repr(shown) == "1  a & b: a dog, a cat"


def test_without_truths_nothing_is_marked():
    shown = caption_gallery([IMAGE] * 2, {"x": ["a <dog>", "a cat"], "y": ["", "no"]})
    html = shown._repr_html_()
    assert "a &lt;dog&gt;" in html and "<b" not in html and "<s " not in html
    assert html.count("<tr ") == 4 and html.count('rowspan="2"') == 2


def test_a_column_of_long_names_leaves_room_for_captions():
    for name, wraps in (("base", False), ("base, first word and beam", True)):
        html = caption_gallery([IMAGE], {name: ["a dog"]})._repr_html_()
        assert ("white-space:normal" in html) == wraps
        assert ("white-space:nowrap" in html) != wraps


@pytest.mark.parametrize(
    ("paper", "around"), [("#FFFFFF", "#222222"), ("#111111", "#FFFFFF"), ("#1E1E1E", "#D4D4D4")]
)
def test_marked_words_can_be_read_in_notebooks_light_and_dark(paper, around):
    for mark in (TRUE, FALSE):
        colour, share = re.search(
            r"color-mix\(in srgb,(#\w{6}) (\d+)%,currentColor\)", mark
        ).groups()
        assert contrast(mixed(colour, around, int(share) / 100), paper) >= 4.5, mark


@pytest.mark.parametrize(("paper", "around"), [("#FFFFFF", "#222222"), ("#111111", "#FFFFFF")])
def test_words_can_be_read_on_the_darkest_tint(paper, around):
    html = tint_words(["dog"], {"right": [2 * MOST]})._repr_html_()
    red, green, blue, share = re.search(r"rgba\((\d+),(\d+),(\d+),([\d.]+)\)", html).groups()
    tint = f"#{int(red):02X}{int(green):02X}{int(blue):02X}"
    assert contrast(around, mixed(tint, paper, float(share))) >= 4.5
    assert "color:#" not in html.partition("<table")[0]


def mixed(colour: str, other: str, share: float) -> str:
    """Return a share of one colour with the rest of another."""
    pairs = [(int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02X}" for a, b in pairs)


def test_a_word_is_the_darker_the_more_nats_it_has():
    shown = tint_words(["a", "dog", "<end>"], {"right": [0.0, MOST / 2, 2 * MOST]})
    html = shown._repr_html_()
    order = [html.index(f"{dark})") for dark in ("0.00", "0.38", "0.75")]
    assert order == sorted(order) and "&lt;end&gt;" in html
    assert repr(shown) == "a dog <end>\nright: 0.0 4.0 16.0"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: caption_gallery([IMAGE], {"x": ["a", "b"]}),
            r"truths of \[1, 2\]: wanted as many",
        ),
        (
            lambda: caption_gallery([IMAGE], {"x": ["a"]}, lexicon=drawn_lexicon()),
            r"truths of \[1, 1, 0\]: wanted as many",
        ),
        (lambda: caption_gallery([], {}), "wanted as many of each"),
        (lambda: tint_words(["a"], {"right": [1.0, 2.0]}), r"1 words and numbers {'right': 2}"),
        (lambda: tint_words(["a"], {}), "wanted one number per word"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
