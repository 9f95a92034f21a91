"""Images that are no files yet, laid out once as a folder: from the hub, Parquet, tar files.

==========================  ===================================================================
`hf:OWNER/DATASET`          a data set of the hub, its split `train`; read as a stream
`hf:OWNER/DATASET:SPLIT`    another split; `hf:OWNER/DATASET/CONFIG:SPLIT` of a configuration
`hf:OWNER/DATASET[:1000]`   the first 1,000 images, or captions; after a split too
`part-0.parquet`            a file of such a data set; `hf:FOLDER` is a folder of them
`00000.tar`, `.tar.gz`      img2dataset's webdataset form; Open Images' tar files
==========================  ===================================================================

Commands name images by their files, look at them several times and go on after they were stopped,
so the images are written to the user's cache first, beside them their captions where there are any.
A second call reads them from there: delete the folder to fetch them again. A file is known by what
it contains, not by its name. Captions for a corpus (`packed_captions`) are streamed and not kept.

Several processes of one machine wait for the first of them. What was stopped begins again.
"""

from __future__ import annotations

import hashlib
import io
import logging
import lzma
import re
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image

from vizer_core.data.cc3m import StreamCounts, stream_tars
from vizer_core.data.hub_stream import HubSource, stream_hub, stream_hub_captions
from vizer_core.data.images import IMAGE_SUFFIXES
from vizer_core.files import cache_folder, lock, write_json

logger = logging.getLogger(__name__)
_HUB = re.compile(r"hf:(?P<name>[^\[\]:]+)(?::(?P<split>[\w.-]+))?(?:\[:(?P<first>\d+)\])?")
_PLAIN = re.compile(r"[\w-]+(?:\.[\w-]+)*")  # an id that can be a file's name
WAIT = 0.2  # seconds between two looks at a lock
_PACKERS = (b"\x1f\x8b", b"BZh", b"\xfd7zX")  # first bytes of gzip, bzip2 and xz


@dataclass(frozen=True)
class PackedSample:
    """An image's id, the bytes of its file, its captions."""

    id: str
    image: bytes
    captions: tuple[str, ...]


def is_packed(source: str | Path) -> bool:
    """Say whether images or captions are named by the hub, or lie in Parquet or a tar file.

    >>> is_packed("hf:owner/photos:train[:500]"), is_packed("photos")
    (True, False)
    """
    return str(source).startswith("hf:") or _kind_of(Path(source)) is not None


def hub_source(text: str) -> tuple[HubSource, int | None]:
    """Read `hf:OWNER/DATASET/CONFIG:SPLIT[:N]`: the data set, and how many of it at most.

    >>> hub_source("hf:owner/photos:test[:500]")
    (HubSource(name='owner/photos', split='test', config=None, data_files=None), 500)
    """
    found = _HUB.fullmatch(text)
    if found is None or found["first"] == "0":
        raise ValueError(
            f"got {text!r}: wanted hf:OWNER/DATASET, hf:OWNER/DATASET:SPLIT or "
            "hf:OWNER/DATASET/CONFIG:SPLIT, and after it [:1000] for the first 1,000"
        )
    name, config = found["name"], None
    if not Path(name).exists() and name.count("/") == 2:
        name, _, config = name.rpartition("/")
    first = int(found["first"]) if found["first"] else None
    return HubSource(name, found["split"] or "train", config), first


def laid_out(source: str | Path) -> Path:
    """Return a folder of images: that of a packed source, or the path itself if it is none.

    The captions that came along are in the file that `captions_of` names. Raises
    `FileNotFoundError` where the hub has no such data set, or is not in reach, and `ValueError`
    where nothing in it is an image.
    """
    if not is_packed(source):
        return Path(source)
    root = cache_folder("images")
    folder = root / _name_of(str(source))
    with (root / f"{folder.name}.lock").open("wb") as handle:
        while lock(handle.fileno()) is False:  # another process lays it out
            time.sleep(WAIT)
        if not folder.is_dir():
            _lay_out(str(source), folder)
    return folder


def captions_of(folder: Path) -> Path | None:
    """Return the captions file of a folder that `laid_out` made, or None; of other folders None."""
    folder = Path(folder)
    if folder.parent.name != "images" or folder.parent != cache_folder("images"):
        return None
    file = folder.with_name(f"{folder.name}.captions.json")
    return file if file.is_file() else None


