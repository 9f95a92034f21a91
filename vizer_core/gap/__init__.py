"""The modality gap: what it is, how big, whose it is, and what it is made of.

- `stats`: `measure_gap`, the whole report; `interval`: bootstrap intervals for it
- `separability`, `normality`: can a flat cut tell the clouds apart; is the gap a normal curve
- `regions`, `closer`: MacCap Table 1 and the "33% of cases", with controls and nulls
- `projection`: PCA, SVD and UMAP of the space, and how stable UMAP is
- `histogram`: the pooled gap as a stream, exact and mergeable; `moments` beneath it
- `shift`, `sphere`: moving the clouds (Liang et al. 2022), and why mismatched pairs hold them apart
- `pairs`, `feature_file`: what a set of pairs must be; features that somebody saved
"""

from vizer_core.gap.closer import CloserFraction, closer_subregion_fraction
from vizer_core.gap.histogram import GapHistogram
from vizer_core.gap.interval import bootstrap_gap
from vizer_core.gap.projection import Projection, project_pca, project_svd, project_umap
from vizer_core.gap.regions import CosineRow, PairCosines, cosine_table, pair_cosines
from vizer_core.gap.shift import shift_images, shift_modalities, sweep_shift
from vizer_core.gap.sphere import sweep_sphere
from vizer_core.gap.stats import GapReport, gap_vector, measure_gap
from vizer_core.metrics.stats import Interval

__all__ = [
    "CloserFraction",
    "CosineRow",
    "GapHistogram",
    "GapReport",
    "Interval",
    "PairCosines",
    "Projection",
    "bootstrap_gap",
    "closer_subregion_fraction",
    "cosine_table",
    "gap_vector",
    "measure_gap",
    "pair_cosines",
    "project_pca",
    "project_svd",
    "project_umap",
    "shift_images",
    "shift_modalities",
    "sweep_shift",
    "sweep_sphere",
]
