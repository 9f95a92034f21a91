"""METEOR's paraphrase table, cut to the words at hand and kept in the user's cache.

A paraphrase can match only if all words of both phrases occur in the captions, so the entries with
any other word may go without changing an alignment. A table made for more words serves fewer words
too: before cutting anew, a kept table that covers the words is looked for.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from vizer_core.files import atomic_path, cache_folder
from vizer_core.metrics.availability import find_cocoevalcap

KEPT_TABLES = 8
_SOURCE = "meteor/data/paraphrase-en.gz"
_PIECE = re.compile(r"[^\W_]+")
_BLOCK = 16 << 20


def vocabulary(words: Iterable[str]) -> frozenset[str]:
    """Return the words and their alphanumeric pieces, in lower case, as the jar may split them.

    >>> sorted(vocabulary(["T-shirt"]))
    ['shirt', 't', 't-shirt']
    """
    lowered = {word.lower() for word in words}
    return frozenset(lowered.union(*map(_PIECE.findall, lowered)))


def _blocks(source: Path) -> Iterator[list[bytes]]:
    """Read the table in blocks of whole entries; an entry is three lines."""
    rest: list[bytes] = []
    tail = b""
    with gzip.open(source, "rb") as stream:
        while block := stream.read(_BLOCK):
            lines = (tail + block).split(b"\n")
            tail = lines.pop()
            rest += lines
            whole = len(rest) - len(rest) % 3
            yield rest[:whole]
            rest = rest[whole:]


def _covered_entries(lines: list[bytes], known: frozenset[bytes]) -> Iterator[bytes]:
    last, last_known = b"", False
    for score, phrase, paraphrase in zip(lines[::3], lines[1::3], lines[2::3]):
        if phrase != last:  # entries of one phrase stand together
            last, last_known = phrase, known.issuperset(phrase.split())
        if last_known and known.issuperset(paraphrase.split()):
            yield b"%b\n%b\n%b\n" % (score, phrase, paraphrase)


def cut_table(source: Path, words: frozenset[str], target: Path) -> None:
    """Write the entries of `source` whose words are all known to `target`, atomically."""
    known = frozenset(word.encode(errors="replace") for word in words)
    with atomic_path(target) as temporary, gzip.open(temporary, "wb", compresslevel=1) as out:
        for lines in _blocks(source):
            out.write(b"".join(_covered_entries(lines, known)))


def _forget_old(folder: Path) -> None:
    tables = sorted(folder.glob("*.words"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in tables[KEPT_TABLES:]:
        path.unlink(missing_ok=True)
        path.with_suffix(".gz").unlink(missing_ok=True)


def paraphrase_table(words: Iterable[str]) -> Path:
    """Return a table that covers `words`: a kept one, or a newly cut one."""
    source, wanted, folder = find_cocoevalcap(_SOURCE), vocabulary(words), cache_folder("meteor")
    edition = source.stat().st_size
    for listing in sorted(folder.glob(f"{edition}-*.words"), key=lambda path: path.stat().st_size):
        table = listing.with_suffix(".gz")
        if table.is_file() and wanted.issubset(listing.read_text(encoding="utf-8").split("\n")):
            return table
    text = "\n".join(sorted(wanted))
    name = f"{edition}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:24]}"
    table, listing = folder / f"{name}.gz", folder / f"{name}.words"
    cut_table(source, wanted, table)
    with atomic_path(listing) as temporary:  # last: a table without its listing is not used
        temporary.write_text(text, encoding="utf-8", errors="replace")
    _forget_old(folder)
    return table
