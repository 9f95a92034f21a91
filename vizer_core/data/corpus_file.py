r"""Captions out of a file, whichever of the usual forms it has; what is no captions is refused.

Any line of text can be a caption, so a file of another form would be trained on, file names,
addresses and all. What a file is shows in what it contains; JSON alone has to end in .json, and
JSON lines must not:

- one caption per line, or a JSON list of captions
- COCO annotations, COCO results, JSON `{"cat.jpg": ["a cat"]}`
- JSON lines, or a JSON list, of objects with a `caption`; JSON lines of text (two or more: one line
  in quotes is a caption that is a quotation)
- a table whose first line names its columns, `image,caption`, between them commas, tabs, `|` or
  `;`; a cell may contain a list of captions, as the hub's Flickr30k has them
- Flickr's token file, `cat.jpg#0<TAB>a cat`; CC3M's list, `a cat<TAB>http://...`

The image that a caption is of, where the file says it, is kept for the leakage check. What is in no
form that is read here, `not_captions` tells.
"""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from vizer_core.data.cc3m import StreamCounts, is_web_list, stream_cc3m_captions
from vizer_core.data.coco import read_annotations
from vizer_core.data.flickr30k import read_flickr30k_tokens
from vizer_core.data.folder import read_captions
from vizer_core.data.lines import read_lines
from vizer_core.data.not_captions import LEAST, OTHER_FILES, SHARE, is_file_name, what_else
from vizer_core.files import read_json

Pair = tuple[str, str]  # the image's id, or nothing where the file does not say it; a caption
CAPTION_NAMES = (
    *("caption", "captions", "comment", "text", "sentence", "sentences", "description"),
    *("alt_text", "alt-text", "alttext", "alt", "raw", "title"),
)
IMAGE_NAMES = (
    *("image_id", "file_name", "filename", "filepath", "file_path", "image_path", "path", "file"),
    *("image", "image_name", "img", "img_id", "id"),
)
SAMPLE = 100  # lines that decide what a file is
WANTED = 'wanted one caption per line, or a JSON list ["a cat", "a dog", ...]'
_PACKED = {
    b"\x1f\x8b": "packed by gzip",
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "Parquet",
    b"BZh": "packed by bzip2",
    b"\xfd7zX": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"%PDF": "a PDF",
    b"SQLi": "a database",
}
_TOKEN = re.compile(r"[^\t#/\\]+#\d+\t.+")
_KINDS = {dict: "object", str: "string"}
_NAME = re.compile(r"[\w.-]*")


def captions_in_file(path: Path) -> Iterator[Pair]:
    """Yield (image id or "", caption) as the file has them: blank captions and line breaks too.

    Raises `ValueError`, which names the form and what to do, for a file that has something else.
    """
    path = Path(path)
    with path.open("rb") as stream:
        start = stream.read(1024)
    for magic, what in _PACKED.items():
        if start.startswith(magic):
            raise ValueError(f"{path} is {what}: unpack it to text first; {WANTED}")
    if b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{path} is no text, but bytes of a program's own: {WANTED}")
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _of_json(path)
    if suffix in OTHER_FILES:
        raise ValueError(
            f"{path} ends in {suffix}, as no file of captions does: {WANTED}; if it is one, end "
            "its name in .txt"
        )
    lines = (line.strip(" ") for _, line in read_lines(path))
    return _of_lines(path, list(islice((line for line in lines if line.strip()), SAMPLE)))


def _of_json(path: Path) -> Iterator[Pair]:
    content = read_json(path)
    if isinstance(content, list) and all(isinstance(text, str) for text in content):
        _refuse_what_else(path, [text for text in content if text.strip()][:SAMPLE])
        return (("", text) for text in content)
    if isinstance(content, list) and all(isinstance(row, dict) for row in content):
        return _of_objects(((f"{path}, row {i}", row) for i, row in enumerate(content)))
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        found = read_annotations(path)
        return ((str(image), text) for image, texts in found.items() for text in texts)
    if isinstance(content, dict) and "images" in content:
        raise ValueError(
            f"{path} looks like one of Karpathy's files, of all splits: choose one, with "
            f"read_karpathy(path, None, 'train', restval=False), and save its captions; {WANTED}"
        )
    if isinstance(content, dict) and content and all(map(_is_image_name, content)):
        found = read_captions(path)
        return ((image, text) for image, texts in found.items() for text in texts)
    raise ValueError(f"{path} is no list of captions: {WANTED}")


def _of_lines(path: Path, sample: list[str]) -> Iterator[Pair]:
    """Tell a text file by its first lines that are not blank."""
    first = sample[0] if sample else ""
    columns = _header(first)
    if _is_json(first, dict):
        return _of_objects(
            (
                (f"{path}, line {i}", _parsed(line, dict, f"{path}, line {i}"))
                for i, line in read_lines(path)
                if line.strip()
            )
        )
    if len(sample) >= LEAST and all(_is_json(line, str) for line in sample):
        return _of_strings(path, sample)
    if is_web_list(sample):
        return (("", row.caption) for row in stream_cc3m_captions(path, counts=StreamCounts()))
    if columns is not None:
        return _of_table(path, columns)
    if unknown := _unknown_columns(sample):
        raise ValueError(
            f"{path} is a table of {', '.join(unknown)}: call the column of captions caption; "
            + WANTED
        )
    tokens = sum(map(bool, map(_TOKEN.fullmatch, sample)))
    if tokens == len(sample) > 0:
        records = read_flickr30k_tokens(path, None)
        return ((record.id, text) for record in records for text in record.captions)
    if tokens > SHARE * len(sample):
        other = next(line for line in sample if not _TOKEN.fullmatch(line))
        raise ValueError(
            f"{path} is Flickr's token file but for some lines, first {other[:60]!r}: take them "
            "out; wanted 1.jpg#0, a tab and a caption in each line"
        )
    _refuse_what_else(path, sample)
    return (("", line) for _, line in read_lines(path))


