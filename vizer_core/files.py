"""Files that survive: safetensors plus a JSON manifest, written atomically.

A file either contains everything it should or does not exist: each write goes to a temporary
name in the same folder, is flushed to disk, and is renamed into place; a link is followed, and
its target replaced. Tensors are safetensors; pickles are never read. The manifest of `NAME` is
`NAME.json` (`a.safetensors.json`), so that no two files share one; it says how they were made.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vizer_core import env

FORMAT_VERSION = 1
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
METADATA = "made_by"  # the key under which manifests and records of runs keep their metadata
ABANDONED = 3600.0  # seconds after which a temporary file that nobody writes to is deleted


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` on success and vanishes on failure.

    Where `path` is a link, the file that it points to is replaced. Raises `OSError` where that
    is no file, as `/dev/null`, or where the disk has no room, and names the file.
    """
    path = Path(path)
    target = _file_behind(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_parts(target)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with _held(handle), _errors_that_name(path, temporary):
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _errors_that_name(path: Path, temporary: Path) -> Iterator[None]:
    """Say of a disk that is full or fails which file was to be written, not its temporary name."""
    try:
        yield
    except SafetensorError as error:
        found = re.search(r"os error (\d+)", str(error))
        if found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error
    except OSError as error:
        if error.errno in DISK_ERRORS and error.filename in (None, str(temporary), temporary):
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def _file_behind(path: Path) -> Path:
    """Return the path itself, or what its links lead to; raise `OSError` unless it can be a file.

    A link into a folder that is not there, as of a disk that is not mounted, is not followed.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_symlink():
        raise OSError(f"{path} is a link that leads back to itself: name a file")
    if path.is_symlink() and not target.parent.is_dir():
        raise FileNotFoundError(
            f"{path} is a link to {target}, and no folder {target.parent} is there: make it first"
        )
    if target.exists() and not target.is_file():
        kind = "a folder" if target.is_dir() else "a device or a pipe"
        raise OSError(f"{path} is {kind}: wanted the name of a file")
    return target


@contextmanager
def _held(handle: int) -> Iterator[None]:
    """Keep a lock on an open file, then close it: nobody deletes it as one that was left behind."""
    if os.name == "nt":  # an open file cannot be replaced there, and there are no locks
        os.close(handle)
        yield
        return
    lock(handle)
    try:
        yield
    finally:
        os.close(handle)


def lock(handle: int) -> bool | None:
    """Lock an open file or folder until it is closed; False if somebody else holds the lock.

    The lock ends with the process, however that ends. None where there are no locks: on Windows,
    on some network disks.
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def remove_parts(path: Path) -> None:
    """Delete the temporary files that killed writes of `path` left behind in its folder."""
    path = Path(path)
    for part in path.parent.glob(f".{escape(path.name)}.*.part"):
        try:
            with part.open("rb") as stream:
                free = lock(stream.fileno())
                if free or (free is None and _is_old(part)):
                    part.unlink()
        except OSError:  # another process deleted it, or it is not ours
            continue


def _is_old(part: Path) -> bool:
    return time.time() - part.stat().st_mtime > ABANDONED


def cache_folder(kind: str) -> Path:
    """Return a folder of the user's cache: `XDG_CACHE_HOME` or `~/.cache`, else the temporary one.

    `kind` names what is kept there. The folder is made if it does not exist. Raises `OSError` where
    neither can be written.
    """
    base = env.CACHE.get()
    for root in (*_user_cache(base), Path(tempfile.gettempdir())):
        folder = root / "vizer-core" / kind
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise OSError(f"no folder for {kind} can be written: tried {base or '~/.cache'} and tmp")


def _user_cache(base: str | None) -> list[Path]:
    """Return the user's cache, or nothing for a user without a home, as containers have them."""
    try:
        return [Path(base) if base else Path.home() / ".cache"]
    except RuntimeError:
        return []


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN and inf are refused."""
    text = _as_json(value)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Read a JSON file, or say which file is missing or broken and where."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))  # Windows writes a mark first
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid UTF-8 JSON: {error}") from error


def read_record(path: Path) -> dict[str, Any]:
    """Read a JSON file with an object, as all that the package writes; else `ValueError`."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise ValueError(
            f"{path} contains a {type(found).__name__}, wanted an object with names and values: "
            "it is no file of this package, or another was written over it"
        )
    return found


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def files_digest(files: Mapping[str, Path]) -> str:
    """Return a digest of files' names and bytes in 16 hex digits.

    Each file is read whole: a thousand photos take some seconds. Less would not do, for an image
    may differ from another in its middle alone.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name, file in files.items():
        with Path(file).open("rb") as stream:
            content = hashlib.file_digest(stream, "blake2b").hexdigest()
        digest.update(f"{name}\0{content}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def manifest_path(path: Path) -> Path:
    """Return where the manifest of a tensor file is written: its full name, then `.json`.

    >>> manifest_path(Path("a.v1")).name, manifest_path(Path("a.safetensors")).name
    ('a.v1.json', 'a.safetensors.json')
    """
    path = Path(path)
    return path.with_name(f"{path.name}.json")


def former_manifest(path: Path) -> Path | None:
    """Return the manifest of a tensor file under its former name, `a.json` for `a.safetensors`.

    None where there is no such file, or it is no manifest: it may be anybody's JSON.
    """
    path = Path(path)
    former = path.with_suffix(".json")
    return former if former not in (path, manifest_path(path)) and is_manifest(former) else None


def is_manifest(path: Path) -> bool:
    """Say whether a file is a manifest that `save_tensors` wrote: JSON with a format and a hash."""
    if not Path(path).is_file():
        return False
    try:
        found = read_json(path)
    except (ValueError, OSError):
        return False
    return isinstance(found, dict) and {"format", "sha256"} <= found.keys()


def find_manifest(path: Path) -> Path | None:
    """Return the manifest that lies beside a tensor file, or None; the former name counts too."""
    own = manifest_path(path)
    return own if own.is_file() else former_manifest(path)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], manifest: Mapping[str, Any]) -> None:
    """Write `tensors` to `path` (safetensors) and `manifest` beside it, at `manifest_path`.

    The manifest gains the file's SHA-256 and the format version. Both are written in full before
    either is put in its place, so that a full disk leaves what was there; the manifest comes last:
    a tensor file without it is an interrupted write and `load_tensors` refuses it. A manifest
    under the former name goes with the file that it described.
    """
    path = Path(path)
    former = former_manifest(path)
    with ExitStack() as both:
        beside = both.enter_context(atomic_path(manifest_path(path)))
        temporary = both.enter_context(atomic_path(path))
        save_file({key: value.contiguous().cpu() for key, value in tensors.items()}, temporary)
        record = dict(manifest) | {"format": FORMAT_VERSION, "sha256": sha256_file(temporary)}
        beside.write_text(_as_json(record), encoding="utf-8")
    if former is not None:
        former.unlink(missing_ok=True)


def remove_tensors(path: Path) -> None:
    """Delete a tensor file with its manifest and what killed writes left; nothing there is fine."""
    path = Path(path)
    for file in (path, manifest_path(path), former_manifest(path)):
        if file is not None:
            file.unlink(missing_ok=True)
            remove_parts(file)


def load_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest that `save_tensors` wrote beside `path`.

    Raises `FileNotFoundError` where there is none and `ValueError` where it is other JSON.
    """
    beside = find_manifest(path)
    if beside is None:
        raise FileNotFoundError(
            f"{path} has no manifest {manifest_path(path).name} beside it: the write was "
            "interrupted or the file was copied alone. Make it again, or copy both."
        )
    found = read_json(beside)
    if not isinstance(found, dict):
        raise ValueError(
            f"{beside} is a {type(found).__name__}, no manifest of {Path(path).name}: another file "
            "was written over it. Make both again, or copy the manifest back."
        )
    return found


def load_tensors(path: Path, *, verify: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote and check it against its manifest's hash.

    Raises `FileNotFoundError` when either file is missing and `ValueError` when the hash or
    the safetensors header does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    manifest = load_manifest(path)
    if verify and (found := sha256_file(path)) != manifest.get("sha256"):
        raise ValueError(
            f"{path} does not fit its manifest: sha256 {found[:12]}…, wanted "
            f"{str(manifest.get('sha256'))[:12]}…. The file is damaged or stale; make it again."
        )
    try:
        with safe_open(path, framework="pt") as stream:
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    return tensors, manifest
