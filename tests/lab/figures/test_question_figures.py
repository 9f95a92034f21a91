"""Answers by question type: marks stand where the scores are, in the order that was given."""

from __future__ import annotations

import pytest

from vizer_core.metrics.stats import Interval
from vizer_lab.figures.questions import draw_by_type


def scores(*means: float) -> dict[str, Interval]:
    return {kind: Interval(m, m - 0.1, m + 0.1, 50) for kind, m in zip(("where", "is"), means)}


def test_each_system_has_a_mark_a_type_and_rows_say_how_many():
    given = {"prior": scores(0.2, 0.5), "maccap": scores(0.4, 0.6)}
    figure = draw_by_type(given, counts={"is": 30, "where": 1200})
    axes = figure.axes[0]
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["prior", "MacCap"]
    prior, ours = ([d for d in axes.get_lines() if d.get_marker() == sign] for sign in "|s")
    assert [float(dot.get_xdata()[0]) for dot in ours] == [0.6, 0.4]
    above, below = ([float(d.get_ydata()[0]) for d in dots] for dots in (prior, ours))
    assert all(a < b for a, b in zip(above, below)) and abs(above[1] - 1) < 0.5
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["is\nn = 30", "where\nn = 1,200"]
    bars = [list(line.get_xdata()) for line in axes.get_lines() if len(line.get_xdata()) == 2]
    assert bars[0] == pytest.approx([0.4, 0.6]) and bars[1] == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize(
    ("given", "counts", "message"),
    [
        ({}, {"is": 1}, "got 0 systems and 1 question types: wanted 1 to 6"),
        ({str(i): scores(0.1, 0.1) for i in range(7)}, {"is": 1}, "got 7 systems"),
        ({"prior": scores(0.1, 0.1)}, {}, "got 1 systems and 0 question types"),
        ({"prior": scores(0.1)}, {"where": 3, "is": 1}, "'prior' has no score for is"),
        ({"ours": scores(0.1, 0.1)}, {"is": 1}, "no system 'ours' in the palette"),
    ],
)
def test_what_cannot_be_drawn_is_refused(given, counts, message):
    with pytest.raises(ValueError, match=message):
        draw_by_type(given, counts=counts)
