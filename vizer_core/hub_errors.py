"""Checkpoints from a hub, its cache, or a folder: may it be asked, does it fit, what went wrong.

Shared by every loader of transformers models. Three things that a person meets and the libraries
say badly: a hub out of reach is retried for minutes, a model larger than the memory is killed
without a word, and a licence that was not accepted reads like a missing file.
"""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch

from vizer_core import env

MEMORY_FILE = Path("/proc/meminfo")


def require_memory(
    config: Any, model_class: Any, *, device: torch.device, dtype: torch.dtype
) -> None:
    """Raise `ValueError` if the bare weights do not fit into what the device has free."""
    free = free_bytes(device)
    if free is None:
        return
    with torch.device("meta"):
        count = sum(weight.numel() for weight in model_class(config).parameters())
    needed = count * dtype.itemsize
    if needed > free:
        raise ValueError(
            f"the weights alone need {needed / 2**30:.1f} GiB ({count:,} parameters in {dtype}), "
            f"and {device} has {free / 2**30:.1f} GiB free. Take a smaller checkpoint, "
            "dtype=torch.bfloat16 (torch.float16 on a T4), or another device."
        )


def free_bytes(device: torch.device) -> int | None:
    """Return how many bytes a device has free, or None where that cannot be asked."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu" or not MEMORY_FILE.is_file():
        return None
    lines = MEMORY_FILE.read_text(encoding="utf-8").splitlines()
    available = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(available[0]) * 1024 if available else None


def reachable(name: str | Path) -> bool:
    """Say whether a hub may be asked for `name`: no for folders, offline mode, and no address."""
    if Path(name).is_dir():
        return False
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or env.TRANSFORMERS_OFFLINE.get() == "1":
        return False
    if urllib.request.getproxies():
        return True
    try:
        return bool(socket.getaddrinfo(urlparse(constants.ENDPOINT).hostname, 443))
    except OSError:
        return False


def explained(name: str | Path, error: Exception) -> Exception:
    """Turn transformers' error into one that says what to do."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    causes = [error, error.__cause__, error.__context__]
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        return ValueError(
            f"{name} is gated: accept its licence on the hub, then log in with "
            "`hf auth login` or set HF_TOKEN."
        )
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return FileNotFoundError(f"the hub has no model {name!r}, or it is private: {error}")
    if isinstance(error, OSError):
        where = "in its folder" if Path(name).is_dir() else "in the local cache"
        hub = "" if reachable(name) else " The hub is out of reach here."
        return FileNotFoundError(
            f"{name} was not found {where}.{hub} Run this once where the hub can be reached, copy "
            f"the cache (HF_HOME), or give a folder of save_pretrained. transformers says: {error}"
        )
    return ValueError(f"{name} does not load: {error}")
