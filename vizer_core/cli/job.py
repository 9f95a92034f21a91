"""What a job that can be stopped works on, kept beside its state, so that no other job goes on.

A run's checkpoint knows the model and the order of its images, not what the images show. So the
command writes down all that it was asked for, the images' content included, before it starts.

All of a run that is not finished lies in one folder of its own: `OUT/.vizer-run` of enhance,
`OUT.states` of fit-mapper, `OUT.shards` of features, `OUT.run` of train-captioner. The command
makes the folder and marks it by a record of `KIND`. A folder of that name without one is somebody
else's: it is refused. Of its own folder a command deletes what it wrote, by name, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

KIND = "vizer-run"  # what only these commands write into a record
OURS = re.compile(
    r"\.?(shard-\d+\.safetensors(\.json)?|state\.safetensors(\.json)?|run\.safetensors"
    r"|job\.json|asked\.json|summary\.json)(\.\w+\.part)?"
)


def digest_of_files(path: Path, names: Sequence[str]) -> str:
    """Return `files_digest` of image files: `names` are those of `read_images(path)`.

    For one image `path` is the file itself.
    """
    from vizer_core.files import files_digest

    return files_digest({name: path if path.is_file() else path / name for name in names})


def require_same(kept: Mapping[str, Any], job: Mapping[str, Any], *, of: str, delete: str) -> None:
    """Raise `ValueError` unless a job is the one that was begun; say what differs.

    Values are plain JSON. `of` is what the message calls the place, `delete` what is to go to
    start again.
    """
    differs = [name for name in sorted({*kept, *job}) if kept.get(name) != job.get(name)]
    if differs:
        said = "; ".join(f"{n}: {kept.get(n)!r} then, {job.get(n)!r} now" for n in differs)
        raise ValueError(
            f"{of} belongs to another run ({said}): give what was given then to go on with it, "
            f"or name another output, or delete {delete}"
        )


def is_unfinished(record: Path) -> bool:
    """Say whether a stopped command has left its run beside `record`, so that it can go on."""
    kept = _read(record)
    return kept is not None and not kept.get("finished")


def same_job(record: Path, job: Mapping[str, Any], *, of: str) -> bool:
    """Keep `job` at `record`, and say whether it was begun before; refuse another that is kept.

    A record that stands alone, of a command that failed before it had done anything, is replaced.
    The folder is locked until the command ends: `ValueError` where another one works in it, and
    where no command has made it.
    """
    from vizer_core.cli.app import say
    from vizer_core.distributed import is_main_process, wait_for_everyone
    from vizer_core.files import write_json

    folder = record.parent
    require_ours(record)
    kept = _read(record)
    there = is_unfinished(record)
    begun = there and _has_state(record)
    if is_main_process():
        folder.mkdir(parents=True, exist_ok=True)
        _hold(record, of)
    if there and not begun:
        say(f"{of}: a run was stopped here before it had saved a step: it starts again", err=True)
    if begun and kept is not None:
        require_same(kept.get("job", {}), job, of=of, delete=str(folder))
    wait_for_everyone()  # nobody compares with what the first process writes below
    if is_main_process() and not begun:
        for file in _saved(record):  # of a finished command that was killed while it cleaned up
            file.unlink(missing_ok=True)
        write_json(record, {"kind": KIND, "job": dict(job)})
    wait_for_everyone()
    return begun


def require_ours(record: Path) -> None:
    """Raise `ValueError` if something lies in the place of a run that no command has put there."""
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
        said = "holds a record of something else" if record.exists() else "has no record of a run"
        what = f"a folder that {said}"
    raise ValueError(
        f"{folder} is {what} ({record.name}), and this command would keep its state there until it "
        f"is finished: name another --out, or move or delete {folder}"
    )


def remove_run(record: Path) -> None:
    """Delete what a finished command has left beside its record, and the folder if it is empty.

    Files that the command did not write stay, and are named. The first process does it.
    """
    from vizer_core.cli.app import say
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
        say(f"left {folder}: it holds what this command did not write ({left})", err=True)


def say_stop(error: KeyboardInterrupt) -> bool:
    """Say of a command that was stopped what is kept; False where it works on no run."""
    from vizer_core.cli.app import say

    if not (error.args or _HELD):
        return False
    again = "call the same command again to go on"
    if error.args:
        say(f"stopped after {error.args[0]}: {again}", err=True)
    elif _has_state(_HELD[0][1]):
        folder = _HELD[0][1].parent
        say(f"stopped: what was saved before lies in {folder}: {again}", err=True)
    else:
        say("stopped: nothing was saved yet, so the same command starts again", err=True)
    return True


def _read(record: Path) -> dict[str, Any] | None:
    """Return a record that one of these commands wrote; None where there is none."""
    from vizer_core.files import read_json

    try:
        kept = read_json(record)
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and kept.get("kind") == KIND else None


def _saved(record: Path) -> list[Path]:
    """Return the files beside a record that a command wrote there."""
    files = sorted(record.parent.iterdir()) if record.parent.is_dir() else []
    return [
        file
        for file in files
        if file != record and OURS.fullmatch(file.name) and (file.is_file() or file.is_symlink())
    ]


def _has_state(record: Path) -> bool:
    """Say whether there is something to go on with."""
    return any(file.suffix == ".safetensors" for file in _saved(record))


_HELD: list[tuple[int, Path]] = []  # of this process: its command's folder, locked; its record


def _hold(record: Path, of: str) -> None:
    """Lock a folder until the command ends, or raise `ValueError` if another one has locked it."""
    import os

    from vizer_core.files import lock

    let_go()
    try:
        handle = os.open(record.parent, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        handle = -1
    if handle >= 0 and lock(handle) is False:
        os.close(handle)
        raise ValueError(
            f"another command works in {of} at this moment: wait for it, or name another --out"
        )
    _HELD.append((handle, record))


def let_go() -> None:
    """Give up the lock on a job's folder: the command has ended, in whatever way."""
    import os

    while _HELD:
        handle, _ = _HELD.pop()
        if handle >= 0:
            os.close(handle)
