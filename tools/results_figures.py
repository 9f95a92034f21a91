"""Draw the figures that stand on the pages of results, from the stored rows alone.

A page `book/results_NAME.md` shows its figure by `_generated/results_NAME.svg`. A study without a
row in `FIGURES` has none; of the rows named there those are drawn that the file has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vizer_core.metrics.stats import Interval
from vizer_core.plots import svg_text
from vizer_lab.figures import draw_systems

# bounds first, methods in the middle, controls last
MACCAP_ROWS = (
    *("oracle_text", "clipcap", "clipre", "socratic", "magic", "zerocap"),
    *("decap", "capdec", "baseline", "decap_mlp", "capdec_mlp", "baseline_mlp"),
    *("maccap", "maccap_global", "maccap_pass", "maccap_pass_global", "multi_clean"),
    *("maccap_pass_random", "maccap_pass_other_image", "mean_shift", "blind"),
)
MACCAP_PANELS = {"object F1": "object_f1", "CIDEr": "cider"}
LEGEND = {"text": "bound", "image": "method", "region": "MacCap", "control": "control"}
FIGURES = {"maccap_drawn": (MACCAP_ROWS, MACCAP_PANELS, "clipre")}


def write_results_figure(name: str, result: dict[str, Any], folder: Path) -> Path | None:
    """Draw a study's rows into `folder`; return the file, or None where it has no figure."""
    if name not in FIGURES:
        return None
    rows, panels, mark = FIGURES[name]
    found = {(row["system"], row["metric"]): row for row in result["scores"]}
    shown = [system for system in rows if (system, next(iter(panels.values()))) in found]
    drawn = {
        label: {system: estimate(found[system, metric]) for system in shown}
        for label, metric in panels.items()
    }
    path = folder / f"results_{name}.svg"
    figure = draw_systems(drawn, shown, legend=LEGEND, mark=mark if mark in shown else None)
    path.write_text(svg_text(figure), encoding="utf-8")
    return path


def estimate(row: dict[str, Any]) -> Interval:
    """Return a stored row as an interval.

    >>> estimate({"mean": 0.5, "low": 0.4, "high": 0.6}).high
    0.6
    """
    return Interval(row["mean"], row["low"], row["high"])
