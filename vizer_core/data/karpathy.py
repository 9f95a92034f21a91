"""Karpathy's splits of COCO and Flickr30k, the ones that captioning papers report on.

One JSON file a data set: `{"images": [{"filename", "split", "sentences": [{"raw"}], ...}]}`. COCO's
form also has `filepath` (the folder: `train2014` or `val2014`) and `cocoid` (the image's number).

==========  ========  =======  ======  =====  ==============================================
             train    restval    val    test   training captions
==========  ========  =======  ======  =====  ==============================================
COCO          82,783   30,504   5,000  5,000  414,113 without restval, 566,747 with it
Flickr30k     29,000        0   1,014  1,000  145,000 (MacCap counts 144,998)
==========  ========  =======  ======  =====  ==============================================

`restval` is what Karpathy's split leaves over of COCO's val2014. Some papers train on it (CapDec;
MacCap, by its 566,747 sentences) and some do not (MAGIC), so it has to be said each time. An image
has five captions as a rule; ten of COCO's val and ten of its test images have six.

How to get it: the splits are in caption_datasets.zip at
https://cs.stanford.edu/people/karpathy/deepimagesent/ (about 40 MB; COCO's file unpacks to 144 MB);
the images are COCO's of 2014 (https://cocodataset.org: train 13 GB, val 6 GB). COCO's captions are
CC BY 4.0; the images belong to the people who put them on Flickr.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from vizer_core.data.records import Record, require_images
from vizer_core.files import read_json

logger = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
KARPATHY_IMAGES = {
    "coco": {"train": 82_783, "restval": 30_504, "val": 5_000, "test": 5_000},
    "flickr30k": {"train": 29_000, "val": 1_014, "test": 1_000},
}


def read_karpathy(
    json_path: Path, image_root: Path | None, split: str, *, restval: bool
) -> tuple[Record, ...]:
    """Read one of Karpathy's splits: `train`, `val` or `test`.

    With `restval=True` the training split contains the left-over validation images as well (COCO
    only). With `image_root=None` the records have captions and no images. An id is COCO's image
    number as text, and elsewhere the file name. Line breaks inside a caption become spaces.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r} in Karpathy's files: wanted one of {SPLITS}")
    if restval and split != "train":
        raise ValueError(f"restval is training data: pass restval=False for split {split!r}")
    path = Path(json_path)
    images = _images(path)
    _require_unique([_id(image) for image in images], path)
    there = Counter(image["split"] for image in images)
    if restval and not there["restval"]:
        raise ValueError(
            f"{path} has no restval images, only {dict(there)}: pass restval=False for Flickr30k"
        )
    wanted = {split, "restval"} if restval else {split}
    chosen = [image for image in images if image["split"] in wanted]
    if not chosen:
        raise ValueError(f"{path} has no images of split {split!r}: it contains {dict(there)}")
    records = tuple(_record(image, image_root, path) for image in chosen)
    if image_root is not None:
        require_images(records)
    return records


def one_line(text: str) -> str:
    r"""Join a text's lines and trim it: captions in these files contain stray line breaks.

    >>> one_line("A man rides\n a horse. \r\n")
    'A man rides a horse.'
    """
    return " ".join(text.split())


def _images(path: Path) -> list[Mapping[str, Any]]:
    content = read_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise ValueError(
            f'{path} is not one of Karpathy\'s files: wanted {{"images": [...], "dataset": ...}}'
        )
    for number, image in enumerate(images):
        keys = image.keys() if isinstance(image, dict) else set()
        absent = [key for key in ("filename", "split", "sentences") if key not in keys]
        if absent:
            raise ValueError(f"{path}, image {number} has no {', '.join(absent)}: wanted all three")
        if not all(isinstance(image[key], str) and image[key] for key in ("filename", "split")):
            raise ValueError(
                f"{path}, image {number}: filename is {image['filename']!r:.40} and split is "
                f"{image['split']!r:.40}, wanted text"
            )
        if not isinstance(image["sentences"], list):
            raise ValueError(
                f"{path}, image {number}: sentences is {image['sentences']!r:.40}, wanted a list"
            )
    return images


def _id(image: Mapping[str, Any]) -> str:
    return str(image["cocoid"]) if "cocoid" in image else str(image["filename"])


def _require_unique(ids: Sequence[str], path: Path) -> None:
    repeated = [key for key, count in Counter(ids).items() if count > 1]
    if repeated:
        raise ValueError(
            f"{path} names {len(repeated)} images more than once, over all its splits: "
            f"{', '.join(repeated[:5])}. Each image may stand in one split, once."
        )


def _record(image: Mapping[str, Any], image_root: Path | None, path: Path) -> Record:
    try:
        captions = [one_line(sentence["raw"]) for sentence in image["sentences"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path}, image {_id(image)}: wanted "sentences": [{{"raw": text}}, ...], got an '
            f"entry without {error}"
        ) from error
    written = tuple(caption for caption in captions if caption)
    if len(written) < len(captions):
        logger.warning("image %s: %d blank captions", _id(image), len(captions) - len(written))
    if image_root is None:
        return Record(_id(image), None, written)
    name = PurePosixPath(image.get("filepath", "")) / image["filename"]
    if name.is_absolute() or ".." in name.parts:
        raise ValueError(f"{path}, image {_id(image)}: {name} lies outside the image folder")
    return Record(_id(image), Path(image_root) / name, written)
