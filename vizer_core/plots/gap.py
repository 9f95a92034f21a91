"""Figures of the gap itself: pooled histogram, per-dimension means, shift sweep, projections.

Every function takes data, never a model, and returns a figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vizer_core.gap.histogram import GapHistogram
from vizer_core.gap.normality import normal_cdf
from vizer_core.gap.projection import Projection
from vizer_core.gap.shift import ShiftPoint
from vizer_core.plots.style import (
    COLOURS,
    MARKERS,
    WIDE,
    figure_style,
    legend_columns,
    new_figure,
    role_of,
)

BINS_PER_STD = 12
SPAN = 5.0  # standard deviations shown on each side
STANDS_OUT = 10  # times a dimension's even share of the squared gap norm


def draw_gap_histogram(histograms: Mapping[str, GapHistogram]) -> Figure:
    """Draw pooled gap histograms with their fitted normal, and what the normal leaves over.

    Two panels for each reading (global, local). In the lower, observed minus fitted share of each
    bin: a curve that bends the same way over many bins is a misfit that the upper panel hides.
    """
    if not histograms:
        raise ValueError('got nothing to draw, wanted for instance {"global": histogram}')
    with figure_style():
        figure = new_figure(WIDE, 4.2 * len(histograms))
        tall = (2.4, 1) * len(histograms)
        panels = figure.subplots(len(tall), 1, squeeze=False, height_ratios=tall)[:, 0]
        for (name, histogram), (upper, lower) in zip(
            histograms.items(), zip(panels[::2], panels[1::2])
        ):
            lower.sharex(upper)
            upper.tick_params(labelbottom=False)
            _draw_reading(upper, lower, name, histogram)
        figure.align_ylabels(panels)
    return figure


def _draw_reading(upper: Axes, lower: Axes, name: str, histogram: GapHistogram) -> None:
    found, bounds = histogram.moments, histogram.ks()
    shown = _coarse_for(histogram)
    edges = shown.edges
    scale = found.std / shown.bin_width  # shares become densities per standard deviation
    observed = (shown.counts.double() / found.count * scale).numpy()
    cdf = normal_cdf(edges, mean=found.mean, std=found.std)
    fitted = (cdf.diff() * scale).numpy()
    middle = ((edges[1:] + edges[:-1]) / 2).numpy()
    left, right = found.mean - SPAN * found.std, found.mean + SPAN * found.std
    beyond = (
        1 - float(shown.counts[(edges[:-1] >= left) & (edges[1:] <= right)].sum()) / found.count
    )
    colour = COLOURS[role_of(name)]
    upper.stairs(observed, edges.numpy(), fill=True, color=colour, alpha=0.35)
    upper.stairs(observed, edges.numpy(), color=colour, linewidth=1.2, label="observed")
    upper.plot(middle, fitted, "--", color=COLOURS["ink"], linewidth=1.4, label="fitted normal")
    upper.set_title(f"{name}: {found.count:,} entries")
    upper.legend(loc="upper left", handlelength=1.6)
    outside = f"\noutside frame {beyond:.2%}" if beyond >= 5e-5 else ""
    upper.text(
        0.99,
        0.97,
        f"mean {found.mean:+.4f}\nstd {found.std:.4f}\nskew {found.skewness:+.2f}\n"
        f"ex. kurtosis {found.excess_kurtosis:+.2f}\nKS ≤ {bounds.upper:.4f}{outside}".replace(
            "-", "−"
        ),
        transform=upper.transAxes,
        ha="right",
        va="top",
    )
    lower.stairs(observed - fitted, edges.numpy(), fill=True, color=colour, alpha=0.6)
    lower.axhline(0, color=COLOURS["ink"], linewidth=1)
    upper.set_ylabel("share of entries per std")
    lower.set_ylabel("observed\n− fitted")
    lower.set_xlabel("text − visual, one entry per dimension")
    lower.set_xlim(left, right)
    upper.set_ylim(bottom=0)


def _coarse_for(histogram: GapHistogram) -> GapHistogram:
    """Join bins while twelve of them or more still span one standard deviation."""
    wanted = histogram.moments.std / BINS_PER_STD / histogram.bin_width
    factor = 2 ** int(max(0.0, np.floor(np.log2(max(wanted, 1.0)))))
    return histogram.coarsened(factor)


def draw_dimension_means(means: Float[Tensor, " d"], *, marked: int = 3) -> Figure:
    """Draw the gap's mean in each dimension, sorted; name up to `marked` that stand out.

    A dimension stands out when it has at least ten times its even share of the squared norm.

    The dashed line is their average, the "mean close to zero" of MacCap section 3.2.
    """
    values = means.double().cpu().numpy()
    if not 0 <= marked <= len(values):
        raise ValueError(f"marked is {marked}, wanted 0 to {len(values)} (the dimensions)")
    order = np.argsort(values)
    share = values**2 / max((values**2).sum(), 1e-30)
    top = {int(i) for i in np.argsort(-share)[:marked] if share[i] >= STANDS_OUT / len(values)}
    with figure_style():
        figure = new_figure(WIDE, 3.3)
        axes = figure.add_subplot()
        colours = [COLOURS["text"] if index in top else COLOURS["image"] for index in order]
        places = np.arange(len(values))
        axes.bar(places, values[order], width=1.0, color=colours, linewidth=0)
        axes.axhline(
            values.mean(),
            color=COLOURS["ink"],
            linestyle="--",
            linewidth=1,
            label=f"average of all dimensions: {values.mean():+.4f}".replace("-", "−"),
        )
        for place, index in zip(places, order):
            if index in top:
                _name_dimension(axes, int(place), int(index), values[index], share[index])
        axes.set_xlabel(f"dimensions, sorted by mean (d = {len(values)})")
        axes.set_ylabel("mean of text − visual")
        norm = np.sqrt((values**2).sum())
        axes.set_title(f"gap norm {norm:.3f}")
        axes.legend(loc="lower right" if abs(values.min()) < values.max() else "upper left")
        axes.grid(axis="x", visible=False)
        axes.margins(y=0.12, x=0.02)
    return figure


def _name_dimension(axes: Axes, place: int, index: int, value: float, share: float) -> None:
    left = place > len(axes.patches) / 2
    axes.annotate(
        f"dim {index}: {share:.0%} of the squared norm",
        (place, value),
        xytext=(-8 if left else 8, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
    )


def draw_shift_sweep(points: Sequence[ShiftPoint], *, gallery: int, n: int) -> Figure:
    """Draw distance, loss and R@1 along the shift; the dashed line is the model as it is."""
    if len(points) < 2:
        raise ValueError(f"got {len(points)} points, wanted the list that sweep_shift returns")
    deltas = [point.delta for point in points]
    with figure_style():
        figure = new_figure(WIDE, 5.8)
        top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(1, 1.25, 1.25))
        top.plot(deltas, [point.distance for point in points], color=COLOURS["accent"])
        top.axhline(0, color=COLOURS["ink"], linewidth=0.8)
        top.set_ylabel("signed distance\nof the means")
        losses = [point.loss.symmetric for point in points]
        middle.plot(deltas, losses, color=COLOURS["ink"], alpha=0.3, linewidth=5, label="symmetric")
        _draw_directions(middle, deltas, [point.loss for point in points])
        best = int(np.argmin(losses))
        middle.plot(deltas[best], losses[best], "*", color=COLOURS["ink"], markersize=11)
        middle.set_ylabel("contrastive loss (nats)")
        _draw_directions(bottom, deltas, [point.recall for point in points])
        bottom.set_ylabel(f"R@1, gallery of {gallery:,}")
        bottom.set_ylim(bottom=0)
        bottom.set_xlabel("shift δ along the gap (δ > 0 closes it)")
        keys = middle.get_legend_handles_labels()
        figure.legend(*keys, loc="outside lower center", ncols=3)
        for axes in (top, middle, bottom):
            axes.axvline(0, color=COLOURS["ink"], linestyle="--", linewidth=1)
        where = f"{deltas[best]:+.2f}".replace("-", "−")
        top.set_title(f"n = {n:,} pairs; star: least symmetric loss, at δ = {where}")
        figure.align_ylabels()
    return figure


def _draw_directions(axes: Axes, deltas: list[float], values: Sequence) -> None:
    image_to_text = [value.image_to_text for value in values]
    text_to_image = [value.text_to_image for value in values]
    axes.plot(deltas, image_to_text, "-", color=COLOURS["image"], label="image to text")
    axes.plot(deltas, text_to_image, "-.", color=COLOURS["text"], label="text to image")


def draw_projections(projections: Sequence[Projection]) -> Figure:
    """Draw projections of the same groups, one panel each, two in a row.

    Linear axes name the share they explain. UMAP's axes carry no numbers, because its
    coordinates have no origin and no scale.
    """
    if not projections:
        raise ValueError("got no projections to draw")
    with figure_style():
        columns, rows = min(2, len(projections)), -(-len(projections) // 2)
        figure = new_figure(3.0 * columns, 0.5 + 3.0 * rows)
        panels = [figure.add_subplot(rows, columns, i + 1) for i in range(len(projections))]
        for axes, projection in zip(panels, projections):
            for label in dict.fromkeys(projection.labels):
                points, role = projection.of(label).numpy(), role_of(label)
                axes.scatter(
                    *points.T,
                    s=9,
                    marker=MARKERS[role],
                    color=COLOURS[role],
                    alpha=0.5,
                    linewidths=0,
                    label=f"{label} (n = {len(points):,})",
                    rasterized=True,
                )
            axes.set_title(projection.method)
            if projection.explained:
                axes.set_xlabel(f"axis 1 ({projection.explained[0]:.0%})")
                axes.set_ylabel(f"axis 2 ({projection.explained[1]:.0%})")
                axes.set_aspect("equal", adjustable="datalim")
                axes.locator_params(axis="x", nbins=5)
            else:
                axes.set(
                    xticks=[], yticks=[], xlabel="axis 1 (no scale)", ylabel="axis 2 (no scale)"
                )
        handles, labels = panels[0].get_legend_handles_labels()
        columns_of_names = legend_columns(labels)
        legend = figure.legend(
            handles, labels, loc="outside lower center", ncols=columns_of_names, markerscale=2
        )
        for handle in legend.legend_handles:
            handle.set_alpha(1)
    return figure
