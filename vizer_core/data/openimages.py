"""Open Images V7: nine million photographs, taken here as pictures without any label.

ViZer trains its vision-language model on these images and on nothing that is known about them
(zero-label training), so no list of classes, boxes, relations or narratives is ever opened here:
a record has an id, a picture and no captions.

An image's id is sixteen hexadecimal digits, its file `<split>/<id>.jpg`. There are 9,011,219 in
train, 41,620 in validation and 125,436 in test. How to get them:
https://storage.googleapis.com/openimages/web/download_v7.html; the 1.7 million train images with
boxes are sixteen tar files (`train_0.tar.gz` to `train_f.tar.gz`, about 513 GB; validation 12 GB,
test 36 GB). Licence: each image is listed as CC BY 2.0 by its author.

A few photographs lie on their side: the data set's image list gives their rotation, the files do
not, and it is not applied here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vizer_core.data.file_tree import files_under
from vizer_core.data.images import IMAGE_SUFFIXES
from vizer_core.data.records import Record
from vizer_core.data.tars import stream_tar

SPLITS = ("train", "validation", "test")
_NAME = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class UnlabelledFile:
    """An image's id and the bytes of its file; see `vizer_core.data.images.decode_image`."""

    id: str
    image: bytes


def read_openimages(
    image_root: Path, split: str, *, ids: Collection[str] | None = None
) -> tuple[Record, ...]:
    """List the images under `image_root/split`, by id; or those in `ids`, which must be there.

    Folders in it are searched too, linked ones as well: the tar files unpack to `train_0` and so
    on. Other files are passed over, by their names: a captions or label file is never opened.
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r} in Open Images: wanted one of {SPLITS}")
    if ids is not None and not ids:
        raise ValueError("ids is empty: wanted at least one, or None for all images")
    folder = Path(image_root) / split
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no folder {folder}: wanted Open Images' files as {split}/<16 hex digits>.jpg"
        )
    found = [folder / path for path in files_under(folder) if _is_image(path.name)]
    there = {path.stem: path for path in found}
    if len(there) < len(found):
        twin = next(path for path in found if there[path.stem] != path)
        pair = " and ".join(str(p.relative_to(folder)) for p in (twin, there[twin.stem]))
        raise ValueError(
            f"{folder} holds {len(found)} files of {len(there)} images: {pair} have one id. Keep "
            "one of them."
        )
    if not there:
        raise ValueError(f"no Open Images files in {folder}: wanted <16 hex digits>.jpg")
    wanted = set(there if ids is None else ids)
    absent = sorted(wanted - there.keys())
    if absent:
        raise FileNotFoundError(
            f"{len(absent)} of {len(wanted)} images are not in {folder}, first {absent[0]}"
        )
    return tuple(Record(name, there[name], ()) for name in sorted(wanted))


def stream_openimages(tars: Iterable[Path]) -> Iterator[UnlabelledFile]:
    """Yield the images of tar files one at a time; anything else in them is not read.

    An image that follows its own twin, as in a tar that was written twice, comes once.
    """
    before = ""
    for path in tars:
        for group in stream_tar(path, read=IMAGE_SUFFIXES):
            name = PurePosixPath(group.name).name
            image = group.first(IMAGE_SUFFIXES)
            if image is not None and _NAME.fullmatch(name) and name != before:
                before = name
                yield UnlabelledFile(name, image)


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and bool(_NAME.fullmatch(path.stem))
