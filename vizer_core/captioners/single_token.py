"""The single-token methods: one feature per image goes through prefix network and language model.

    feature [n, d]  ->  tokens [n, 1, d]  --network-->  prefix [n, q, h]  --LM-->  captions

Three of them read the image feature as it is, and differ in what the prefix network was trained on:

==========  ============================  ===============================================
Baseline    clean text features           MacCap, section 5.2: DeCap's training, the image
                                          feature in the place of a text feature. What it
                                          loses against its own text features is the cost
                                          of the modality gap
CapDec      noisy text features           Nukrai et al. 2022, section 3.1: if image and text
            norm(T_c + n), n ~ N(0, s^2)  of a pair lie within a ball, a decoder that reads
                                          any point around a text also reads the image
ClipCap     image features, with their    Mokady et al. 2021, section 3.1: the supervised
            own captions                  row, meant as an upper bound of the others
==========  ============================  ===============================================

DeCap moves the feature first (`decap`). All of a method is in its training (`textonly.presets`),
and the generator of texts contains what was trained: nothing is drawn here.

Where we differ: CapDec's paper fine-tunes GPT-2 through 40 prefix vectors. MacCap's dagger rows,
and `vizer train-captioner --method capdec` or `decap`, have a `SingleTokenMLP`, one prefix vector
and a frozen LM. With `_same_decoder` MacCap's decoder (32
vectors) is trained on one token, so that rows differ in nothing else; the shipped drawn prefix
networks are such ones (8 vectors, with `WordReader`'s detectors). ClipCap's prefix network is the
baseline's, trained on `TrainingPairs(features.pair_image_features, captions)` without noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from vizer_core.captioners.protocol import Images, image_features_of, require_width
from vizer_core.textonly.filtering import PrefixGenerator


@dataclass(frozen=True, eq=False)
class SingleToken:
    """Generates from the image feature alone, with whatever prefix network it has."""

    prefix_generator: PrefixGenerator
    name: str = "single_token"
    reads_patches: ClassVar[bool] = False

    def caption(self, images: Images, *, generator: torch.Generator) -> list[str]:
        """Generate from the image feature alone."""
        features = image_features_of(images)
        return write_features(self.prefix_generator, features, self.name, generator=generator)


@dataclass(frozen=True, eq=False)
class Baseline(SingleToken):
    """Reads the image feature as if it were a text feature."""

    name: str = "baseline"


@dataclass(frozen=True, eq=False)
class CapDec(SingleToken):
    """Reads the clean image feature; the noise was in the training."""

    name: str = "capdec"


@dataclass(frozen=True, eq=False)
class ClipCap(SingleToken):
    """Reads the image feature, and was trained on image features."""

    name: str = "clipcap"


def write_features(
    prefix_generator: PrefixGenerator,
    features: Float[Tensor, "n d"],
    captioner: str,
    *,
    generator: torch.Generator,
) -> list[str]:
    """Generate one caption a feature; a width that the network was not made for is an error."""
    require_width(features, prefix_generator.prefix_network.config.clip_width, captioner)
    return list(prefix_generator.generate(features[:, None], generator=generator))
