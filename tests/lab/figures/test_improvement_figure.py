"""The map of improvement: each field says its number, and a mark how far to trust it."""

from __future__ import annotations

import numpy as np
import pytest

from vizer_core.plots.style import png_bytes
from vizer_lab.figures.improvement import (
    DOWN,
    HOLLOW,
    RING,
    UP,
    clear_of_zero,
    draw_improvement_map,
    mark_of,
)

METRIC = "sampled_object_f1"
ABOVE, AROUND, BELOW = (0.1, 0.05, 0.15), (0.01, -0.02, 0.04), (-0.05, -0.08, -0.02)
QUALITY = {"weak": "F1 .12", "easy": "F1 .34"}
LINES = {"read_back": "mapper", "best": "no mapper"}


def row(base, size, rate, over_base, *, gain=ABOVE, over_primed=None, variant="read_back"):
    found = {"over_base": over_base, "gain": gain, "over_primed": over_primed}
    sides = {
        f"{METRIC}_{name}": dict(zip(("mean", "low", "high"), value))
        for name, value in found.items()
        if value is not None
    }
    settings = {"base": base, "variant": variant, "mapper_images": size, "learning_rate": rate}
    return settings | sides | {"n": 500, "seeds": 2}


ROWS = [
    row("easy", 1000, 1e-4, ABOVE),
    row("easy", 4000, 5e-4, (0.2, 0.1, 0.3), over_primed=ABOVE),
    row("weak", 1000, 1e-4, BELOW),
    row("weak", 4000, 1e-4, AROUND),
    row("weak", 2000, 1e-4, ABOVE, gain=AROUND, variant="best"),
]


def draw(rows=ROWS):
    return draw_improvement_map(rows, metrics=[METRIC], quality=QUALITY, lines=LINES)


def test_fields_hold_gains_over_the_base_and_lines_are_variants_by_mapper_data():
    figure = draw()
    weak, easy, _ = figure.axes
    titles = [axes.get_title(loc="left") for axes in (weak, easy)]
    assert titles == ["weak\nF1 .12", "easy\nF1 .34"]
    assert [text.get_text() for text in weak.texts] == [f"-0.05 {DOWN}", "+0.01", f"+0.10 {RING}"]
    assert [text.get_text() for text in easy.texts] == [f"+0.10 {HOLLOW}", f"+0.20 {UP}"]
    values = np.ma.filled(easy.images[0].get_array(), np.nan)
    np.testing.assert_array_equal(values, [[0.1, np.nan], [np.nan, 0.2], [np.nan, np.nan]])
    labels = [t.get_text() for t in weak.get_yticklabels()]
    assert labels == ["mapper, 1,000", "mapper, 4,000", "no mapper"]
    assert weak.images[0].norm.vmax == easy.images[0].norm.vmax == 0.2
    assert "n = 500 scenes, 2 seeds" in figure.axes[-1].get_ylabel()
    assert png_bytes(figure) == png_bytes(draw())


def test_a_mark_asks_base_control_and_first_word_in_turn():
    assert mark_of(row("weak", 1, 1.0, AROUND, over_primed=ABOVE), METRIC) == ""
    assert mark_of(row("weak", 1, 1.0, BELOW, gain=ABOVE), METRIC) == DOWN
    assert mark_of(row("weak", 1, 1.0, ABOVE, gain=AROUND, over_primed=ABOVE), METRIC) == RING
    assert mark_of(row("weak", 1, 1.0, ABOVE, over_primed=AROUND), METRIC) == HOLLOW
    assert mark_of(row("weak", 1, 1.0, ABOVE, over_primed=ABOVE), METRIC) == UP


def test_several_metrics_are_rows_of_panels():
    twice = [
        each | {"b" + key[1:]: v for key, v in each.items() if key.startswith("s")} for each in ROWS
    ]
    figure = draw_improvement_map(
        twice, metrics=[METRIC, "b" + METRIC[1:]], quality=QUALITY, lines=LINES
    )
    assert len(figure.axes) == 2 * 2 + 1


def test_an_interval_that_touches_zero_is_not_clear_of_it():
    assert (
        clear_of_zero({"low": 0.0, "high": 0.4}) == 0 == clear_of_zero({"low": -1.0, "high": 0.0})
    )


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="got no rows"):
        draw([])
    with pytest.raises(ValueError, match=r"wanted one of \['sampled_object_f1'\]"):
        draw_improvement_map(ROWS, metrics=["cider"], quality=QUALITY, lines=LINES)
    with pytest.raises(ValueError, match=r"no words for the base \['strange'\]"):
        draw([row("strange", 1, 1.0, ABOVE)])
    with pytest.raises(ValueError, match=r"no words for the variant \['other'\]"):
        draw([row("weak", 1, 1.0, ABOVE, variant="other")])
