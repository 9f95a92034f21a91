"""Baseline: trained on clean text features, given the image feature in their place.

MacCap, section 5.2: DeCap's training (one token, no noise), then the image feature goes straight
into the adaptor. What it loses against its own text features is the cost of the modality gap.

    train: E = adaptor(T_c)      caption: E = adaptor(I_c)

Where we differ: not at all with a `SingleTokenMLP`, which `vizer train-captioner --method decap`
trains. The shipped micro adaptor, and --method decap_same_decoder, have MacCap's decoder instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from vizer_core.captioners.protocol import Images, image_features_of
from vizer_core.captioners.single_token import write_features
from vizer_core.textonly.filtering import PrefixWriter


@dataclass(frozen=True, eq=False)
class Baseline:
    """Reads the image feature as if it were a text feature."""

    writer: PrefixWriter
    name: str = "baseline"
    reads_patches: ClassVar[bool] = False

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Write from the image feature alone."""
        features = image_features_of(images)
        return write_features(self.writer, features, self.name, generator=generator)
