"""What an error means to whoever called a command: one line, with the file and what to do.

The package's own errors say so themselves. Those of other libraries are told by their kind, here
and nowhere else: a class that a library made (safetensors, zipfile, tokenizers, httpx, ...) speaks
of a file or of the network, while `TypeError` and the like are faults in the code, or of a file
that contains something else than its name says. `vizer --debug` shows the traceback.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

OWN = (ValueError, OSError, ImportError, RuntimeError, MemoryError)
OF_THE_COMMAND_LINE = ("typer", "click")
# these say that a function was called wrongly
NOT_OF_FILES = ("beartype", "jaxtyping", "vizer_core", "builtins")
_ARGUMENT = re.compile(r"\b(pretrained|dtype|device)=(?:'([^']*)'|([\w-]+))")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
POINTER = b"version https://git-lfs.github.com/spec"
MODEL_FILES = (".safetensors", ".bin", ".pt", ".pth", ".json", ".txt", ".model", ".npy", ".tsv")


def answer_to(
    error: Exception, read: tuple[Path | str | None, ...] = (), *, goes_on: bool = True
) -> str | None:
    """Return what to say of an error, in one line; None for those of the command line's library.

    `read` are the files, folders and hub names that the command reads: where one of them is a
    git-lfs pointer or half a download, that is said too. `goes_on` says whether the command saves
    its work on the way.

    >>> answer_to(ValueError("no device 'tpu'"))
    "no device 'tpu'"
    >>> answer_to(KeyError("noise"))
    "KeyError: 'noise'. A file that was read may be another than it should be; if all are whole, \
this is a fault of vizer: call it as vizer --debug COMMAND ... and report what it says"
    """
    library = type(error).__module__.partition(".")[0]
    if library in OF_THE_COMMAND_LINE:
        return None
    of_library = library not in NOT_OF_FILES or type(error) is Exception  # tokenizers raises that
    if not isinstance(error, OWN) and not of_library:
        return _unexpected(error, read)
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        what = os.strerror(error.errno)
        kept = "What was saved before is kept: make" if goes_on else "Make"
        return (
            f"{error.filename or 'a file'} cannot be written: {what}. {kept} room and call the "
            "same command again"
        )
    if isinstance(error, MemoryError):
        said = f"the memory is full ({said}): take fewer or smaller images, or a smaller model"
    elif not isinstance(error, OWN):
        said = f"{library} says: {said}" if library not in NOT_OF_FILES else said
    broken = [fault for name in read if name is not None for fault in faults_under(name)]
    said = as_options(said)
    return f"{broken[0]} ({said})" if broken else said


def as_options(said: str) -> str:
    """Put the arguments that a message of the library names into the words of the command line.

    >>> as_options("the CLIP 'a' wants pretrained=TAG; leave dtype='float16' out")
    "the CLIP 'a' wants --pretrained TAG; leave --dtype float16 out"
    """
    return _ARGUMENT.sub(lambda found: f"--{found[1]} {found[2] or found[3]}", said)


def _unexpected(error: Exception, read: tuple[Path | str | None, ...]) -> str:
    """Return what to say of a `KeyError` or its like: a broken file, or a fault in the code."""
    where = _raised_in(error)
    said = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ") + where
    broken = [fault for name in read if name is not None for fault in faults_under(name)]
    if broken:
        return f"{broken[0]} ({said})"
    return (
        f"{said}. A file that was read may be another than it should be; if all are whole, this is "
        "a fault of vizer: call it as vizer --debug COMMAND ... and report what it says"
    )


def _raised_in(error: Exception) -> str:
    """Name the library that raised an error, or the package's own file and line."""
    trace, here = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        here = f" (in {name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return here


def faults_under(name: Path | str) -> Iterator[str]:
    """Say which files of a model are no whole files: git-lfs pointers, downloads that were cut.

    `name` is a file, a folder, or the hub name of a model in the local cache.
    """
    for file in _files_of(name):
        try:
            size = file.stat().st_size
            with file.open("rb") as stream:
                start = stream.read(len(POINTER))
        except OSError:
            continue
        if start == POINTER:
            yield (
                f"{file} is a git-lfs pointer, not the file itself: run git lfs pull in "
                f"{file.parent}, or download the file"
            )
        elif file.suffix == ".safetensors" and (wanted := _safetensors_size(file)) != size:
            yield (
                f"{file} is no whole safetensors file: {size:,} bytes, wanted {wanted or 'more'}; "
                "download or copy it again"
            )


def _files_of(name: Path | str) -> list[Path]:
    path = Path(name)
    if path.is_file():
        return [path]
    folders = [path]
    if not path.is_dir() and str(name).count("/") == 1:
        from huggingface_hub import constants

        kept = Path(constants.HF_HUB_CACHE) / f"models--{str(name).replace('/', '--')}"
        folders = sorted(kept.glob("snapshots/*"))
    found = (file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir()))
    return [file for file in found if file.suffix in MODEL_FILES and file.is_file()]


def _safetensors_size(file: Path) -> int | None:
    """Return how many bytes a safetensors file should have, by its header; None if it has none."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size:
            return None
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key[:2] != "__"]
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
    return 8 + length + max(ends, default=0)
