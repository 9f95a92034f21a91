"""What a plan costs before anybody runs it: FLOPs, bytes, minutes, memory, download.

Every number here is an estimate by arithmetic: an idle processor, a slow disk or a longer caption
makes it wrong by a factor, and a measured run replaces it.

- `work`: devices, one phase of work, and how long it takes at a device's limits
- `models`: CLIP towers and language models, from their shapes to FLOPs and bytes
- `plans`: the jobs of this package: features, text-only training, captions, mapper, zero-label
- `measured`: what runs really took, and the file that keeps it
- `chapters`: the `full` profile of each chapter of the book, and its cost table
- `scale`: from 40,000 images to a billion: shards, stores, memory banks, rollouts
"""

from vizer_lab.costs.chapters import chapter_table, full_profile
from vizer_lab.costs.measured import MeasuredCost
from vizer_lab.costs.models import (
    CLIP_B32,
    CLIP_L14,
    OPT_1B,
    OPT_125M,
    ClipSize,
    LmSize,
)
from vizer_lab.costs.plans import (
    Plan,
    caption_plan,
    features_plan,
    mapper_plan,
    text_only_plan,
    vlm_captions_plan,
    zero_label_plan,
)
from vizer_lab.costs.scale import scale_row
from vizer_lab.costs.work import DEVICES, Device, Phase

__all__ = [
    "CLIP_B32",
    "CLIP_L14",
    "DEVICES",
    "OPT_1B",
    "OPT_125M",
    "ClipSize",
    "Device",
    "LmSize",
    "MeasuredCost",
    "Phase",
    "Plan",
    "caption_plan",
    "chapter_table",
    "features_plan",
    "full_profile",
    "mapper_plan",
    "scale_row",
    "text_only_plan",
    "vlm_captions_plan",
    "zero_label_plan",
]
