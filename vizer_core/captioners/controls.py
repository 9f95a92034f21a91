"""Control and upper rows around another captioner: what it is shown in the image's place.

===========  ==========================================  ==========================================
row          what the captioner is shown                 what it says
===========  ==========================================  ==========================================
OracleText   the text feature of a reference of the      upper row: what prefix network and LM
             image                                       write where there is no gap. It reads the
                                                         answer: a bound, not a method
MeanShift    I' = norm(I_c + mean(T) - mean(I))          the gap is mostly one constant vector
                                                         (Liang et al. 2022, section 2); who does
                                                         not beat this row removed no more. It needs
                                                         some unpaired images
Blind        the same constant for every image           what fluent language about the usual things
                                                         earns without looking. On the drawn world
                                                         such rows beat real methods by CIDEr, so no
                                                         table should be without one
===========  ==========================================  ==========================================

Where we differ: MacCap and its baselines report no such rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.captioners.memory_bank import nearest_rows
from vizer_core.captioners.protocol import (
    Captioner,
    Images,
    image_features_of,
    require_features_only,
    require_width,
)
from vizer_core.clip import PairedFeatures
from vizer_core.shapes import require_unit_norm, unit_norm

SAME_IMAGE = 1e-4  # 1 - cosine below which two image features are one image's


@dataclass(frozen=True, eq=False)
class Blind:
    """Hands `constant` to another captioner, whatever the image."""

    inner: Captioner
    constant: Float[Tensor, " d"]
    name: str = "blind"
    reads_patches: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_features_only(self.inner, self.name)

    @classmethod
    def mean_of(cls, inner: Captioner, features: Float[Tensor, "n d"]) -> Blind:
        """Show the mean direction of some features, such as the training texts'."""
        return cls(inner, unit_norm(features.float().mean(dim=0)))

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Caption the constant once an image."""
        features = image_features_of(images)
        require_width(features, len(self.constant), self.name)
        same = self.constant.to(features).expand(len(features), -1).contiguous()
        return self.inner.caption(same, generator=generator)


@dataclass(frozen=True, eq=False)
class MeanShift:
    """Moves images by the mean gap (text minus image), then lets another captioner generate."""

    inner: Captioner
    gap: Float[Tensor, " d"]
    name: str = "mean_shift"
    reads_patches: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_features_only(self.inner, self.name)

    @classmethod
    def measured(
        cls,
        inner: Captioner,
        image_features: Float[Tensor, "n d"],
        text_features: Float[Tensor, "m e"],
    ) -> MeanShift:
        """Measure the gap on training features; images and texts need not be paired."""
        require_unit_norm(image_features, "image_features")
        require_unit_norm(text_features, "text_features")
        if image_features.shape[1] != text_features.shape[1]:
            raise ValueError(
                f"got images of width {image_features.shape[1]} and texts of width "
                f"{text_features.shape[1]}: wanted one encoder for both"
            )
        gap = text_features.double().mean(dim=0) - image_features.double().mean(dim=0)
        return cls(inner, gap.float())

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Shift, scale to length 1 again, and caption."""
        features = image_features_of(images)
        require_width(features, len(self.gap), self.name)
        shifted = unit_norm(features + self.gap.to(features.device))
        return self.inner.caption(shifted, generator=generator)


@dataclass(frozen=True, eq=False)
class OracleText:
    """Hands the text feature of each image's first reference to another captioner."""

    inner: Captioner
    references: PairedFeatures
    name: str = "oracle_text"
    reads_patches: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_features_only(self.inner, self.name)

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Look each image up among the references; one that is not there is an error."""
        features = image_features_of(images)
        require_width(features, self.references.image_features.shape[1], self.name)
        pairs = self.references.first_pairs()
        rows = nearest_rows(features, pairs.image_features)
        cosines = (features * pairs.image_features[rows]).sum(dim=-1)
        if bool((cosines < 1 - SAME_IMAGE).any()):
            index = int(cosines.argmin())
            raise ValueError(
                f"image {index} is not among the {len(pairs.ids)} images with references: the "
                f"nearest has cosine {float(cosines[index]):.4f}. Pass the references of these "
                "images."
            )
        return self.inner.caption(pairs.text_features[rows], generator=generator)
