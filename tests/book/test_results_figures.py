"""Figures of the pages of results: drawn from stored rows, those that a file has."""

from __future__ import annotations

from tools import results_figures
from tools.results_figures import MACCAP_ROWS, write_results_figure


def rows(*systems):
    return {
        "scores": [
            {"system": system, "metric": metric, "mean": 0.4, "low": 0.3, "high": 0.5}
            for system in systems
            for metric in ("object_f1", "cider")
        ]
    }


def test_the_rows_of_a_file_are_drawn_with_bounds_and_the_mark(tmp_path, monkeypatch):
    seen = {}

    def draw(panels, shown, *, legend, mark):
        seen.update(panels=panels, shown=shown, legend=legend, mark=mark)
        return real(panels, shown, legend=legend, mark=mark)

    real = results_figures.draw_systems
    monkeypatch.setattr(results_figures, "draw_systems", draw)
    result = rows("blind", "clipre", "maccap", "variance_1:maccap_pass")
    path = write_results_figure("maccap_drawn", result, tmp_path)
    assert seen["shown"] == ["clipre", "maccap", "blind"]  # the table's order, known rows only
    assert seen["mark"] == "clipre" and list(seen["panels"]) == ["object F1", "CIDEr"]
    assert seen["panels"]["CIDEr"]["blind"].high == 0.5
    drawn = path.read_text()
    assert all(f">{words}</text>" in drawn for words in ("CLIPRe", "MacCap", "blind", "CIDEr"))


def test_a_study_without_a_figure_writes_none(tmp_path):
    assert write_results_figure("gap_drawn", rows("cls"), tmp_path) is None
    assert not list(tmp_path.iterdir()) and MACCAP_ROWS[0] == "oracle_text"
