"""Figures of training runs: the drawn values are the given ones, controls are grey, limits hold."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vizer_core.plots.style import COLOURS, png_bytes
from vizer_core.plots.training import (
    draw_before_after,
    draw_reward,
    running_mean,
)

REWARD = {"read-back": [0.1, 0.2, 0.4], "read-back, shuffled": [0.0, 0.0, 0.1]}
KL = {"read-back": [0.0, 0.5, 0.9], "read-back, shuffled": [0.0, 0.0, 0.1]}
IMAGES = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
CAPTIONS = {"base": ["itap of a cat", "a dog"], "trained": ["a cat in the snow", "a dog"]}


def test_a_running_mean_never_looks_ahead():
    values = np.random.default_rng(0).random(9).tolist()
    wanted = [np.mean(values[max(0, i - 4) : i + 1]) for i in range(9)]
    np.testing.assert_allclose(running_mean(values), wanted)
    np.testing.assert_allclose(running_mean(values[:6]), running_mean(values)[:6])


def test_rewards_and_kl_are_drawn_as_they_are_and_the_control_is_grey_and_dashed():
    figure = draw_reward(REWARD, KL, limit=1.2)
    top, bottom = figure.axes
    single, mean, _, control = top.get_lines()
    assert list(single.get_xdata()) == [1, 2, 3] and list(single.get_ydata()) == [0.1, 0.2, 0.4]
    assert mean.get_ydata()[-1] == pytest.approx(0.7 / 3)
    assert control.get_color() == COLOURS["control"] and control.get_linestyle() == "--"
    assert bottom.get_ylim() == (0, pytest.approx(1.38))
    assert list(bottom.get_lines()[-1].get_ydata()) == [1.2, 1.2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(REWARD)
    assert "nats per token" in bottom.get_ylabel() and top.get_ylabel() == "reward"
    plain_top, plain = draw_reward(REWARD, KL, label="loss").axes
    assert plain_top.get_ylabel() == "loss" and plain.get_ylim() == (0, pytest.approx(1.15 * 0.9))
    assert len(plain.get_lines()) == len(bottom.get_lines()) - 1


def test_two_runs_can_be_told_apart_by_colour():
    figure = draw_reward(REWARD, KL, roles={"read-back": "accent"})
    single, mean, _, control = figure.axes[0].get_lines()
    assert single.get_color() == mean.get_color() == COLOURS["accent"]
    assert control.get_color() == COLOURS["control"] and mean.get_linestyle() == "-"


def test_each_image_has_a_row_and_unchanged_captions_are_grey():
    figure = draw_before_after(IMAGES, CAPTIONS)
    assert len(figure.axes) == 4
    first, second = figure.axes[1].texts, figure.axes[3].texts
    assert [t.get_text() for t in first] == ["base", "itap of a cat", "trained",
                                             "a cat in the snow"]  # fmt: skip
    assert first[3].get_color() == COLOURS["ink"] and second[3].get_color() == COLOURS["control"]
    assert second[1].get_color() == COLOURS["ink"]
    assert png_bytes(figure) == png_bytes(draw_before_after(IMAGES, CAPTIONS))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: draw_reward(REWARD, {}, limit=1.0), r"KL of \[\]: wanted the same runs"),
        (lambda: draw_before_after(IMAGES, {"base": ["a"]}), r"captions of \[2, 1\]"),
        (lambda: running_mean([]), "got 0 values"),
    ],
)
def test_nothing_to_draw_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
