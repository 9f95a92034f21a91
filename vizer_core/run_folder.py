"""The folder of a job that can be stopped: what it works on, kept beside its state.

A run's checkpoint knows the model and the order of its images, not what the images show. So all
that a job was asked for, the images' content included, is written down before it starts, and no
other job goes on with its state.

All of a run that is not finished lies in one folder of its own: `OUT/.vizer-run` of an adapter,
`OUT.run` of a captioner, `OUT.states` of a mapper, `OUT.shards` of features. The job makes the
folder and marks it by a record of `KIND`. A folder of that name without one is somebody else's: it
is refused. Of its own folder a job deletes what it wrote, by name, nothing else.

The commands and the functions of `vizer_core.jobs` do the same here: `working_on` is around each.
Nothing heavy is imported before it is needed, since the help of a command reads this file.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)
KIND = "vizer-run"  # what only these jobs write into a record
RUN, JOB, STATE = ".vizer-run", "job.json", "run.safetensors"  # an adapter's run, in its folder
OURS = re.compile(
    r"\.?(shard-\d+\.safetensors(\.json)?|state\.safetensors(\.json)?|run\.safetensors"
    r"|job\.json|asked\.json|summary\.json|looked\.json)(\.\w+\.part)?"
)
Tell = Callable[..., None]  # of a line, and err=True where it is a remark and no result


class Stopped(KeyboardInterrupt):
    """Ctrl-C in a job that goes on when called again; says what is kept."""


def to_log(line: str, *, err: bool = False) -> None:
    """Tell a line to the log: how a job tells what it does where nobody asks for more."""
    logger.info("%s", line)


def digest_of_files(path: Path, names: Sequence[str]) -> str:
    """Return `files_digest` of image files: `names` are those of `read_images(path)`.

    For one image `path` is the file itself.
    """
    from vizer_core.files import files_digest

    return files_digest({name: path if path.is_file() else path / name for name in names})


def differences(kept: Mapping[str, Any], job: Mapping[str, Any]) -> str:
    """Say in which values, plain JSON ones, two jobs differ; nothing where they are the same.

    >>> differences({"seed": 0, "epochs": 3}, {"seed": 1, "epochs": 3})
    'seed: 0 then, 1 now'
    """
    differs = [name for name in sorted({*kept, *job}) if kept.get(name) != job.get(name)]
    return "; ".join(f"{n}: {kept.get(n)!r} then, {job.get(n)!r} now" for n in differs)


def require_same(kept: Mapping[str, Any], job: Mapping[str, Any], *, of: str, delete: str) -> None:
    """Raise `ValueError` unless a job is the one that was begun; say what differs.

    `of` is what the message calls the place, `delete` what is to go to start again.
    """
    said = differences(kept, job)
    if said:
        raise ValueError(
            f"{of} belongs to another run ({said}): give what was given then to go on with it, "
            f"or name another output, or delete {delete}"
        )


def is_unfinished(record: Path) -> bool:
    """Say whether a stopped job has left its run beside `record`, so that it can go on."""
    kept = _read(record)
    return kept is not None and not kept.get("finished")


@contextmanager
def working_on(
    record: Path, job: Mapping[str, Any], *, of: str, tell: Tell = to_log
) -> Iterator[bool]:
    """Keep `job` at `record` while it is worked on; yield whether it was begun before.

    At a good end the run is deleted. Any other end leaves it, and Ctrl-C says what is kept
    (`Stopped`). A record that stands alone, of a job that failed before it had done anything, is
    replaced. `of` is what messages call the place.

    Raises `ValueError` where another job is kept there, where one works in the folder at this
    moment, and where no job has made it.
    """
    with _held(record, of):
        begun = _begin(record, job, of=of, tell=tell)
        try:
            yield begun
        except KeyboardInterrupt as error:
            raise Stopped(_what_is_kept(record, error)) from error
        remove_run(record, tell=tell)


def _begin(record: Path, job: Mapping[str, Any], *, of: str, tell: Tell) -> bool:
    """Write `job` down, or find that it was begun before; refuse another that is kept."""
    from vizer_core.distributed import is_main_process, wait_for_everyone
    from vizer_core.files import write_json

    kept = _read(record)
    there = is_unfinished(record)
    begun = there and has_state(record)
    if there and not begun:
        tell(f"{of}: a run was stopped here before it had saved a step: it starts again", err=True)
    if begun and kept is not None:
        require_same(kept.get("job", {}), job, of=of, delete=str(record.parent))
    wait_for_everyone()  # nobody compares with what the first process writes below
    if is_main_process() and not begun:
        for file in _saved(record):  # of a finished job that was killed while it cleaned up
            file.unlink(missing_ok=True)
        write_json(record, {"kind": KIND, "job": dict(job)})
    wait_for_everyone()
    return begun


def require_ours(record: Path) -> None:
    """Raise `ValueError` if something lies in the place of a run that no job has put there."""
    folder = record.parent
    if not folder.exists() and not folder.is_symlink():
        return
    what = "a file, or a link to nothing,"
    if folder.is_dir():
        foreign = [
            file for file in folder.iterdir() if not file.name.startswith(f".{record.name}.")
        ]
        if _read(record) is not None or not foreign:
            return
        said = "has a record of something else" if record.exists() else "has no record of a run"
        what = f"a folder that {said}"
    raise ValueError(
        f"{folder} is {what} ({record.name}), and this run would keep its state there "
        f"until it is finished: name another out, or move or delete {folder}"
    )


def remove_run(record: Path, *, tell: Tell = to_log) -> None:
    """Delete what a finished job has left beside its record, and the folder if it is empty.

    Files that the job did not write stay, and are named. The first process does it.
    """
    from vizer_core.distributed import is_main_process, wait_for_everyone
    from vizer_core.files import write_json

    wait_for_everyone()
    folder = record.parent
    if not is_main_process() or _read(record) is None:
        return
    write_json(record, {"kind": KIND, "finished": True})
    for file in _saved(record):
        file.unlink(missing_ok=True)
    record.unlink(missing_ok=True)
    with suppress(OSError):  # not empty
        folder.rmdir()
    if folder.exists():
        left = ", ".join(sorted(file.name for file in folder.iterdir())[:3])
        tell(f"left {folder}: it contains what this run did not write ({left})", err=True)


def has_state(record: Path) -> bool:
    """Say whether there is something to go on with."""
    return any(file.suffix == ".safetensors" for file in _saved(record))


def _what_is_kept(record: Path, error: KeyboardInterrupt) -> str:
    """Return what to say of a job that was stopped."""
    if error.args:
        return f"stopped after {error.args[0]}: call the same again to go on"
    if has_state(record):
        return (
            f"stopped: what was saved before lies in {record.parent}: call the same again to go on"
        )
    return "stopped: nothing was saved yet, so the same call starts again"


def _read(record: Path) -> dict[str, Any] | None:
    """Return a record that one of these jobs wrote; None where there is none."""
    from vizer_core.files import read_json

    try:
        kept = read_json(record)
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and kept.get("kind") == KIND else None


def _saved(record: Path) -> list[Path]:
    """Return the files beside a record that a job wrote there."""
    files = sorted(record.parent.iterdir()) if record.parent.is_dir() else []
    return [
        file
        for file in files
        if file != record and OURS.fullmatch(file.name) and (file.is_file() or file.is_symlink())
    ]


@contextmanager
def _held(record: Path, of: str) -> Iterator[None]:
    """Make a job's folder and lock it, or raise `ValueError` if another job has locked it."""
    from vizer_core.distributed import is_main_process
    from vizer_core.files import lock

    require_ours(record)
    if not is_main_process():
        yield
        return
    record.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(record.parent, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        yield
        return
    try:
        if lock(handle) is False:
            raise ValueError(
                f"another job works in {of} at this moment: wait for it, or name another out"
            )
        yield
    finally:
        os.close(handle)
