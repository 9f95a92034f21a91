"""The map of improvement: each field says its number, marks only what is clear of zero."""

from __future__ import annotations

import numpy as np
import pytest

from vizer_core.figures.improvement import DOWN, UP, clear_of_zero, draw_improvement_map
from vizer_core.figures.style import png_bytes


def row(base: str, size: int, rate: float, gain: tuple[float, float, float], variant="read_back"):
    mean, low, high = gain
    return {
        "base": base, "variant": variant, "mapper_images": size, "learning_rate": rate,
        "sampled_object_f1_gain": {"mean": mean, "low": low, "high": high},
    }  # fmt: skip


ROWS = [
    row("weak", 1000, 1e-4, (-0.05, -0.08, -0.02)),
    row("weak", 4000, 1e-4, (0.01, -0.02, 0.04)),
    row("easy", 1000, 1e-4, (0.1, 0.05, 0.15)),
    row("easy", 4000, 5e-4, (0.2, 0.1, 0.3)),
]


def test_fields_hold_the_gains_and_marks_only_what_is_clear_of_zero():
    figure = draw_improvement_map(ROWS)
    weak, easy, _ = figure.axes
    assert [axes.get_title(loc="left") for axes in (weak, easy)] == ["weak", "easy"]
    texts = [text.get_text() for text in weak.texts]
    assert texts == [f"-0.05 {DOWN}", "+0.01"]
    assert [text.get_text() for text in easy.texts] == [f"+0.10 {UP}", f"+0.20 {UP}"]
    values = np.ma.filled(easy.images[0].get_array(), np.nan)
    np.testing.assert_array_equal(values, [[0.1, np.nan], [np.nan, 0.2]])
    assert [t.get_text() for t in weak.get_yticklabels()] == ["1,000", "4,000"]
    assert weak.images[0].norm.vmax == easy.images[0].norm.vmax == 0.2
    assert png_bytes(figure) == png_bytes(draw_improvement_map(ROWS))


def test_bases_stand_in_the_order_asked_for():
    figure = draw_improvement_map(ROWS, bases=["easy", "weak"])
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["easy", "weak"]


def test_an_interval_that_touches_zero_is_not_clear_of_it():
    assert (
        clear_of_zero({"low": 0.0, "high": 0.4}) == 0 == clear_of_zero({"low": -1.0, "high": 0.0})
    )


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="got no rows"):
        draw_improvement_map([])
    with pytest.raises(ValueError, match=r"wanted one of \['sampled_object_f1'\]"):
        draw_improvement_map(ROWS, metric="cider")
    with pytest.raises(ValueError, match="wanted one variant a figure"):
        draw_improvement_map([*ROWS, row("weak", 1, 1.0, (0, 0, 0), "best")])
