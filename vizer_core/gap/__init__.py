"""The modality gap: what it is, how big, whose it is, and what it is made of.

- `stats`: `measure_gap`, the whole report; `interval`: bootstrap intervals for it
- `separability`, `normality`: can a flat cut tell the clouds apart; is the gap a normal curve
"""

from vizer_core.gap.interval import Interval, bootstrap_gap, bootstrap_mean
from vizer_core.gap.normality import Moments, ks_to_fitted_normal, moments
from vizer_core.gap.separability import Separability, measure_separability
from vizer_core.gap.stats import GapReport, gap_vector, mean_off_diagonal_cosine, measure_gap

__all__ = [
    "GapReport",
    "Interval",
    "Moments",
    "Separability",
    "bootstrap_gap",
    "bootstrap_mean",
    "gap_vector",
    "ks_to_fitted_normal",
    "mean_off_diagonal_cosine",
    "measure_gap",
    "measure_separability",
    "moments",
]