def _refuse_what_else(path: Path, sample: list[str]) -> None:
    if what := what_else(sample):
        raise ValueError(f"{path} {what}, first {sample[0][:60]!r}; {WANTED}")


def _of_strings(path: Path, sample: list[str]) -> Iterator[Pair]:
    """Read JSON lines of text."""
    _refuse_what_else(path, [text for line in sample if (text := json.loads(line)).strip()])
    lines = ((i, line) for i, line in read_lines(path) if line.strip())
    return (("", _parsed(line, str, f"{path}, line {i}")) for i, line in lines)


def _unknown_columns(sample: list[str]) -> list[str] | None:
    """Return the names in a header that has no column of captions; None if it is no header.

    One is bare words without a blank, as many as the lines below have fields, which are not all
    bare words too.

    >>> _unknown_columns(["name,words", "1,a cat", "2,a dog"])
    ['name', 'words']
    >>> _unknown_columns(["dogs, running", "a cat, asleep"]) is None
    True
    """
    first, below = (sample[0], sample[1:]) if sample else ("", [])
    mark = _delimiter(first)
    names = [name.strip('"') for name in first.split(mark)]
    if len(names) < 2 or not below or not all(name and _NAME.fullmatch(name) for name in names):
        return None
    if all(_NAME.fullmatch(field.strip()) for line in below for field in line.split(mark)):
        return None
    alike = sum(len(row) == len(names) for row in csv.reader(below, delimiter=mark))
    return names if alike > (1 - SHARE) * len(below) else None


def _header(line: str) -> list[str] | None:
    """Return the columns' names if a line is a table's header: one is the caption.

    >>> _header("image_name| comment_number| comment"), _header("a cat, a caption")
    (['image_name', 'comment_number', 'comment'], None)
    """
    names = [name.strip().strip('"') for name in line.split(_delimiter(line))]
    words = all(map(_NAME.fullmatch, names))
    known = CAPTION_NAMES if len(names) > 1 else CAPTION_NAMES[:2]  # "text" may be a caption
    return names if words and any(name.lower() in known for name in names) else None


def _delimiter(header: str) -> str:
    return next((mark for mark in "\t|;" if mark in header), ",")


def _of_table(path: Path, columns: list[str]) -> Iterator[Pair]:
    """Read a table with a header; a caption that contains the delimiter has to stand in quotes."""
    lower = [name.lower() for name in columns]
    text = next(lower.index(name) for name in CAPTION_NAMES if name in lower)
    image = next((lower.index(name) for name in IMAGE_NAMES if name in lower), None)
    lines = (f"{line}\n" for _, line in read_lines(path) if line.strip())
    header = next(lines)
    rows = csv.reader(lines, delimiter=_delimiter(header), skipinitialspace=True, strict=True)
    try:
        for number, row in enumerate(rows, start=1):
            if len(row) != len(columns):
                raise ValueError(
                    f"{path}, row {number} has {len(row)} columns, wanted {len(columns)} "
                    f"({', '.join(columns)}): put captions that contain {_delimiter(header)!r} in "
                    f"quotes; got {' '.join(row)[:60]!r}"
                )
            name = "" if image is None else row[image].strip()
            yield from ((name, caption) for caption in _of_cell(row[text]))
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {rows.line_num + 1}: {error}; wanted quotes around a whole caption, and "
            "those in it doubled"
        ) from error


def _of_cell(cell: str) -> list[str]:
    """Return the captions of a table's cell: a list of them, as JSON or Python writes it, or one.

    >>> _of_cell('["a cat", "a dog"]'), _of_cell("[unk] a cat")
    (['a cat', 'a dog'], ['[unk] a cat'])
    """
    if not cell.startswith(("['", '["')):
        return [cell]
    try:
        texts = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return [cell]
    whole = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    return texts if whole else [cell]


def _of_objects(rows: Iterator[tuple[str, Mapping[str, Any]]]) -> Iterator[Pair]:
    for where, row in rows:
        image = next((row[name] for name in IMAGE_NAMES if name in row), "")
        texts = next((row[name] for name in CAPTION_NAMES if name in row), None)
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(
                f"{where} is no caption: got an object of {', '.join(sorted(row)) or 'nothing'}, "
                'wanted "caption" with text or a list of texts'
            )
        yield from ((str(image) if isinstance(image, str | int) else "", text) for text in texts)


def _is_json(line: str, kind: type) -> bool:
    try:
        return line.startswith(("{", '"')) and isinstance(json.loads(line), kind)
    except json.JSONDecodeError:
        return False


def _parsed(line: str, kind: type, where: str) -> Any:
    if not _is_json(line.strip(), kind):
        raise ValueError(
            f"{where} is {line.strip()[:60]!r}, wanted a JSON {_KINDS[kind]}, as the first line is"
        )
    return json.loads(line)


def _is_image_name(name: str) -> bool:
    return name.isdecimal() or is_file_name(name)
