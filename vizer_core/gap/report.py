"""A gap report as text: every number with its interval and the one thing to compare it with."""

from __future__ import annotations

from collections.abc import Mapping

from vizer_core.gap.interval import MIN_PAIRS, CentredInterval
from vizer_core.gap.stats import GapReport
from vizer_core.metrics.stats import Interval


def gap_table(report: GapReport, intervals: Mapping[str, Interval]) -> str:
    """Write the report as aligned lines; `intervals` may cover any of its fields.

    >>> import torch
    >>> from vizer_core.gap.stats import measure_gap
    >>> report = measure_gap(torch.eye(2), torch.eye(2).flip(0))
    >>> print(gap_table(report, {}).splitlines()[0])
    Modality gap of 2 pairs, d = 2 (text minus image)
    """
    lines = [f"Modality gap of {report.n:,} pairs, d = {report.dim} (text minus image)", ""]
    for label, field, note in _rows(report):
        known = intervals.get(field)
        value = known.estimate if known else getattr(report, field)
        span = f"[{known.low:.4f}, {known.high:.4f}]" if known else ""
        lines.append(f"{label:<30} {value:>9.4f}  {span:<20} {note}".rstrip())
    lines += ["", _about_intervals(report.n, intervals)]
    lines += [
        f"{label} ({known.estimate:.4f}): resampling adds {known.bias:+.4f}, taken off its "
        "interval. Sampling has added about as much to the number itself."
        for label, field, _ in _rows(report)
        if isinstance(known := intervals.get(field), CentredInterval)
        and abs(known.bias) > (known.high - known.low) / 4
    ]
    return "\n".join(lines)


def _about_intervals(n: int, intervals: Mapping[str, Interval]) -> str:
    if intervals:
        return "Brackets: 95% bootstrap intervals over pairs."
    if n < MIN_PAIRS:
        return "No intervals: too few pairs to resample."
    return "No intervals were given: bootstrap_gap makes them."


def _rows(report: GapReport) -> list[tuple[str, str, str]]:
    """Label, field, and what to read the value against."""
    dimensions = ", ".join(
        f"{index} ({mean:+.3f})"
        for index, mean in zip(report.top_dimensions[:2], report.top_dimension_means)
    )
    return [
        ("gap norm", "gap_norm", f"{report.gap_norm_null:.4f} if swapped at random within pairs"),
        ("pair cosine, mean", "pair_cosine_mean", ""),
        ("pair cosine, max", "pair_cosine_max", ""),
        ("pair cosine, min", "pair_cosine_min", ""),
        ("pooled mean", "pooled_mean", "near 0 even where the gap is large: see the next line"),
        ("share of one constant vector", "constant_share", "of the gap's energy"),
        ("share of two dimensions", "top2_share", f"of the squared norm: {dimensions}"),
        ("pooled std", "pooled_std", ""),
        ("skewness", "skewness", "0 for a normal curve"),
        ("excess kurtosis", "excess_kurtosis", "0 for a normal curve"),
        ("KS to the normal, raw", "ks_raw", ""),
        ("KS, dimension means removed", "ks_centred", ""),
        ("cone, image", "cone_image", "mean cosine between different images"),
        ("cone, text", "cone_text", "mean cosine between different texts"),
        ("cut along the gap", "separability", "balanced accuracy, scored on the fitted pairs"),
        ("  on held-out pairs", "separability_held_out", "0.5 is a coin"),
        ("  by the best dimension", "separability_single_dimension", ""),
        ("  by ridge LDA, held out", "separability_lda", ""),
    ]
