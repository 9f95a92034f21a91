"""The map of label-free improvement: base quality x mapper data x learning rate -> what is gained.

One panel a base, the weakest first; colour is the gain over the shuffled control, and a mark says
that its interval is clear of zero. A field without a mark may be nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from vizer_core.figures.style import COLOURS, figure_style, new_figure

Row = Mapping[str, Any]
SMALLEST_REACH = 0.02  # of the colour scale: smaller gains than that are pale
UP, DOWN = "\u25b2", "\u25bc"


def draw_improvement_map(
    rows: Sequence[Row],
    *,
    metric: str = "sampled_object_f1",
    bases: Sequence[str] | None = None,
    label: str = "gain over the shuffled control",
) -> Figure:
    """Draw `map` rows of one variant in `results/vizer_study.json`.

    A triangle points where the interval lies wholly: up above zero, down below. A setting that
    was not run is hatched.
    """
    _require(rows, metric)
    names = list(bases or dict.fromkeys(row["base"] for row in rows))
    sizes = sorted({row["mapper_images"] for row in rows})
    rates = sorted({row["learning_rate"] for row in rows})
    reach = max([SMALLEST_REACH, *(abs(row[f"{metric}_gain"]["mean"]) for row in rows)])
    norm = TwoSlopeNorm(0.0, -reach, reach)
    with figure_style():
        figure = new_figure(1.6 + 2.1 * len(names), 1.6 + 0.62 * len(sizes))
        panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
        for axes, name in zip(panels, names):
            some = [row for row in rows if row["base"] == name]
            image = _draw_panel(axes, some, (sizes, rates), norm, metric)
            axes.set_title(name)
            axes.set_xlabel("learning rate")
        panels[0].set_ylabel("captions of the mapper")
        figure.colorbar(image, ax=list(panels), label=label, shrink=0.9)
    return figure


def clear_of_zero(interval: Mapping[str, float]) -> int:
    """Return 1 where an interval lies above zero, -1 below, 0 where zero is in it.

    >>> [clear_of_zero({"low": a, "high": b}) for a, b in ((0.1, 0.2), (-0.1, 0.2), (-0.2, -0.1))]
    [1, 0, -1]
    """
    return int(interval["low"] > 0) - int(interval["high"] < 0)


def _draw_panel(
    axes: Axes,
    rows: Sequence[Row],
    sides: tuple[list[int], list[float]],
    norm: TwoSlopeNorm,
    metric: str,
) -> Any:
    sizes, rates = sides
    values = np.full((len(sizes), len(rates)), np.nan)
    for row in rows:
        place = sizes.index(row["mapper_images"]), rates.index(row["learning_rate"])
        gain = row[f"{metric}_gain"]
        values[place] = gain["mean"]
        mark = {1: f" {UP}", -1: f" {DOWN}", 0: ""}[clear_of_zero(gain)]
        dark = abs(gain["mean"]) > 0.6 * norm.vmax
        axes.text(
            place[1], place[0], f"{gain['mean']:+.2f}{mark}", ha="center", va="center",
            fontsize=9, color="white" if dark else COLOURS["ink"],
        )  # fmt: skip
    axes.set_facecolor("#EDEDED")
    axes.patch.set_hatch("///")
    axes.patch.set_edgecolor("white")
    axes.grid(visible=False)
    axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    axes.set_yticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    return axes.imshow(values, cmap="PuOr", norm=norm, origin="lower", aspect="auto")


def _require(rows: Sequence[Row], metric: str) -> None:
    if not rows:
        raise ValueError("got no rows, wanted the `map` of results/vizer_study.json")
    if missing := [row for row in rows if f"{metric}_gain" not in row]:
        known = sorted(key[: -len("_gain")] for key in missing[0] if key.endswith("_gain"))
        raise ValueError(f"no metric {metric!r} in the map: wanted one of {known}")
    if len({row["variant"] for row in rows}) > 1:
        names = sorted({row["variant"] for row in rows})
        raise ValueError(f"rows of {names}: wanted one variant a figure, for they share places")
