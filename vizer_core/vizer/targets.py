"""What a caption's states are compared with: image features, their common part taken out.

ViZer (section 3) compares F^_T with F_I by cosine. Mean-pooled features of a frozen tower share a
large part m, so that a constant answer already scores about sqrt(|m|^2 / mean |F|^2). The paper
does not say that it removes m; `uncentred` is that reading. Statistics come from training images
and are stored with the mapper.

=============  =================================================================================
uncentred      F_I as the tower gives it (the paper, as written)
centre         F_I - mean: our default
whiten         (F_I - mean) W, W = C^(-1/2): every direction of the tower counts alike
residual       F_I without its first directions, or its sub-regions' spread: `residual.py`
shuffled       each image with another image's target: the control of every claim
=============  =================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vizer_core.vlm.protocol import VisionBatch


@dataclass(frozen=True, eq=False)
class Centring:
    """Subtracts a mean."""

    mean: Float[Tensor, " d"]

    def apply(self, features: Float[Tensor, "*axes d"]) -> Float[Tensor, "*axes d"]:
        """Return features with the mean taken out, in float32."""
        _require_width(features, self.mean)
        return features.float() - self.mean.to(features.device)

    def tensors(self) -> dict[str, Tensor]:
        """Return what a file must keep."""
        return {"mean": self.mean}


@dataclass(frozen=True, eq=False)
class Whitening:
    """Subtracts a mean and scales every principal direction to unit variance."""

    mean: Float[Tensor, " d"]
    matrix: Float[Tensor, "d d"]

    def apply(self, features: Float[Tensor, "*axes d"]) -> Float[Tensor, "*axes d"]:
        """Return whitened features in float32."""
        _require_width(features, self.mean)
        return (features.float() - self.mean.to(features.device)) @ self.matrix.to(features.device)

    def tensors(self) -> dict[str, Tensor]:
        """Return what a file must keep."""
        return {"mean": self.mean, "matrix": self.matrix}


@runtime_checkable
class TargetSpace(Protocol):
    """What F_I goes through before it is compared; fitted on images, kept with a mapper."""

    def apply(self, features: Float[Tensor, "*axes d"]) -> Float[Tensor, "*axes d"]:
        """Bring features into the space."""

    def tensors(self) -> dict[str, Tensor]:
        """Return what a file must keep."""


def uncentred(features: Float[Tensor, "n d"]) -> Centring:
    """Leave features as they are: the mean that is taken out is zero.

    >>> uncentred(torch.ones(2, 3)).mean
    tensor([0., 0., 0.])
    """
    return Centring(torch.zeros(features.shape[1], device=features.device))


def centre(features: Float[Tensor, "n d"]) -> Centring:
    """Fit the mean of training features.

    >>> centre(torch.tensor([[1.0, 0.0], [3.0, 0.0]])).mean
    tensor([2., 0.])
    """
    _require_rows(features, 1)
    return Centring(features.double().mean(dim=0).float())


def whiten(features: Float[Tensor, "n d"], *, floor: float = 1e-3) -> Whitening:
    """Fit mean and C^(-1/2), C the covariance of training features.

    Eigenvalues below `floor` times the largest are raised to it: a direction that hardly varies
    contains noise, and dividing by its spread would make noise the target.
    """
    _require_rows(features, 2)
    if not 0 < floor <= 1:
        raise ValueError(f"floor is {floor}: wanted 0 < floor <= 1, a share of the largest")
    wide = features.double()
    mean = wide.mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov(wide.T))
    if float(values[-1]) <= 0:
        raise ValueError(f"all {len(features)} features are one vector: there is no spread to use")
    scale = values.clamp(min=floor * float(values[-1])).rsqrt()
    return Whitening(mean.float(), ((vectors * scale) @ vectors.T).float())


def derangement(n: int, *, generator: torch.Generator) -> Int[Tensor, " n"]:
    """Draw a permutation that leaves nothing in its place, uniformly, by rejection.

    About one permutation in e has no fixed point, so a few draws are enough.

    >>> order = derangement(5, generator=torch.Generator().manual_seed(0))
    >>> bool((order == torch.arange(5)).any())
    False
    """
    if n < 2:
        raise ValueError(f"cannot derange {n} images: wanted at least 2")
    while True:
        order = torch.randperm(n, generator=generator)
        if not bool((order == torch.arange(n)).any()):
            return order


@runtime_checkable
class VisionSource(Protocol):
    """Images that can be asked for by number; `VisionBatch` is one, `ImageSource` another."""

    def __len__(self) -> int:
        """Return how many images there are."""

    def select(self, indices: list[int]) -> VisionBatch:
        """Return what the vision side says about the images at `indices`, in that order."""


def prepare_of(source: VisionSource, indices: list[int]) -> Any:
    """Do what a source can do of `select` without its model (`prepare`); None where it cannot."""
    own = getattr(source, "prepare", None)
    return None if own is None else own(indices)


def encode_of(source: Any, prepared: Any, indices: list[int]) -> VisionBatch:
    """Return `source.select(indices)`, begun by `prepare_of`."""
    return source.select(indices) if prepared is None else source.encode(prepared, indices)


@dataclass(frozen=True, eq=False)
class Slice:
    """The images of a source at some indices."""

    source: VisionSource
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def select(self, indices: list[int]) -> VisionBatch:
        """Return the images at `indices` of this slice."""
        return self.source.select([self.indices[i] for i in indices])

    def prepare(self, indices: list[int]) -> Any:
        """Prepare the images at `indices` of this slice (`vizer.read_ahead`)."""
        return prepare_of(self.source, [self.indices[i] for i in indices])

    def encode(self, prepared: Any, indices: list[int]) -> VisionBatch:
        """Return what `select` does, of what `prepare` made."""
        return encode_of(self.source, prepared, [self.indices[i] for i in indices])


@dataclass(frozen=True, eq=False)
class Shuffled:
    """A source whose image i is read as it is, and whose captions are compared with another."""

    source: VisionSource
    order: Int[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.order)

    def select(self, indices: list[int]) -> VisionBatch:
        """Return the images at `indices` with the targets of others."""
        others = self.source.select(self._others(indices))
        own = self.source.select(indices)
        return replace(own, targets=others.targets, swapped=others.compared_with)

    def prepare(self, indices: list[int]) -> Any:
        """Prepare the images at `indices`, and the others (`vizer.read_ahead`)."""
        return tuple(prepare_of(self.source, rows) for rows in (self._others(indices), indices))

    def encode(self, prepared: Any, indices: list[int]) -> VisionBatch:
        """Return what `select` does, of what `prepare` made."""
        others = encode_of(self.source, prepared[0], self._others(indices))
        own = encode_of(self.source, prepared[1], indices)
        return replace(own, targets=others.targets, swapped=others.compared_with)

    def _others(self, indices: list[int]) -> list[int]:
        return [int(self.order[i]) for i in indices]


def shuffled(source: VisionSource, *, generator: torch.Generator) -> Shuffled:
    """Permute the targets: what a run still gains then is not from its images."""
    return Shuffled(source, derangement(len(source), generator=generator))


def compared_rows(vision: VisionBatch, count: int) -> list[int]:
    """Return the rows of the images that captions are compared with, in a source of `count`."""
    rows = vision.compared_with.index.tolist()
    if max(rows, default=0) >= count:
        raise ValueError(
            f"row {max(rows)} of {count} images: the reward has another source than the one that "
            "is trained on. Number a selection anew: source.numbered(range(len(source)))"
        )
    return rows


def shuffled_targets(
    targets: Float[Tensor, "n d"], *, generator: torch.Generator
) -> Float[Tensor, "n d"]:
    """Deal targets out anew so that none stays where it was: the control of a mapper's fit."""
    order = derangement(len(targets), generator=generator)
    return targets[order.to(targets.device)]


def _require_rows(features: Tensor, least: int) -> None:
    if len(features) < least:
        raise ValueError(f"got {len(features)} features: wanted at least {least} to fit on")
    if not bool(torch.isfinite(features).all()):
        raise ValueError("features contain NaN or inf: encode those images again")


def _require_width(features: Tensor, mean: Tensor) -> None:
    if features.shape[-1] != mean.shape[0]:
        raise ValueError(
            f"features are {features.shape[-1]} wide, the target space was fitted on "
            f"{mean.shape[0]}: they come from another vision tower or pooling"
        )
