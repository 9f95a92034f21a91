"""Figures of a training run that needs no label: what its score did, and what its captions did.

A falling loss is half a result. Beside it stand the share of captions that changed, the distance
from the base model, the same run on shuffled images, and the captions themselves.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from vizer_core.plots.style import COLOURS, WIDE, figure_style, legend_columns, new_figure, role_of

SMOOTH = 5  # steps in the running mean of a curve
LINES = {"image": "-", "region": "-", "text": "-", "control": "--"}


def running_mean(values: Sequence[float], *, width: int = SMOOTH) -> np.ndarray:
    """Average each value with the `width` - 1 before it, fewer at the start.

    >>> running_mean([0.0, 1.0, 2.0, 6.0], width=2).tolist()
    [0.0, 0.5, 1.5, 4.0]
    """
    if width < 1 or not len(values):
        raise ValueError(f"got {len(values)} values and width {width}: wanted at least 1 of each")
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(values, dtype=float))])
    last = np.arange(1, len(sums))
    first = np.maximum(last - width, 0)
    return (sums[last] - sums[first]) / (last - first)


def draw_reward(
    runs: Mapping[str, Sequence[float]],
    kl: Mapping[str, Sequence[float]],
    *,
    limit: float | None = None,
    label: str = "reward",
    roles: Mapping[str, str] | None = None,
) -> Figure:
    """Draw each run's reward by step above its KL to the base; a dotted line is the KL's limit.

    Names with the word "shuffled" are controls: grey and dashed; `roles` colours others by name, so
    that two runs differ. Thin lines are single steps. Give `label` where the curve is a loss.
    """
    if not runs or runs.keys() != kl.keys():
        raise ValueError(
            f"got rewards of {sorted(runs)} and KL of {sorted(kl)}: wanted the same runs"
        )
    with figure_style():
        figure = new_figure(WIDE, 4.8)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1.5, 1))
        for axes, curves in ((top, runs), (bottom, kl)):
            for name, values in curves.items():
                _draw_curve(axes, name, values, (roles or {}).get(name, role_of(name)))
        if limit is not None:
            _draw_limit(bottom, limit)
        top.set_ylabel(label)
        bottom.set_ylabel("KL, nats per token")
        bottom.set_ylim(0, 1.15 * max(limit or 0.0, *(max(values) for values in kl.values())))
        bottom.set_xlabel(f"step (thick: mean of {SMOOTH} steps)")
        figure.legend(
            *top.get_legend_handles_labels(), loc="outside upper left", ncols=legend_columns(runs)
        )
        figure.align_ylabels()
    return figure


def _draw_limit(axes: Axes, limit: float) -> None:
    axes.axhline(limit, color=COLOURS["ink"], linestyle=":", linewidth=1.2)
    axes.annotate(
        f"limit {limit:g}",
        (1, limit),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
    )


def _draw_curve(axes: Axes, name: str, values: Sequence[float], role: str) -> None:
    steps = np.arange(1, len(values) + 1)
    axes.plot(steps, values, color=COLOURS[role], alpha=0.25, linewidth=1)
    axes.plot(steps, running_mean(values), LINES.get(role, "-"), color=COLOURS[role], label=name)


def draw_before_after(
    images: Sequence[Image.Image], captions: Mapping[str, Sequence[str]], *, width: int = 40
) -> Figure:
    """Draw one row per image with its caption by each system, the first of them the base.

    A system's caption that is the base's, word for word, is grey.
    """
    counts = [len(images), *(len(texts) for texts in captions.values())]
    if not captions or not images or len(set(counts)) > 1:
        raise ValueError(f"got images and captions of {counts}: wanted as many of each, some")
    lines = len(captions)
    with figure_style():
        figure = new_figure(WIDE, len(images) * max(1.0, 0.42 * lines + 0.1))
        panels = figure.subplots(len(images), 2, squeeze=False, width_ratios=(1, 5.2))
        for row, image in enumerate(images):
            panel, words = panels[row]
            panel.imshow(np.asarray(image), interpolation="nearest")
            panel.set(xticks=[], yticks=[])
            panel.grid(visible=False)
            words.axis("off")
            base = next(iter(captions.values()))[row]
            for line, (name, texts) in enumerate(captions.items()):
                place, same = 1 - (line + 0.5) / lines, line > 0 and texts[row] == base
                words.text(0, place, name, weight="bold", va="center")
                words.text(
                    0.29,
                    place,
                    textwrap.fill(texts[row] or "(nothing)", width),
                    va="center",
                    color=COLOURS["control" if same else "ink"],
                )
    return figure
