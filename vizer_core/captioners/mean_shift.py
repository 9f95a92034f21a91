"""Control row: the mean gap is taken out of the image feature before any captioner reads it.

The gap between image and text features is mostly one constant vector (Liang et al. 2022, section
2), so the plainest remedy is to move images by it:

    I' = norm(I_c + mean(T) - mean(I))

It needs some unpaired images, which the zero-shot methods do without; a method that does not beat
this row has removed no more than a constant.

Where we differ: MacCap and its baselines report no such row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.captioners.protocol import (
    Captioner,
    Images,
    image_features_of,
    require_features_only,
    require_width,
)
from vizer_core.shapes import require_unit_norm, unit_norm


@dataclass(frozen=True, eq=False)
class MeanShift:
    """Moves images by the mean gap (text minus image), then lets another captioner write."""

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
