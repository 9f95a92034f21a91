"""The map of label-free improvement: base quality x mapper data x learning rate -> what is gained.

One column of panels a base, the weakest first, with its quality in the title; one row of panels a
metric. A field holds the gain over the untrained base, and a mark says how far to trust it:

======  =================================================================================
mark    its 95% intervals lie
======  =================================================================================
up      above the base, the shuffled control, and the base that was given its first word
hollow  above the base and the shuffled control, and not above the base with a first word
ring    above the base alone: the control may do it as well
down    below the base
none    on both sides of the base: it may be nothing
======  =================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from vizer_core.plots.style import COLOURS, figure_style, new_figure

Row = Mapping[str, Any]
SMALLEST_REACH = 0.02  # of the colour scale: smaller gains than that are pale
UP, HOLLOW, RING, DOWN = "\u25b2", "\u25b3", "\u25cb", "\u25bc"
KEY = f"{UP} above base, control and primed base   {HOLLOW} above base and control   "
KEY += f"{RING} above base alone   {DOWN} below base"
PLAIN = {"sampled_object_precision": "drawn precision", "sampled_object_recall": "drawn recall"}


def draw_improvement_map(
    rows: Sequence[Row],
    *,
    metrics: Sequence[str] = tuple(PLAIN),
    quality: Mapping[str, str],
    lines: Mapping[str, str],
) -> Figure:
    """Draw the `map` of `results/vizer_study.json`.

    `quality` says of each base, in the order of the panels, how good it is; `lines` names the
    variants, from below. A setting that was not run is hatched.
    """
    _require(rows, metrics, quality, lines)
    bases = [base for base in quality if any(row["base"] == base for row in rows)]
    places = _places(rows, lines)
    rates = sorted({row["learning_rate"] for row in rows})
    means = [abs(row[f"{m}_over_base"]["mean"]) for row in rows for m in metrics]
    norm = TwoSlopeNorm(0.0, -max([SMALLEST_REACH, *means]), max([SMALLEST_REACH, *means]))
    with figure_style():
        height = 1.5 + len(metrics) * (0.5 + 0.34 * len(places))
        figure = new_figure(2.3 + 2.2 * len(bases), height)
        panels = figure.subplots(len(metrics), len(bases), squeeze=False, sharex=True, sharey=True)
        for (i, metric), (j, base) in product(enumerate(metrics), enumerate(bases)):
            some = [row for row in rows if row["base"] == base]
            image = _draw_panel(panels[i, j], some, (places, rates), norm, metric)
            if not i:
                panels[i, j].set_title(f"{base}\n{quality[base]}")
        for axes, metric in zip(panels[:, 0], metrics):
            axes.set_ylabel(PLAIN.get(metric, metric))
        for axes in panels[-1]:
            axes.set_xlabel("learning rate")
        figure.suptitle(KEY, fontsize=9, x=0.01, ha="left")
        label = f"gain over the base\n({_sizes(rows)})"
        figure.colorbar(image, ax=panels.ravel().tolist(), label=label, shrink=0.9)
    return figure


def clear_of_zero(interval: Mapping[str, float]) -> int:
    """Return 1 where an interval lies above zero, -1 below, 0 where zero is in it.

    >>> [clear_of_zero({"low": a, "high": b}) for a, b in ((0.1, 0.2), (-0.1, 0.2), (-0.2, -0.1))]
    [1, 0, -1]
    """
    return int(interval["low"] > 0) - int(interval["high"] < 0)


def mark_of(row: Row, metric: str) -> str:
    """Return the mark of a setting, by the table above; `over_primed` may be absent."""
    sides = {
        name: clear_of_zero(row[f"{metric}_{name}"])
        for name in ("over_base", "gain", "over_primed")
        if f"{metric}_{name}" in row
    }
    if sides["over_base"] < 1:
        return DOWN if sides["over_base"] < 0 else ""
    if sides["gain"] < 1:
        return RING
    return UP if sides.get("over_primed") == 1 else HOLLOW


def _places(rows: Sequence[Row], lines: Mapping[str, str]) -> dict[tuple[str, int], str]:
    """Return the lines of a panel: a variant, or one of its mappers where it has several."""
    places = {}
    for variant, label in lines.items():
        sizes = sorted({row["mapper_images"] for row in rows if row["variant"] == variant})
        for size in sizes:
            places[variant, size] = f"{label}, {size:,}" if len(sizes) > 1 else label
    return places


def _draw_panel(
    axes: Axes,
    rows: Sequence[Row],
    sides: tuple[dict[tuple[str, int], str], list[float]],
    norm: TwoSlopeNorm,
    metric: str,
) -> Any:
    places, rates = sides
    values = np.full((len(places), len(rates)), np.nan)
    for row in rows:
        y = list(places).index((row["variant"], row["mapper_images"]))
        x = rates.index(row["learning_rate"])
        values[y, x] = mean = row[f"{metric}_over_base"]["mean"]
        colour = "white" if abs(mean) > 0.6 * norm.vmax else COLOURS["ink"]
        text = f"{round(mean, 2) + 0.0:+.2f} {mark_of(row, metric)}".rstrip()
        axes.text(x, y, text, ha="center", va="center", fontsize=9, color=colour)
    axes.set_facecolor("#EDEDED")
    axes.patch.set_hatch("///")
    axes.patch.set_edgecolor("white")
    axes.grid(visible=False)
    axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    axes.set_yticks(range(len(places)), list(places.values()))
    return axes.imshow(values, cmap="PuOr", norm=norm, origin="lower", aspect="auto")


def _sizes(rows: Sequence[Row]) -> str:
    def span(name: str) -> str:
        low, high = min(row[name] for row in rows), max(row[name] for row in rows)
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"

    return f"n = {span('n')} scenes, {span('seeds')} seeds"


def _require(
    rows: Sequence[Row],
    metrics: Sequence[str],
    quality: Mapping[str, str],
    lines: Mapping[str, str],
) -> None:
    if not rows:
        raise ValueError("got no rows, wanted the `map` of results/vizer_study.json")
    for metric in metrics:
        if missing := [row for row in rows if f"{metric}_over_base" not in row]:
            end = "_over_base"
            known = sorted(key[: -len(end)] for key in missing[0] if key.endswith(end))
            raise ValueError(f"no metric {metric!r} in the map: wanted one of {known}")
    for name, known in (("base", quality), ("variant", lines)):
        if strange := sorted({row[name] for row in rows} - set(known)):
            raise ValueError(f"no words for the {name} {strange}: wanted one for each, got {known}")
