"""Conceptual Captions (CC3M): 3.3 million alt-texts from the web, read as a stream.

The published file is a list of captions with the addresses of their images, one per line, tab
between; which column is which is read off its first line. Text-only training needs nothing else.
Whoever downloaded the images has them in numbered files (img2dataset's `files` layout) or in tar
files (its `webdataset` layout), and many of them are gone from the web: 412,379 of 3,318,333
could not be fetched in December 2021. Whatever is missing is counted and left out.

Nothing here keeps more than a line, or one tar member, at a time: 3,318,333 training rows and
15,840 validation rows are 0.6 GB of text (Sharma et al. 2018); the images take what size they are
fetched at. How to get it: https://ai.google.com/research/ConceptualCaptions for the text, then
img2dataset for the images. Licence: free for any purpose, with no warranty, and Google would like
to be named as the source; the images belong to their owners.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from vizer_core.data.images import IMAGE_SUFFIXES
from vizer_core.data.karpathy import one_line
from vizer_core.data.lines import read_lines
from vizer_core.data.records import Record
from vizer_core.data.tars import stream_tar

_ADDRESS = ("http://", "https://")
_HEADER = {"caption", "url"}
_SAMPLE = 100  # lines that decide whether a file is such a list


@dataclass(frozen=True)
class WebCaption:
    """One row of the list: its number from 0, the image's address, the caption."""

    row: int
    url: str
    caption: str


@dataclass
class StreamCounts:
    """What a stream has met so far; it is filled in while the stream is read."""

    read: int = 0
    missing: int = 0
    blank: int = 0
    repeated: int = 0

    @property
    def kept(self) -> int:
        """Rows that became records."""
        return self.read - self.missing - self.blank - self.repeated


@dataclass(frozen=True)
class TarSample:
    """A caption with the bytes of its image, as a tar file contains them; see `decode_image`.

    `caption` is empty where there is none and none was wanted.
    """

    id: str
    image: bytes
    caption: str


def img2dataset_name(row: int) -> str:
    """Return where img2dataset puts a row's image: 10,000 rows a folder, nine digits.

    >>> img2dataset_name(3_318_332)
    '00331/003318332.jpg'
    """
    return f"{row // 10_000:05d}/{row:09d}.jpg"


def is_web_list(lines: Sequence[str]) -> bool:
    r"""Say whether a file's first lines are captions and addresses with tabs between, in any order.

    >>> is_web_list(["a cat\thttp://x.example/1.jpg"]), is_web_list(["a cat\tasleep"])
    (True, False)
    """
    rows = [line.split("\t") for line in lines]
    if rows and _is_header(rows[0]):
        return True
    return bool(rows) and all(len(row) == 2 and any(map(_is_address, row)) for row in rows)


def is_web_list_file(path: Path) -> bool:
    """Say whether a file is such a list, by its first lines that are not blank."""
    if Path(path).suffix.lower() in (".json", ".jsonl"):
        return False
    lines = (line.strip(" ") for _, line in read_lines(path))
    return is_web_list(list(islice((line for line in lines if line.strip()), _SAMPLE)))


def _is_header(columns: Sequence[str]) -> bool:
    return len(columns) == 2 and {name.strip().strip('"').lower() for name in columns} == _HEADER


def _is_address(field: str) -> bool:
    return field.startswith(_ADDRESS) and not any(map(str.isspace, field))


def stream_cc3m_captions(tsv: Path, *, counts: StreamCounts) -> Iterator[WebCaption]:
    """Yield the rows of the published list, captions on one line; blank captions are counted.

    A first line `caption<TAB>url`, which img2dataset wants, is no row, with quotes or without, and
    neither is a line with nothing on it. Quotes are part of a caption: the published list quotes
    nothing.
    """
    path = Path(tsv)
    if not path.is_file():
        raise FileNotFoundError(f"no list of captions at {path}")
    caption_first: bool | None = None
    row = 0
    for number, line in read_lines(path):
        if not line.strip(" "):
            continue
        columns = line.split("\t")
        if caption_first is None and _is_header(columns):
            continue
        if caption_first is None:
            caption_first = not columns[0].startswith(_ADDRESS)
        url = columns[1 if caption_first else 0] if len(columns) == 2 else ""
        if not url.startswith(_ADDRESS):
            order = "caption<TAB>address" if caption_first else "address<TAB>caption"
            raise ValueError(f"{path}, line {number}: wanted {order}, got {line[:80]!r}")
        counts.read += 1
        caption = one_line(columns[0 if caption_first else 1])
        if caption:
            yield WebCaption(row, url, caption)
        else:
            counts.blank += 1
        row += 1


def stream_cc3m(
    tsv: Path,
    image_root: Path,
    *,
    counts: StreamCounts,
    name_of_row: Callable[[int], str] = img2dataset_name,
) -> Iterator[Record]:
    """Yield a record for every row whose image is there; `counts.missing` says how many are not.

    Ids are the files' names below `image_root`, `00000/000000123.jpg`.
    """
    root = Path(image_root)
    if not root.is_dir():
        raise FileNotFoundError(f"no image folder {root}")
    for item in stream_cc3m_captions(tsv, counts=counts):
        name = name_of_row(item.row)
        if (root / name).is_file():
            yield Record(name, root / name, (item.caption,))
        else:
            counts.missing += 1


def stream_tars(
    tars: Iterable[Path], *, counts: StreamCounts, captioned: bool = True
) -> Iterator[TarSample]:
    """Yield the samples of webdataset tar files, one at a time, in their order.

    A sample is a run of members that share a name up to its first dot: an image and a `.txt` with
    its caption. One without an image counts as missing, one that follows its own twin as repeated,
    and where captions are wanted one without a caption in UTF-8 as blank. Ids begin with the file's
    name, so two files of one name are refused. Open Images' tars have images alone: they are read
    with `captioned=False`.
    """
    opened: set[str] = set()
    for path in map(Path, tars):
        if path.stem in opened:
            raise ValueError(f"got a second tar file {path.name}: {path}. Wanted each name once.")
        opened.add(path.stem)
        before = None
        for group in stream_tar(path, read={".txt", *IMAGE_SUFFIXES}):
            counts.read += 1
            image = group.first(IMAGE_SUFFIXES)
            caption = text_of_bytes(group.members.get(".txt", b""))
            twin, before = group.name == before, group.name
            if twin:
                counts.repeated += 1
            elif not image:
                counts.missing += 1
            elif captioned and not caption:
                counts.blank += 1
            else:
                yield TarSample(f"{path.stem}/{group.name}", image, caption)


def text_of_bytes(content: bytes) -> str:
    r"""Return a caption on one line, or nothing where its bytes are no UTF-8.

    >>> text_of_bytes(b"\xef\xbb\xbfa cat\r\n"), text_of_bytes(b"caf\xe9")
    ('a cat', '')
    """
    try:
        return one_line(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return ""
