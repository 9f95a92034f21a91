"""Facts about the world: images, captions, and how a long list of them is cut up.

- `records`: one image with its captions
- `folder`: a plain folder of images, with a captions file or without, as records
- `images`: open any ordinary image as upright 8-bit RGB, or say why not
- `shards`: cut a job into shards, deal the shards to processes
"""

from vizer_core.data.folder import read_captions, read_folder
from vizer_core.data.images import CorruptImage, DecompressionBomb, open_image, prefetch
from vizer_core.data.records import Record, require_images, require_unique_ids
from vizer_core.data.shards import Shard, plan_shards, shards_of_process

__all__ = [
    "CorruptImage",
    "DecompressionBomb",
    "Record",
    "Shard",
    "open_image",
    "plan_shards",
    "prefetch",
    "read_captions",
    "read_folder",
    "require_images",
    "require_unique_ids",
    "shards_of_process",
]
