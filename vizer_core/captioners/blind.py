"""Control row: a captioner that is shown the same constant for every image.

What it scores is what fluent language about the usual things earns without looking. Trials on the
micro world gave such rows a CIDEr that beat real methods, so no table should be without one.

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
from vizer_core.shapes import unit_norm


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
