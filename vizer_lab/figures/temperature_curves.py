"""What unlabelled images buy: precision and recall over temperature, a panel per base.

Rows are those of `curve` in `results/improvement.json`: one per base, system, number of views and
temperature. Temperature 0 is greedy. A system that only sharpens moves along the curve of the
untrained base; one that learned something leaves it, up or to the right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from vizer_core.metrics.stats import Interval
from vizer_lab.figures.precision_recall import Curve, Point, draw_precision_recall

Row = Mapping[str, Any]


def draw_temperature_curves(
    rows: Sequence[Row],
    *,
    systems: Mapping[tuple[str, int], str],
    roles: Mapping[str, str],
    bases: Sequence[str] = (),
) -> Figure:
    """Draw the curves of some systems; `systems` says what (system, views) is called.

    `bases` are the panels, all that there are unless told otherwise. Raises `ValueError` where a
    base has none of the systems.
    """
    panels = {
        base: temperature_curves([row for row in rows if row["base"] == base], systems)
        for base in bases or dict.fromkeys(row["base"] for row in rows)
    }
    if empty := [base for base, curves in panels.items() if not curves]:
        known = sorted({(row["system"], row["views"]) for row in rows})
        raise ValueError(f"no curve for {', '.join(empty)}: wanted one of {known}")
    return draw_precision_recall(panels, roles=roles)


def temperature_curves(
    rows: Sequence[Row], systems: Mapping[tuple[str, int], str]
) -> dict[str, Curve]:
    """Return each named system's points, the warmest first.

    >>> row = {"system": "base", "views": 1, "temperature": 0.7}
    >>> row |= {"object_precision": [0.5, 0.4, 0.6], "object_recall": [0.3, 0.2, 0.4]}
    >>> curves = temperature_curves([row], {("base", 1): "untrained"})
    >>> curves["untrained"]["T = .7"][0].mean
    0.3
    """
    found: dict[str, dict[str, Point]] = {}
    for (system, views), name in systems.items():
        some = [row for row in rows if (row["system"], row["views"]) == (system, views)]
        # captions that name nothing have no precision
        some = [row for row in some if "object_precision" in row]
        for row in sorted(some, key=lambda row: -row["temperature"]):
            point = (Interval(*row["object_recall"]), Interval(*row["object_precision"]))
            found.setdefault(name, {})[way(row["temperature"])] = point
    return dict(found)


def way(temperature: float) -> str:
    """Say how captions were drawn.

    >>> way(0.0), way(0.3), way(1.0)
    ('greedy', 'T = .3', 'T = 1')
    """
    return f"T = {temperature:g}".replace("0.", ".") if temperature else "greedy"
