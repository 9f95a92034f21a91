"""Lines of text files that somebody else wrote: a list of captions, a token file, JSONL.

What Windows leaves in them is taken off: a byte order mark at the start, CR before a line feed.
Only a line feed ends a line, so that a caption may have U+2028 or U+0085. A file without any line
feed that contains CR is one of an old Mac, or of Excel's "Macintosh" form: there CR ends a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file with their numbers from 1, one at a time, without their ends.

    Raises `ValueError` for a line in another encoding, and says which.
    """
    path = Path(path)
    with path.open("rb") as stream:
        for number, line in enumerate(_byte_lines(stream), start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}, line {number} is not UTF-8: byte {line[error.start]:#04x} at place "
                    f"{error.start}. Save the file as UTF-8, with iconv for instance."
                ) from error
            yield number, text.rstrip("\r\n")


def _byte_lines(stream: BinaryIO) -> Iterator[bytes]:
    first = stream.readline()
    if first.endswith(b"\n"):
        yield first
        yield from stream
    elif first:
        yield from first.rstrip(b"\r").split(b"\r")
