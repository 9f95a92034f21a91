"""Tar files of images as streams: one sample at a time, whatever the file's size.

webdataset's form, which img2dataset writes: members that share a name up to its first dot, one
after another, are one sample, `000000012.jpg` with `000000012.txt` and `000000012.json`. A suffix
that comes a second time begins a new sample: a tar that was written twice contains each one twice.

A Mac puts a hidden twin, `._000000012.jpg`, before each file that it packs. Hidden members are no
sample and part none.
"""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class TarGroup:
    """A sample: its name inside the tar, and the bytes of its members by suffix.

    Members whose suffix was not asked for are there with no bytes: they were not read.
    """

    name: str
    members: dict[str, bytes]

    def first(self, suffixes: Collection[str]) -> bytes | None:
        """Return the first member with one of these suffixes, or None."""
        return next((self.members[s] for s in self.members if s in suffixes), None)


def stream_tar(path: Path, *, read: Collection[str]) -> Iterator[TarGroup]:
    """Yield a tar's samples in their order, with the bytes of members whose suffix is in `read`."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no tar file at {path}")
    name, members = "", {}
    try:
        with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
            for member in tar:
                if _is_hidden(member.name):
                    tar.members = []
                    continue
                key, suffix = _name_and_suffix(member.name)
                if members and (key != name or suffix in members):
                    yield TarGroup(name, members)
                    members = {}
                if member.isfile():
                    name = key
                    members[suffix] = tar.extractfile(member).read() if suffix in read else b""
                tar.members = []  # or else the header of every member is kept
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{path} is not a whole tar file: {error}. Fetch it again.") from error
    if members:
        yield TarGroup(name, members)


def _is_hidden(member: str) -> bool:
    path = PurePosixPath(member)
    return path.name.startswith(".") or "__MACOSX" in path.parts


def _name_and_suffix(member: str) -> tuple[str, str]:
    path = PurePosixPath(member)
    stem, _, ending = path.name.partition(".")
    return (path.parent / stem).as_posix(), f".{ending.lower()}"
