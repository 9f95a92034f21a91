"""The modality gap: what it is, how big, whose it is, and what it is made of.

- `stats`: `measure_gap`, the whole report; `interval`: bootstrap intervals for it
- `separability`, `normality`: can a flat cut tell the clouds apart; is the gap a normal curve
- `regions`, `closer`: MacCap Table 1 and the "33% of cases", with controls and nulls
- `projection`: PCA, SVD and UMAP of the space, and how stable UMAP is
- `histogram`: the pooled gap as a stream, exact and mergeable; `moments` beneath it
- `shift`, `sphere`: moving the clouds (Liang et al. 2022), and why mismatched pairs hold them apart
- `pairs`, `feature_file`: what a set of pairs must be; features that somebody saved
"""

from typing import TYPE_CHECKING

from vizer_core.lazy import lazy_names

if TYPE_CHECKING:
    from vizer_core.gap.closer import CloserFraction as CloserFraction
    from vizer_core.gap.closer import closer_subregion_fraction as closer_subregion_fraction
    from vizer_core.gap.histogram import GapHistogram as GapHistogram
    from vizer_core.gap.interval import bootstrap_gap as bootstrap_gap
    from vizer_core.gap.interval import bootstrap_mean as bootstrap_mean
    from vizer_core.gap.noise_scale import cosine_after_noise as cosine_after_noise
    from vizer_core.gap.noise_scale import matched_noise_std as matched_noise_std
    from vizer_core.gap.normality import ks_to_fitted_normal as ks_to_fitted_normal
    from vizer_core.gap.pooling import scramble_dimensions as scramble_dimensions
    from vizer_core.gap.projection import Projection as Projection
    from vizer_core.gap.projection import project_pca as project_pca
    from vizer_core.gap.projection import project_svd as project_svd
    from vizer_core.gap.projection import project_umap as project_umap
    from vizer_core.gap.projection import sample_groups as sample_groups
    from vizer_core.gap.projection import shared_neighbours as shared_neighbours
    from vizer_core.gap.projection import trustworthiness as trustworthiness
    from vizer_core.gap.projection import umap_stability as umap_stability
    from vizer_core.gap.purity import same_group_share as same_group_share
    from vizer_core.gap.regions import CosineRow as CosineRow
    from vizer_core.gap.regions import PairCosines as PairCosines
    from vizer_core.gap.regions import cosine_table as cosine_table
    from vizer_core.gap.regions import pair_cosines as pair_cosines
    from vizer_core.gap.separability import measure_separability as measure_separability
    from vizer_core.gap.shift import recall_at_1 as recall_at_1
    from vizer_core.gap.shift import shift_images as shift_images
    from vizer_core.gap.shift import shift_modalities as shift_modalities
    from vizer_core.gap.shift import sweep_shift as sweep_shift
    from vizer_core.gap.sphere import sweep_sphere as sweep_sphere
    from vizer_core.gap.stats import GapReport as GapReport
    from vizer_core.gap.stats import gap_vector as gap_vector
    from vizer_core.gap.stats import measure_gap as measure_gap
    from vizer_core.metrics.stats import Interval as Interval

_HOME = {
    "vizer_core.gap.closer": ("CloserFraction", "closer_subregion_fraction"),
    "vizer_core.gap.histogram": ("GapHistogram",),
    "vizer_core.gap.interval": ("bootstrap_gap", "bootstrap_mean"),
    "vizer_core.gap.noise_scale": ("cosine_after_noise", "matched_noise_std"),
    "vizer_core.gap.normality": ("ks_to_fitted_normal",),
    "vizer_core.gap.pooling": ("scramble_dimensions",),
    "vizer_core.gap.projection": (
        "Projection",
        "project_pca",
        "project_svd",
        "project_umap",
        "sample_groups",
        "shared_neighbours",
        "trustworthiness",
        "umap_stability",
    ),
    "vizer_core.gap.purity": ("same_group_share",),
    "vizer_core.gap.regions": ("CosineRow", "PairCosines", "cosine_table", "pair_cosines"),
    "vizer_core.gap.separability": ("measure_separability",),
    "vizer_core.gap.shift": ("recall_at_1", "shift_images", "shift_modalities", "sweep_shift"),
    "vizer_core.gap.sphere": ("sweep_sphere",),
    "vizer_core.gap.stats": ("GapReport", "gap_vector", "measure_gap"),
    "vizer_core.metrics.stats": ("Interval",),
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
