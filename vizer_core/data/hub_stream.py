"""Any captioned data set of the hub, read as a stream through the package `datasets`.

A copy of COCO, Flickr30k, CC3M or Open Images on a hub has columns of its own names. `HubColumns`
says which is which; nothing else is assumed. Rows arrive one at a time and nothing is written to
disk, so that a data set may be larger than it. Pictures come as the bytes of their files and are
opened by `decode_image`, as everywhere in this package: upright, 8-bit, or refused by name.

Formats that need no script all work: Parquet (`load_dataset("parquet", data_files=...)`), folders
of images with a metadata file, and webdataset tars, whose columns are `jpg`, `txt` and `__key__`.
How to get it: `pip install datasets`, and a hub in reach or files on disk. Licence and size are
those of the data set: its card on the hub says both, and for COCO, Flickr30k, CC3M and Open Images
so do the files of this folder.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vizer_core.data.cc3m import StreamCounts, text_of_bytes
from vizer_core.data.karpathy import one_line
from vizer_core.runtime import require


@dataclass(frozen=True)
class HubColumns:
    """Which column holds what; an empty `captions` reads no text at all, an empty `id` numbers."""

    image: str = "image"
    captions: str = "caption"
    id: str = ""


WEBDATASET = HubColumns(image="jpg", captions="txt", id="__key__")


@dataclass(frozen=True)
class HubSample:
    """One row: an id, the bytes of the picture's file, its captions."""

    id: str
    image: bytes
    captions: tuple[str, ...]


def stream_hub(
    name: str,
    *,
    split: str,
    columns: HubColumns,
    counts: StreamCounts,
    data_files: str | Mapping[str, str] | None = None,
    rank: int = 0,
    world: int = 1,
) -> Iterator[HubSample]:
    """Yield the rows of a data set by its hub name, or of local files by their format's name.

    Rows without a picture or a caption are counted and left out. Process `rank` of `world` gets
    every `world`-th row, or whole files where there are enough of them. Without a column of ids a
    row is called by its place in the stream, `000000007`, and by its process if there are several,
    `1of2-000000007`.
    """
    datasets = require("datasets", extra="hub", why="a data set of the hub")
    try:
        rows = datasets.load_dataset(name, split=split, data_files=data_files, streaming=True)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"cannot stream {name!r}, split {split!r}: {error} Wanted a data set of the hub "
            "(and the hub in reach), or 'parquet', 'webdataset' or 'imagefolder' with data_files="
        ) from error
    if rows.features:
        _require_columns(rows.features, columns)
        rows = rows.cast_column(columns.image, datasets.Image(decode=False))
    if world > 1:
        from datasets.distributed import split_dataset_by_node

        rows = split_dataset_by_node(rows, rank=rank, world_size=world)
    prefix = f"{rank}of{world}-" if world > 1 else ""
    yield from read_rows(rows, columns=columns, counts=counts, prefix=prefix)


def read_rows(
    rows: Iterable[Mapping[str, Any]],
    *,
    columns: HubColumns,
    counts: StreamCounts,
    prefix: str = "",
) -> Iterator[HubSample]:
    """Turn rows into samples, and count those that lack something; `prefix` begins made-up ids.

    >>> counts = StreamCounts()
    >>> rows = [{"image": {"bytes": b"x"}, "caption": "a cat"}, {"image": None, "caption": "gone"}]
    >>> [sample.captions for sample in read_rows(rows, columns=HubColumns(), counts=counts)]
    [('a cat',)]
    >>> counts.missing
    1
    """
    for place, row in enumerate(rows):
        _require_columns(row, columns)
        counts.read += 1
        image = _bytes_of(row[columns.image])
        captions = _captions_of(row[columns.captions]) if columns.captions else ()
        if image is None:
            counts.missing += 1
        elif columns.captions and not captions:
            counts.blank += 1
        else:
            name = row[columns.id] if columns.id else f"{prefix}{place:09d}"
            if name is None or name == "":
                raise ValueError(
                    f"row {place} has no id in column {columns.id!r}: name another column, or none "
                    "(HubColumns(id='')) and rows are called by their place"
                )
            yield HubSample(str(name), image, captions)


def _require_columns(row: Collection[str], columns: HubColumns) -> None:
    wanted = [name for name in (columns.image, columns.captions, columns.id) if name]
    absent = [name for name in wanted if name not in row]
    if absent:
        raise ValueError(
            f"the data set has no column {absent[0]!r}: it has {sorted(row)}. Say which is which "
            "with HubColumns(image=..., captions=..., id=...)"
        )


def _bytes_of(value: Any) -> bytes | None:
    """Return a picture's file, whether the row holds its bytes or a path; None where it is gone."""
    if value is None or isinstance(value, bytes):
        return value or None
    if not isinstance(value, Mapping):
        raise ValueError(
            f"a picture came as {type(value).__name__}: wanted its bytes; is {value!r:.60} an "
            "address? Download the pictures first, with img2dataset for instance"
        )
    if value.get("bytes") or not value.get("path"):
        return value.get("bytes") or None
    if not os.path.isfile(value["path"]):
        return None
    with open(value["path"], "rb") as stream:
        return stream.read()


def _captions_of(value: Any) -> tuple[str, ...]:
    """Return captions on one line each: a row holds one, or a list, or objects with a `raw`.

    Text that is missing, or whose bytes are no UTF-8, gives none.
    """
    texts = [value] if isinstance(value, str | bytes | Mapping) else list(value or [])
    found = []
    for text in texts:
        if isinstance(text, Mapping):
            text = text.get("raw", "")
        if isinstance(text, bytes):
            text = text_of_bytes(text)
        found.append("" if text is None else one_line(str(text)))
    return tuple(text for text in found if text)
