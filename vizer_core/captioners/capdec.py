"""CapDec: trained on noisy text features, given the clean image feature.

Nukrai et al. 2022 (CapDec), section 3.1: if image and text of a pair lie within a ball, a decoder
that has learned to read any point of the ball around a text also reads the image.

    train: E = adaptor(norm(T_c + n)), n ~ N(0, sigma^2)      caption: E = adaptor(I_c)

All of the method is in the training (`vizer_core.textonly`, preset CAPDEC_DAGGER); captioning is
the baseline's. Nothing is drawn here.

Where we differ: the paper fine-tunes GPT-2 through 40 prefix vectors; MacCap's dagger row has one
prefix vector, of a `SingleTokenMLP`, and a frozen LM: `vizer train-captioner --method capdec`. With
--method capdec_same_decoder MacCap's decoder (32 prefix vectors) is trained on one token, so that
CapDec and MacCap differ in nothing else; the shipped micro adaptor is such a one (4 vectors). All
are this class: the writer holds the adaptor and the LM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from vizer_core.captioners.protocol import Images, image_features_of
from vizer_core.captioners.single_token import write_features
from vizer_core.textonly.filtering import PrefixWriter


@dataclass(frozen=True, eq=False)
class CapDec:
    """Reads the clean image feature; the noise was in the training."""

    writer: PrefixWriter
    name: str = "capdec"
    reads_patches: ClassVar[bool] = False

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Write from the image feature alone."""
        features = image_features_of(images)
        return write_features(self.writer, features, self.name, generator=generator)
