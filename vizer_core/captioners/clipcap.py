"""ClipCap: a prefix captioner trained on images with their captions, the supervised upper row.

Mokady et al. 2021 (ClipCap), section 3.1: a mapping network turns the image feature into a prefix
and is trained with the captions of that very image.

    train: E = adaptor(I_c), target a caption of the image      caption: E = adaptor(I_c)

This row has seen what every zero-shot row must do without, so it bounds them from above.

Where we differ: the adaptor is the baseline's (MacCap's decoder, or a `SingleTokenMLP`), so that
the only change against it is what it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from vizer_core.captioners.protocol import Images, image_features_of
from vizer_core.captioners.single_token import write_features
from vizer_core.clip import PairedFeatures
from vizer_core.textonly.filtering import PrefixWriter
from vizer_core.textonly.pairs import TrainingPairs


@dataclass(frozen=True, eq=False)
class ClipCap:
    """Reads the image feature, and was trained on image features."""

    writer: PrefixWriter
    name: str = "clipcap"
    reads_patches: ClassVar[bool] = False

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Write from the image feature alone."""
        features = image_features_of(images)
        return write_features(self.writer, features, self.name, generator=generator)


def supervised_pairs(features: PairedFeatures, captions: Sequence[str]) -> TrainingPairs:
    """Pair each caption with its image's feature, for `fit_text_only` with no noise.

    `captions` are the texts that `features.text_features` were made from, in that order.
    """
    return TrainingPairs(features.pair_image_features, captions)
