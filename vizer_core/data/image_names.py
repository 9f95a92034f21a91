"""One image under several names: COCO's numbers, its files' names, and paths with a folder.

COCO's annotations call an image 391895 and name its file under `images`; the files of 2014 are
called `COCO_val2014_000000391895.jpg`, those of 2017 `000000391895.jpg`; a command that captions a
folder writes the files' names, relative to it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

ImageId = int | str
_COCO_NAME = re.compile(r"(?:COCO_[a-z]+\d{4}_)?(\d{12})(?:\.\w+)?")


def image_key(image_id: str) -> str:
    """Reduce COCO's ways of naming an image to its number; leave other names, folder aside.

    >>> image_key("val2014/COCO_val2014_000000203564.jpg"), image_key("000000203564.jpg")
    ('203564', '203564')
    >>> image_key("203564"), image_key("flickr30k-images/36979.jpg")
    ('203564', '36979.jpg')
    """
    name = PurePosixPath(image_id).name
    found = _COCO_NAME.fullmatch(name)
    return str(int(found[1])) if found else name


def meet_images(given: Iterable[ImageId], there: Mapping[ImageId, str]) -> dict[ImageId, ImageId]:
    """Say which image of `there` (id -> file name) each given id means; who means none is left out.

    An id means an image by its id, its file's name, or its `image_key`, in this order. A key that
    two images share means neither. Raises `ValueError` if two given ids mean one image.

    >>> meet_images(["COCO_val2014_000000000007.jpg", "b.jpg", "c.jpg"], {7: "7", 8: "more/b.jpg"})
    {'COCO_val2014_000000000007.jpg': 7, 'b.jpg': 8}
    """
    tables = (
        _of_one((str(image), image) for image in there),
        _of_one(((name, image) for image, name in there.items())),
        _of_one(((image_key(name), image) for image, name in there.items())),
    )
    met: dict[ImageId, ImageId] = {}
    owner: dict[ImageId, ImageId] = {}
    for one in given:
        text = str(one)
        image = next(
            (
                table[key]
                for table, key in zip(tables, (text, text, image_key(text)))
                if key in table
            ),
            None,
        )
        if image is None:
            continue
        if image in owner:
            raise ValueError(
                f"{owner[image]!r} and {one!r} both mean image {image!r}: wanted each image once"
            )
        met[one], owner[image] = image, one
    return met


def _of_one(pairs: Iterable[tuple[str, ImageId]]) -> dict[str, ImageId]:
    """Keep the names that one image alone has."""
    pairs = list(pairs)
    times = Counter(name for name, _ in pairs)
    return {name: image for name, image in pairs if times[name] == 1}
