"""Facts about the world: images, captions, questions, and how a long list of them is cut up.

- `records`: one image with its captions
- `folder`: a plain folder of images, with a captions file or without, as records
- `karpathy`, `flickr30k`, `cc3m`, `coco`: the data sets of the papers, each with its licence, its
  size and how to get it; `tars`: tar files of images, as streams
- `hub_stream`: any captioned data set of the hub through `datasets`, row by row; `packed`: it, a
  Parquet or a tar file as a folder of images
- `lines`: text files line by line, without what Windows leaves in them; `file_tree`: the files
  under a folder; `image_names`: one image under COCO's number, its file's name, a path
- `corpus`: captions to train on, with filters that count; `corpus_file`: the forms that they are
  read from; `not_captions`: what other text is; `leakage`: none of them may be tested on
- `vqav2`: questions with everyone's answers, and the candidate list
- `images`: open any ordinary image as upright 8-bit RGB, or say why not
- `shards`: cut a job into shards, deal the shards to processes
"""

from vizer_core.data.corpus import CaptionCorpus, coco2014_corpus
from vizer_core.data.flickr30k import read_flickr30k
from vizer_core.data.folder import read_captions, read_folder
from vizer_core.data.images import (
    CorruptImage,
    DecompressionBomb,
    decode_image,
    open_image,
    prefetch,
)
from vizer_core.data.karpathy import read_karpathy
from vizer_core.data.leakage import check_leakage, require_no_leakage
from vizer_core.data.records import Record, require_images, require_unique_ids
from vizer_core.data.shards import Shard, plan_shards, shards_of_process

__all__ = [
    "CaptionCorpus",
    "CorruptImage",
    "DecompressionBomb",
    "Record",
    "Shard",
    "check_leakage",
    "coco2014_corpus",
    "decode_image",
    "open_image",
    "plan_shards",
    "prefetch",
    "read_captions",
    "read_flickr30k",
    "read_folder",
    "read_karpathy",
    "require_images",
    "require_no_leakage",
    "require_unique_ids",
    "shards_of_process",
]
