"""What a job that can be stopped works on, kept beside its state, so that no other job goes on.

A run's checkpoint knows the model and the order of its images, not what the images show. So the
command writes down all that it was asked for, the images' content included, before it starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

ENDS = 1 << 16  # bytes read at either end of an image file: cheap, and headers differ


def digest_of_files(path: Path, names: list[str]) -> str:
    """Return a digest of image files' names, sizes and bytes (of large ones the two ends).

    `names` are those of `read_pictures(path)`; for one image `path` is the file itself.
    """
    digest = sha256()
    for name in names:
        file = path if path.is_file() else path / name
        size = file.stat().st_size
        digest.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
        with file.open("rb") as stream:
            digest.update(stream.read(ENDS))
            if size > ENDS:
                stream.seek(max(ENDS, size - ENDS))
                digest.update(stream.read(ENDS))
    return digest.hexdigest()[:16]


def same_job(record: Path, job: Mapping[str, Any], *, of: str) -> None:
    """Keep `job` at `record`; if another is kept there, raise `ValueError`, say what differs.

    A record that stands alone, of a command that failed before it had done anything, is replaced.
    Values are plain JSON. `of` is what the message calls the place: an adapter folder or a file.
    """
    from vizer_core.processes import is_main_process, wait_for_everyone
    from vizer_core.store import read_json, write_json

    begun = record.is_file() and any(file != record for file in record.parent.iterdir())
    if begun:
        kept = read_json(record)
        differs = [name for name in sorted({*kept, *job}) if kept.get(name) != job.get(name)]
        if differs:
            said = "; ".join(f"{n}: {kept.get(n)!r} then, {job.get(n)!r} now" for n in differs)
            raise ValueError(
                f"{of} belongs to another run ({said}): give what was given then to go on with it, "
                f"or name another --out, or delete {record} and what lies beside it"
            )
    wait_for_everyone()  # nobody compares with what the first process writes below
    if is_main_process() and not begun:
        write_json(record, dict(job))
