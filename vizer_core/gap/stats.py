"""The modality gap of a set of pairs, as one report.

Gap of a pair: g_i = t_i - x_i, text minus image, both of length 1 (MacCap appendix 4, where
G_i = T_i - I_i; Liang et al. 2022 section 2 take image minus text: same norms, other signs).

symbol -> name
  Delta = mean_i g_i            gap vector, `gap_vector`; its length, `gap_norm`
  Avg over (i, d) of g_i[d]     `pooled_mean` (the appendix prints I where it must mean G)
  cos(x_i, t_i)                 pair cosine; mean, max and min as in MacCap Table 1

What we add: `pooled_mean` is the average of the d entries of one vector and says almost nothing
about its length, so the report also contains `constant_share` (how much of the gap's energy is that
one vector), the share of its two largest dimensions, and the KS distance before and after the
per-dimension means are removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.gap.moments import moments
from vizer_core.gap.normality import ks_to_fitted_normal
from vizer_core.gap.pairs import require_matrix, require_pairs
from vizer_core.gap.separability import measure_separability
from vizer_core.metrics.stats import Interval
from vizer_core.shapes import require_unit_norm

TOP_DIMENSIONS = 5


@dataclass(frozen=True)
class GapReport:
    """Every headline number of the gap between n image and n text features of width dim.

    `gap_norm_null` is what `gap_norm` would be (root mean square) if image and text were swapped at
    random within each pair: the size that sampling alone gives. `separability` is fitted and
    scored on the same pairs; `separability_held_out` is not. Moments are population moments.
    """

    n: int
    dim: int
    gap_norm: float
    gap_norm_null: float
    pair_cosine_mean: float
    pair_cosine_max: float
    pair_cosine_min: float
    pooled_mean: float
    pooled_std: float
    skewness: float
    excess_kurtosis: float
    ks_raw: float
    ks_centred: float
    constant_share: float
    top2_share: float
    top_dimensions: tuple[int, ...]
    top_dimension_means: tuple[float, ...]
    cone_image: float
    cone_text: float
    separability: float
    separability_held_out: float
    separability_single_dimension: float
    separability_lda: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, ready for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    def table(self, intervals: Mapping[str, Interval] | None = None) -> str:
        """Lay the numbers out as text, each with what to compare it with.

        `intervals` may cover any of the fields: `gap.bootstrap_gap` makes them.
        """
        from vizer_core.gap.report import gap_table

        return gap_table(self, intervals or {})


def measure_gap(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "m e"]
) -> GapReport:
    """Measure the modality gap between paired unit-norm features (MacCap section 3, appendix 4).

    >>> image, text = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.6, 0.8], [0.8, 0.6]])
    >>> report = measure_gap(image, text)
    >>> round(report.gap_norm, 4), round(report.pair_cosine_mean, 4)
    (0.2828, 0.6)
    """
    require_pairs(image_features, text_features)
    image, text = image_features.float(), text_features.float()
    gaps = text - image
    centre = gap_vector(image, text)
    energy = float(gaps.double().square().sum(dim=1).mean())
    pooled = moments(gaps)
    flat = pooled.std <= 1e-9  # every entry the same number: no curve to fit
    centred = gaps - centre.float()
    cosines = (image.double() * text.double()).sum(dim=1)
    cut = measure_separability(image, text)
    order = centre.abs().argsort(descending=True)[:TOP_DIMENSIONS].tolist()
    return GapReport(
        n=len(image),
        dim=image.shape[1],
        gap_norm=float(torch.linalg.vector_norm(centre)),
        gap_norm_null=(energy / len(image)) ** 0.5,
        pair_cosine_mean=float(cosines.mean()),
        pair_cosine_max=float(cosines.max()),
        pair_cosine_min=float(cosines.min()),
        pooled_mean=pooled.mean,
        pooled_std=pooled.std,
        skewness=pooled.skewness,
        excess_kurtosis=pooled.excess_kurtosis,
        ks_raw=0.0 if flat else ks_to_fitted_normal(gaps),
        ks_centred=0.0 if float(centred.std()) <= 1e-7 else ks_to_fitted_normal(centred),
        constant_share=float(centre.square().sum()) / energy if energy > 0 else 0.0,
        top2_share=top_share(centre, min(2, len(centre))),
        top_dimensions=tuple(order),
        top_dimension_means=tuple(centre[order].tolist()),
        cone_image=mean_off_diagonal_cosine(image),
        cone_text=mean_off_diagonal_cosine(text),
        separability=cut.midpoint,
        separability_held_out=cut.midpoint_held_out,
        separability_single_dimension=cut.best_dimension,
        separability_lda=cut.lda_held_out,
    )


def gap_vector(
    image_features: Float[Tensor, "n d"], text_features: Float[Tensor, "m e"]
) -> Float[Tensor, " d"]:
    """Return mean text minus mean image, in float64: the per-dimension means of the gap.

    >>> gap_vector(torch.tensor([[1.0, 0.0]] * 2), torch.tensor([[0.0, 1.0]] * 2))
    tensor([-1.,  1.], dtype=torch.float64)
    """
    require_pairs(image_features, text_features)
    return text_features.double().mean(dim=0) - image_features.double().mean(dim=0)


def top_share(vector: Float[Tensor, " d"], count: int) -> float:
    """Return the share of a vector's squared length that its `count` largest entries contain.

    >>> top_share(torch.tensor([2.0, 1.0, 1.0, 1.0, 1.0]), 1)
    0.5
    """
    if not 1 <= count <= len(vector):
        raise ValueError(f"count is {count}, wanted 1 to {len(vector)} (the vector's length)")
    squares = vector.double().square()
    total = float(squares.sum())
    return float(squares.topk(count).values.sum()) / total if total > 0 else 0.0


def mean_off_diagonal_cosine(features: Float[Tensor, "n d"]) -> float:
    """Average the cosine over all pairs of different rows: the cone effect (Liang et al. 2022).

    In closed form, (|sum_i x_i|^2 - sum_i |x_i|^2) / (n (n - 1)); no n by n matrix is made.

    >>> mean_off_diagonal_cosine(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    0.3333333333333333
    """
    require_matrix(features, "features")
    if len(features) < 2:
        raise ValueError(f"got {len(features)} vector, wanted at least 2 to compare")
    require_unit_norm(features, "features")
    rows = features.double()
    n = len(rows)
    return float(rows.sum(dim=0).square().sum() - rows.square().sum()) / (n * (n - 1))
