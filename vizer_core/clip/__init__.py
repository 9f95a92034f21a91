"""CLIP features of images, texts and sub-regions, over any open_clip model.

- `encoder`: `ImageTextEncoder`, the seam, and `OpenClipEncoder` behind it
- `features`: `ImageStates` of one image pass; `PairedFeatures` of images and their texts
- `regions`: five readings of MacCap's sub-region features, side by side
- `last_block`, `text_tower`, `loading`: how the encoder does it
"""

from vizer_core.clip.encoder import ImageTextEncoder, OpenClipEncoder
from vizer_core.clip.features import ImageStates, PairedFeatures
from vizer_core.clip.regions import (
    MACCAP_REGIONS,
    mix,
    regions_counterfactual,
    regions_mean,
    regions_paper,
    regions_random,
    regions_release,
    top_patches,
)

__all__ = [
    "MACCAP_REGIONS",
    "ImageStates",
    "ImageTextEncoder",
    "OpenClipEncoder",
    "PairedFeatures",
    "mix",
    "regions_counterfactual",
    "regions_mean",
    "regions_paper",
    "regions_random",
    "regions_release",
    "top_patches",
]