def packed_captions(source: str | Path) -> Iterator[tuple[str, str]]:
    """Yield (image id or "", caption) of a packed source; no image is decoded.

    Raises `ValueError` where it has no column of captions.
    """
    counts, path, first = StreamCounts(), Path(source), None
    if str(source).startswith("hf:"):
        hub, first = hub_source(str(source))
        pairs = stream_hub_captions(hub)
    elif _kind_of(path) == "parquet":
        pairs = stream_hub_captions(HubSource("parquet", data_files=str(path)))
    else:
        pairs = ((each.id, each.caption) for each in stream_tars([path], counts=counts))
    yield from islice(pairs, first)


def _kind_of(path: Path) -> str | None:
    """Return parquet or tar, from a file's first bytes; None for anything else."""
    if path.suffix.lower() in IMAGE_SUFFIXES or not path.is_file():
        return None
    with path.open("rb") as stream:
        start = stream.read(512)
    if start.startswith(b"PAR1"):
        return "parquet"
    if start[257:262] == b"ustar":
        return "tar"
    return "tar" if start.startswith(_PACKERS) and _unpacks_to_tar(path) else None


def _unpacks_to_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):  # cut short, or only looks packed
        return False


def _samples(source: str, counts: StreamCounts) -> Iterator[PackedSample]:
    first = None
    if not source.startswith("hf:") and _kind_of(Path(source)) == "tar":
        for each in stream_tars([Path(source)], counts=counts, captioned=False):
            texts = (each.caption,) if each.caption else ()
            yield PackedSample(each.id.partition("/")[2], each.image, texts)
        return
    hub = HubSource("parquet", data_files=source)
    if source.startswith("hf:"):
        hub, first = hub_source(source)
    for row in islice(stream_hub(hub, counts=counts), first):
        yield PackedSample(row.id, row.image, row.captions)


def _lay_out(source: str, folder: Path) -> None:
    """Write the images to a folder beside the one that is wanted, and rename it when all are."""
    part, counts = folder.with_name(f"{folder.name}.part"), StreamCounts()
    shutil.rmtree(part, ignore_errors=True)  # of a call that was stopped
    part.mkdir()
    captions: dict[str, list[str]] = {}
    taken: set[str] = set()
    logger.warning("writing the images of %s to %s", source, folder)
    for index, sample in enumerate(_samples(source, counts)):
        name = _file_name(sample, index, taken)
        taken.add(name)
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_bytes(sample.image)
        if sample.captions:
            captions[name] = list(sample.captions)
    if not taken:
        shutil.rmtree(part)
        raise ValueError(
            f"{source} contains no images: read {counts.read} rows, {counts.missing} without one"
        )
    if captions:
        write_json(folder.with_name(f"{folder.name}.captions.json"), captions)
    part.rename(folder)
    logger.warning(
        "%s: %d images, %d of them with captions, %d rows without an image",
        *(source, len(taken), len(captions), counts.missing),
    )


def _file_name(sample: PackedSample, index: int, taken: set[str]) -> str:
    """Return the sample's id with the ending of its form; its index where that is no file's name.

    >>> _file_name(PackedSample("val/a.b", b"", ()), 7, set())
    'val/a.b.jpg'
    >>> _file_name(PackedSample("../x", b"", ()), 7, set())
    '000000007.jpg'
    """
    try:
        with Image.open(io.BytesIO(sample.image)) as image:
            suffix = "." + str(image.format).lower().replace("jpeg", "jpg")
    except Exception:  # whoever opens it says what is wrong with it
        suffix = ".jpg"
    parts = sample.id.split("/")
    name = sample.id if all(map(_PLAIN.fullmatch, parts)) else f"{index:09d}"
    if Path(name).suffix.lower() not in IMAGE_SUFFIXES:
        name += suffix
    return f"{index:09d}{suffix}" if name in taken else name


def _name_of(source: str) -> str:
    """Return the folder's name: readable, and another one for another source."""
    file = Path(hub_source(source)[0].name if source.startswith("hf:") else source)
    known = [source]
    if file.exists():  # on disk, where it may change, or be another one from another folder
        status = file.stat()
        known += [str(file.resolve()), str(status.st_size), str(status.st_mtime_ns)]
    digest = hashlib.sha256("\n".join(known).encode()).hexdigest()[:8]
    shown = re.sub(r"[^\w.]+", "-", source.removeprefix("hf:")).strip("-")[-40:]
    return f"{shown}-{digest}"
