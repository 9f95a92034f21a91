"""Any captioned data set of the hub, read as a stream through the package `datasets`.

A copy of COCO, Flickr30k, CC3M or Open Images on a hub has columns of its own names. `columns_of`
finds those that have the image, its captions and its id, by the usual names; `HubColumns` says it
where they are called otherwise. Rows arrive one at a time and nothing is written to disk, so that a
data set may be larger than it. Images come as the bytes of their files and are opened by
`decode_image`, as everywhere in this package: upright, 8-bit, or refused by name.

Formats that need no script all work: Parquet (`HubSource("parquet", data_files=...)`), folders
of images with a metadata file, and webdataset tars, whose columns are `jpg`, `txt` and `__key__`.
How to get it: `pip install datasets`, and a hub in reach or files on disk. Licence and size are
those of the data set: its card on the hub says both, and for COCO, Flickr30k and CC3M so do the
files of this folder.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vizer_core.data.cc3m import StreamCounts, text_of_bytes
from vizer_core.data.karpathy import one_line
from vizer_core.runtime import require

IMAGE_COLUMNS = ("image", "jpg", "png", "webp", "img", "jpeg", "picture", "photo")
CAPTION_COLUMNS = (
    *("caption", "captions", "sentences", "sentences_raw", "sentence", "text", "txt"),
    *("alt_text", "description", "comment", "raw"),
)
ID_COLUMNS = ("__key__", "file_name", "filename", "image_id", "id", "img_id", "cocoid", "key")


@dataclass(frozen=True)
class HubSource:
    """A data set by its hub name or its folder, or local files by their format's name."""

    name: str
    split: str = "train"
    config: str | None = None
    data_files: str | None = None


@dataclass(frozen=True)
class HubColumns:
    """Which column has what; an empty `captions` reads no text at all, an empty `id` numbers."""

    image: str = "image"
    captions: str = "caption"
    id: str = ""


@dataclass(frozen=True)
class HubSample:
    """One row: an id, the bytes of the image's file, its captions."""

    id: str
    image: bytes
    captions: tuple[str, ...]


def columns_of(names: Collection[str]) -> HubColumns:
    """Find the columns of the image, its captions and its id by their names; "" for none.

    >>> columns_of(["__key__", "jpg", "txt", "json"])
    HubColumns(image='jpg', captions='txt', id='__key__')
    """
    found = {name.lower(): name for name in names}
    kinds = (IMAGE_COLUMNS, CAPTION_COLUMNS, ID_COLUMNS)
    return HubColumns(
        *(next((found[name] for name in kind if name in found), "") for kind in kinds)
    )


def stream_hub(
    source: HubSource, *, counts: StreamCounts, columns: HubColumns | None = None
) -> Iterator[HubSample]:
    """Yield the rows of a data set that have an image, and a caption where there is such a column.

    Others are counted and left out. Without a column of ids a row is called by its index in the
    stream, `000000007`. Columns that are not given are those of `columns_of`. Raises
    `FileNotFoundError` where there is no such data set, or it is not in reach.
    """
    rows = _rows_of(source)
    if columns is None:
        columns = columns_of(_names(rows))
    if not columns.image:
        raise ValueError(
            f"{source.name} has no column of images: it has {sorted(_names(rows))}, wanted one of "
            f"{', '.join(IMAGE_COLUMNS)}, or HubColumns(image=...)"
        )
    if rows.features:
        _require_columns(rows.features, columns)
        datasets = require("datasets", extra="hub", why="a data set of the hub")
        rows = rows.cast_column(columns.image, datasets.Image(decode=False))
    yield from read_rows(rows, columns=columns, counts=counts)


def stream_hub_captions(source: HubSource) -> Iterator[tuple[str, str]]:
    """Yield (id or "", caption) of each row; images are not read where the form allows it."""
    rows = _rows_of(source)
    columns = columns_of(_names(rows))
    if not columns.captions:
        raise ValueError(
            f"{source.name} has no column of captions: it has {sorted(_names(rows))}, wanted one "
            f"of {', '.join(CAPTION_COLUMNS)}"
        )
    kept = [name for name in (columns.captions, columns.id) if name]
    for row in rows.select_columns(kept):
        name = str(row[columns.id]) if columns.id else ""
        yield from ((name, text) for text in _captions_of(row[columns.captions]))


def _rows_of(source: HubSource) -> Any:
    datasets = require("datasets", extra="hub", why="a data set of the hub")
    try:
        return datasets.load_dataset(
            source.name,
            source.config,
            split=source.split,
            data_files=source.data_files,
            streaming=True,
        )
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"cannot stream {source.name!r}, split {source.split!r}: {error} Wanted a data set of "
            "the hub (and the hub in reach), its folder on disk, or 'parquet', 'webdataset' or "
            "'imagefolder' with data_files="
        ) from error


def _names(rows: Any) -> list[str]:
    """Return the columns' names; where the form does not say them, those of the first row."""
    return list(rows.column_names or next(iter(rows), {}))


def read_rows(
    rows: Iterable[Mapping[str, Any]],
    *,
    columns: HubColumns,
    counts: StreamCounts,
) -> Iterator[HubSample]:
    """Turn rows into samples, and count those that lack something.

    >>> counts = StreamCounts()
    >>> rows = [{"image": {"bytes": b"x"}, "caption": "a cat"}, {"image": None, "caption": "gone"}]
    >>> [sample.captions for sample in read_rows(rows, columns=HubColumns(), counts=counts)]
    [('a cat',)]
    >>> counts.missing
    1
    """
    for index, row in enumerate(rows):
        _require_columns(row, columns)
        counts.read += 1
        image = _bytes_of(row[columns.image])
        captions = _captions_of(row[columns.captions]) if columns.captions else ()
        if image is None:
            counts.missing += 1
        elif columns.captions and not captions:
            counts.blank += 1
        else:
            name = row[columns.id] if columns.id else f"{index:09d}"
            if name is None or name == "":
                raise ValueError(
                    f"row {index} has no id in column {columns.id!r}: name another column, or none "
                    "(HubColumns(id='')) and rows are called by their index"
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
    """Return an image's file, whether the row has its bytes or a path; None where it is gone."""
    if value is None or isinstance(value, bytes):
        return value or None
    if not isinstance(value, Mapping):
        raise ValueError(
            f"an image came as {type(value).__name__}: wanted its bytes; is {value!r:.60} an "
            "address? Download the images first, with img2dataset for instance"
        )
    if value.get("bytes") or not value.get("path"):
        return value.get("bytes") or None
    if not os.path.isfile(value["path"]):
        return None
    with open(value["path"], "rb") as stream:
        return stream.read()


def _captions_of(value: Any) -> tuple[str, ...]:
    """Return captions on one line each: a row contains one, or a list, or objects with a `raw`.

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
