"""Files that survive: safetensors plus a JSON manifest, written atomically.

A file either holds everything it should or does not exist: each write goes to a temporary
name in the same folder, is flushed to disk, and is renamed into place. Tensors are safetensors;
pickles are never read. The manifest beside them says how they were made.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

FORMAT_VERSION = 1


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` on success and vanishes on failure."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN and inf are refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file, or say which file is missing or broken and where."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))  # Windows writes a mark first
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid UTF-8 JSON: {error}") from error


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor], manifest: Mapping[str, Any]) -> None:
    """Write `tensors` to `path` (safetensors) and `manifest` to `path` with suffix `.json`.

    The manifest gains the file's SHA-256 and the format version, and is written last: a tensor
    file without its manifest is an interrupted write and `load_tensors` refuses it.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        save_file({key: value.contiguous().cpu() for key, value in tensors.items()}, temporary)
    record = dict(manifest) | {"format": FORMAT_VERSION, "sha256": sha256_file(path)}
    write_json(path.with_suffix(".json"), record)


def load_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest that `save_tensors` wrote beside `path`."""
    manifest_path = Path(path).with_suffix(".json")
    if not manifest_path.is_file():
        raise FileNotFoundError(
            f"{path} has no manifest {manifest_path.name} beside it: the write was interrupted or "
            "the file was copied alone. Make it again, or copy both."
        )
    return read_json(manifest_path)


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
