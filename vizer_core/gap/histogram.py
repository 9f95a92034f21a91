"""The Gaussian gap histogram of MacCap section 3.2 and appendix 4, as a stream.

Global reading: entries of t_i - x_i, [n, d]. Local reading: entries of t_i - p_is for every patch
s, [n, p, d]. "We pool all the feature dimensions together": every entry counts once, so 5,000 pairs
of 49 patches and 512 dimensions are 125 million numbers. They are binned and dropped block by
block.

symbol -> name: G -> entries; Avg over (i, s, d) -> mean; Avg over (i, s) -> dimension_means.

Exactness. A bin is a power of two wide, so scaling an entry to bins is exact in floating point: the
counts are integers that depend neither on how the data are cut nor on the order of shards. Moments
are float64 (`moments`), the same to rounding.

Where we differ: the paper shows the pooled histogram and its mean alone. The per-dimension means
are kept too, because a pooled mean near 0 hides them, and the KS distance to the fitted normal is
reported, as an interval that the bins guarantee.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.gap.moments import Moments, moments
from vizer_core.gap.normality import normal_cdf
from vizer_core.shapes import require_unit_norm

BIN_WIDTH = 2.0**-14
LIMIT = 1.0
ENTRIES_AT_ONCE = 1 << 16  # 512 KiB of float64: stays in the cache of one core


@dataclass(frozen=True)
class KsBounds:
    """The KS distance lies between these two; they differ by at most one bin's share."""

    lower: float
    upper: float


