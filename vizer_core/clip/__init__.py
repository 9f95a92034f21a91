"""CLIP features of images, texts and sub-regions, over any open_clip model.

- `protocol`: `ImageTextEncoder`, the seam; `encoder`: `OpenClipEncoder` behind it
- `features`: `ImageStates` of one image pass; `PairedFeatures` of images and their texts
- `regions`: six readings of MacCap's sub-region features, side by side
- `extract`, `job_folder`: the embedding job over records, in shards, resumable
- `full`: the two CLIPs of the full profile, by environment or by default
- `last_block`, `text_tower`, `loading`: how the encoder does it
"""

from vizer_core.clip.encoder import OpenClipEncoder
from vizer_core.clip.extract import ExtractConfig, encode_records
from vizer_core.clip.features import ImageStates, PairedFeatures
from vizer_core.clip.job_folder import ExtractReport, load_features, load_regions
from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.clip.regions import (
    MACCAP_REGIONS,
    mix,
    region_likeness,
    regions_counterfactual,
    regions_mean,
    regions_other_image,
    regions_paper,
    regions_random,
    regions_release,
    top_patches,
)

__all__ = [
    "MACCAP_REGIONS",
    "ExtractConfig",
    "ExtractReport",
    "ImageStates",
    "ImageTextEncoder",
    "OpenClipEncoder",
    "PairedFeatures",
    "encode_records",
    "load_features",
    "load_regions",
    "mix",
    "region_likeness",
    "regions_counterfactual",
    "regions_mean",
    "regions_other_image",
    "regions_paper",
    "regions_random",
    "regions_release",
    "top_patches",
]
