"""Upper row: the captioner is shown the text feature of a reference in the image's place.

There is no modality gap for this row, so it shows what adaptor and language model could write if
the gap were closed completely. It reads the answer: it is a bound, not a method.

Where we differ: MacCap reports no such row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from vizer_core.captioners.memory_bank import nearest_rows
from vizer_core.captioners.protocol import (
    Captioner,
    Images,
    image_features_of,
    require_features_only,
    require_width,
)
from vizer_core.clip import PairedFeatures

SAME_IMAGE = 1e-4  # 1 - cosine below which two image features are one image's


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
            place = int(cosines.argmin())
            raise ValueError(
                f"image {place} is not among the {len(pairs.ids)} images with references: the "
                f"nearest has cosine {float(cosines[place]):.4f}. Pass the references of these "
                "images."
            )
        return self.inner.caption(pairs.text_features[rows], generator=generator)