class GapHistogram:
    """Counts, moments and per-dimension means of the gap's entries, in fixed memory.

    `centre` (a vector of width `dim`, for instance a first pass's `dimension_means`) is taken off
    every entry before it is counted: the second pass that tells "zero mean" in the pool from
    zero mean in each dimension. Entries below -limit or from limit upwards are counted apart.

    >>> histogram = GapHistogram(2, bin_width=0.5)
    >>> histogram.update(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]]))
    >>> histogram.counts.tolist(), round(histogram.moments.mean, 4)  # entries -.4 and .8
    ([0, 1, 0, 1], 0.2)
    """

    def __init__(
        self,
        dim: int,
        *,
        bin_width: float = BIN_WIDTH,
        limit: float = LIMIT,
        centre: Float[Tensor, " d"] | None = None,
    ) -> None:
        if math.frexp(bin_width)[0] != 0.5 or bin_width <= 0:
            raise ValueError(f"bin_width is {bin_width}, wanted a power of two such as 2**-14")
        if limit <= 0 or not (limit / bin_width).is_integer():
            raise ValueError(f"limit is {limit}, wanted a positive multiple of {bin_width}")
        if centre is not None and tuple(centre.shape) != (dim,):
            raise ValueError(f"centre has shape {tuple(centre.shape)}, wanted ({dim},)")
        self.dim, self.bin_width, self.limit = dim, float(bin_width), float(limit)
        self.centre = torch.zeros(dim) if centre is None else centre.detach().cpu().float()
        self._half = int(limit / bin_width)  # bins on each side of zero
        self._counts = torch.zeros(2 * self._half + 2, dtype=torch.int64)
        self._moments = Moments()
        self._sums = torch.zeros(dim, dtype=torch.float64)

    def update(
        self, visual_features: Float[Tensor, "n *p d"], text_features: Float[Tensor, "m e"]
    ) -> None:
        """Count text minus visual for image features [n, d] or patch features [n, p, d].

        A bad batch raises before anything of it is counted.
        """
        self._check(visual_features, text_features)
        rows = visual_features[0].numel()
        blocks = max(1, ENTRIES_AT_ONCE // rows)
        for visual, text in zip(visual_features.split(blocks), text_features.split(blocks)):
            self._count(visual.float(), text.float())

    def merge(self, other: GapHistogram) -> GapHistogram:
        """Return the histogram of both sets of entries; neither operand changes."""
        same = (self.dim, self.bin_width, self.limit) == (other.dim, other.bin_width, other.limit)
        if not same or not torch.equal(self.centre, other.centre):
            raise ValueError(
                f"cannot merge a histogram of dim {self.dim}, bins of {self.bin_width} up to "
                f"{self.limit} with one of dim {other.dim}, bins of {other.bin_width} up to "
                f"{other.limit}: both need the same settings and the same centre"
            )
        merged = self._like()
        merged._counts = self._counts + other._counts
        merged._moments = self._moments.merge(other._moments)
        merged._sums = self._sums + other._sums
        return merged

    @property
    def count(self) -> int:
        """How many entries were counted, those beyond the limits too."""
        return self._moments.count

    @property
    def counts(self) -> Int[Tensor, " bins"]:
        """Entries in each bin [edge, next edge)."""
        return self._counts[1:-1]

    @property
    def underflow(self) -> int:
        """Entries below -limit."""
        return int(self._counts[0])

    @property
    def overflow(self) -> int:
        """Entries at limit or above."""
        return int(self._counts[-1])

    @property
    def edges(self) -> Float[Tensor, " edges"]:
        """Bin edges, exact in float64."""
        steps = torch.arange(-self._half, self._half + 1, dtype=torch.float64)
        return steps * self.bin_width

    @property
    def moments(self) -> Moments:
        """Pooled mean, standard deviation, skewness and excess kurtosis."""
        if self.count == 0:
            raise ValueError("the histogram is empty: call update() with features first")
        return self._moments

    @property
    def dimension_means(self) -> Float[Tensor, " d"]:
        """Mean of each dimension: the gap vector (less `centre`)."""
        return self._sums * self.dim / self.moments.count

    @property
    def constant_share(self) -> float:
        """Share of the entries' energy that the per-dimension means contain."""
        energy = self.moments.std**2 + self.moments.mean**2
        return float(self.dimension_means.square().mean()) / energy if energy > 0 else 0.0

    def ks(self) -> KsBounds:
        """Bound the KS distance to the normal with the pooled mean and standard deviation.

        Exact at the bin edges; inside a bin both curves only rise, so neither can leave the
        rectangle between its edges. With 2**-14 bins and a std of .05 the two bounds differ by
        about .0005.
        """
        expected = normal_cdf(self.edges, mean=self.moments.mean, std=self.moments.std)
        seen = self._counts.cumsum(0)[:-1].double() / self.count
        zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        seen_low, seen_high = torch.cat([zero, seen]), torch.cat([seen, one])
        curve_low, curve_high = torch.cat([zero, expected]), torch.cat([expected, one])
        upper = torch.maximum(seen_high - curve_low, curve_high - seen_low).max()
        return KsBounds(lower=float((seen - expected).abs().max()), upper=float(upper))

    def coarsened(self, factor: int) -> GapHistogram:
        """Return a copy with `factor` (a power of two) bins joined into one, for a figure."""
        if factor < 1 or factor & (factor - 1) or self._half % factor:
            raise ValueError(
                f"factor is {factor}, wanted a power of two that divides {self._half}, "
                "the bins on each side of zero"
            )
        joined = self._like(bin_width=self.bin_width * factor)
        inner = self.counts.reshape(-1, factor).sum(dim=1)
        joined._counts = torch.cat([self._counts[:1], inner, self._counts[-1:]])
        joined._moments, joined._sums = self._moments, self._sums.clone()
        return joined

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the whole state as tensors, for `files.save_tensors`; shards merge after it."""
        m = self._moments
        power_sums = [m.mean, m.sum2, m.sum3, m.sum4]
        return {
            "counts": self._counts.clone(),
            "count": torch.tensor(m.count),
            "power_sums": torch.tensor(power_sums, dtype=torch.float64),
            "dimension_sums": self._sums.clone(),
            "centre": self.centre.clone(),
            "bins": torch.tensor([self.bin_width, self.limit], dtype=torch.float64),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> GapHistogram:
        """Rebuild what `to_tensors` returned."""
        wanted = {"counts", "count", "power_sums", "dimension_sums", "centre", "bins"}
        if missing := sorted(wanted - set(tensors)):
            raise ValueError(f"not a saved histogram: {', '.join(missing)} missing")
        width, limit = tensors["bins"].tolist()
        centre = tensors["centre"]
        histogram = cls(len(centre), bin_width=width, limit=limit, centre=centre)
        histogram._counts = tensors["counts"].clone()
        histogram._moments = Moments(int(tensors["count"]), *tensors["power_sums"].tolist())
        histogram._sums = tensors["dimension_sums"].clone()
        return histogram

    def _like(self, *, bin_width: float | None = None) -> GapHistogram:
        return GapHistogram(
            self.dim,
            bin_width=bin_width or self.bin_width,
            limit=self.limit,
            centre=self.centre,
        )

    def _check(self, visual: Tensor, text: Tensor) -> None:
        fits = visual.ndim in (2, 3) and text.ndim == 2 and len(visual) == len(text)
        if not fits or visual.shape[-1] != self.dim or text.shape[-1] != self.dim:
            raise ValueError(
                f"visual_features {tuple(visual.shape)} and text_features {tuple(text.shape)} do "
                f"not fit: wanted [n, {self.dim}] or [n, p, {self.dim}], and [n, {self.dim}]"
            )
        require_unit_norm(text, "text_features")
        rows = max(1, ENTRIES_AT_ONCE // visual[0].numel())
        for block in visual.split(rows):
            require_unit_norm(block, "visual_features")

    def _count(self, visual: Tensor, text: Tensor) -> None:
        patches = visual if visual.ndim == 3 else visual[:, None, :]
        entries = text[:, None, :] - patches - self.centre.to(text.device)
        bins = (entries * (1 / self.bin_width)).floor_().clamp_(-self._half - 1, self._half)
        index = bins.to(torch.int32).add_(self._half + 1).reshape(-1)
        self._counts += torch.bincount(index, minlength=len(self._counts)).cpu()
        self._moments = self._moments.merge(moments(entries))
        self._sums += entries.sum(dim=(0, 1), dtype=torch.float64).cpu()
