"""Noise that stands in for the modality gap: four kinds, each with the angle it turns by.

Three know no direction; `StructuredNoise` is measured on pairs, and needs some.

A captioner trained on text features t must later read image features. MacCap section 3.2 takes the
gap between the two for zero-mean noise and trains on t + noise (equation 4). With an isotropic
noise of standard deviation `std` in each of d coordinates, t of length 1 turns by

    cos(t, t + noise) = 1 / sqrt(1 + d std^2),

exact for large d, because the noise is then nearly orthogonal to t. The mean of m noisy copies of
one text is turned as by noise of std / sqrt(m), and two copies have that cosine squared.

symbol -> name: sigma -> variance (MacCap, CapDec and ViECap print the variance; CLOSE prints the
standard deviation). Where we differ: MacCap's prose says "uniform", its equation 4 and its release
draw a Gaussian; `GaussianNoise` is the default and `UniformNoise` stands beside it (D1). Read as a
standard deviation, .016 would turn a text by 20 degrees instead of 71 (D2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

# MacCap section 5.1 states the noise's parameter as .016; the release draws a Gaussian of this
# variance in each coordinate, in training and in inference. CapDec chose the same variance.
MACCAP_VARIANCE = 0.016


@runtime_checkable
class Noise(Protocol):
    """Noise on vectors; zero-mean, isotropic and of any width, but for `StructuredNoise`."""

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw noise of a shape [..., d] on the CPU, in float32."""

    def std(self, width: int) -> float:
        """Return the standard deviation per coordinate; the noise's length is std * sqrt(d)."""

    def expected_cosine(self, width: int, *, copies: int = 1) -> float:
        """Return the cosine between a unit vector and the mean of its noisy copies."""


def _counted(width: int, copies: int) -> int:
    if width < 1 or copies < 1:
        raise ValueError(f"got width {width} and {copies} copies: wanted at least 1 of each")
    return copies


def _cosine(std: float, width: int, copies: int) -> float:
    return (1 + width * std**2 / _counted(width, copies)) ** -0.5


def _require_scale(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} is {value}: wanted more than 0; no noise is NoNoise()")


@dataclass(frozen=True)
class GaussianNoise:
    """Independent N(0, variance) in each coordinate (MacCap equation 4).

    >>> round(GaussianNoise(MACCAP_VARIANCE).expected_cosine(512), 4)
    0.3298
    >>> round(GaussianNoise(MACCAP_VARIANCE).expected_cosine(512, copies=10), 4)
    0.7414
    """

    variance: float

    def __post_init__(self) -> None:
        _require_scale("variance", self.variance)

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw noise of a shape [..., d] on the CPU, in float32."""
        return torch.randn(shape, generator=generator) * self.variance**0.5

    def std(self, width: int) -> float:
        """Return sqrt(variance), whatever the width."""
        return self.variance**0.5

    def expected_cosine(self, width: int, *, copies: int = 1) -> float:
        """Return the cosine between a unit vector and the mean of its noisy copies."""
        return _cosine(self.std(width), width, copies)


@dataclass(frozen=True)
class UniformNoise:
    """Independent uniform noise of a variance in each coordinate: MacCap's prose, taken literally.

    The interval is [-a, a] with a = sqrt(3 variance). It turns a text as far as a Gaussian does.

    >>> round(UniformNoise(MACCAP_VARIANCE).half_width, 4)
    0.2191
    """

    variance: float

    def __post_init__(self) -> None:
        _require_scale("variance", self.variance)

    @property
    def half_width(self) -> float:
        """Half the interval's length."""
        return (3 * self.variance) ** 0.5

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw noise of a shape [..., d] on the CPU, in float32."""
        return (torch.rand(shape, generator=generator) * 2 - 1) * self.half_width

    def std(self, width: int) -> float:
        """Return sqrt(variance), whatever the width."""
        return self.variance**0.5

    def expected_cosine(self, width: int, *, copies: int = 1) -> float:
        """Return the cosine between a unit vector and the mean of its noisy copies."""
        return _cosine(self.std(width), width, copies)


@dataclass(frozen=True)
class StructuredNoise:
    """Gaussian noise with the mean and covariance of image less text, measured on pairs.

    CLOSE (Gu et al. 2211.09778) compares isotropic noise with a shift by the mean gap
    and with noise of the gap's covariance. Both want pairs, if only some hundred, so what is
    trained with it is no longer trained on texts alone. `scale` multiplies the covariance's root.

    `shift` is the mean [d], `root` the covariance's lower factor [d][d], as plain numbers.
    """

    shift: tuple[float, ...]
    root: tuple[tuple[float, ...], ...]
    scale: float = 1.0

    @classmethod
    def of_pairs(cls, images: Tensor, texts: Tensor, *, scale: float = 1.0) -> StructuredNoise:
        """Measure the noise on paired features [n, d]; raises `ValueError` on fewer than 2 pairs.

        >>> images = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> StructuredNoise.of_pairs(images, images - 1.0).shift
        (1.0, 1.0)
        """
        if images.shape != texts.shape or len(images) < 2:
            raise ValueError(
                f"images {tuple(images.shape)} and texts {tuple(texts.shape)}: wanted pairs, "
                "at least 2"
            )
        gap = (images - texts).double()
        centred = gap - gap.mean(dim=0)
        covariance = centred.T @ centred / len(gap)
        # no pair spreads less than rounding: a factor of a singular matrix does not exist
        floor = 1e-9 * torch.eye(len(covariance), dtype=covariance.dtype)
        root = torch.linalg.cholesky(covariance + floor)
        return cls(
            tuple(gap.mean(dim=0).float().tolist()), tuple(map(tuple, root.float().tolist())), scale
        )

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw noise of a shape [..., d] on the CPU, in float32."""
        if shape[-1] != len(self.shift):
            raise ValueError(
                f"noise of width {len(self.shift)} for vectors of width {shape[-1]}: measure it on "
                "pairs of the encoder that is trained with"
            )
        drawn = torch.randn(shape, generator=generator)
        return torch.tensor(self.shift) + self.scale * drawn @ torch.tensor(self.root).T

    def std(self, width: int) -> float:
        """Return the root of the mean squared noise per coordinate, its shift included."""
        return (sum(self._squares()) / len(self.shift)) ** 0.5

    def _squares(self) -> tuple[float, float]:
        """Return the squared length of the shift, and the mean one of the noise about it."""
        spread = self.scale**2 * sum(value**2 for row in self.root for value in row)
        return sum(value**2 for value in self.shift), spread

    def expected_cosine(self, width: int, *, copies: int = 1) -> float:
        """Return the cosine that isotropic noise of this length turns a text by.

        The mean of copies has the whole shift, and less of what is spread about it.
        """
        shift, spread = self._squares()
        return (1 + shift + spread / _counted(width, copies)) ** -0.5


@dataclass(frozen=True)
class NoNoise:
    """No noise: the plain text feature, as DeCap and the paper's Baseline train.

    >>> NoNoise().expected_cosine(512)
    1.0
    """

    def sample(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Return zeros; nothing is drawn."""
        return torch.zeros(shape)

    def std(self, width: int) -> float:
        """Return 0."""
        return 0.0

    def expected_cosine(self, width: int, *, copies: int = 1) -> float:
        """Return 1."""
        return _cosine(0.0, width, copies)
