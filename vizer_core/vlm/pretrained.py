"""From a hub name or a folder to a model and its processor; whatever is amiss is said at once.

transformers tries for a long time to reach a hub that has no address here, fills weights that a
checkpoint lacks with random ones, and lets a model that does not fit into memory be killed. Each of
these is an error here, before or instead.
"""

from __future__ import annotations

import os
import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from vizer_core.runtime import pick_device, require

MEMORY_FILE = Path("/proc/meminfo")


def read_config(name: str | Path) -> Any:
    """Return the configuration of a checkpoint, or say why there is none."""
    transformers = require("transformers", extra="vlm", why="a vision-language model")
    _require_model_folder(name)
    try:
        return transformers.AutoConfig.from_pretrained(name, local_files_only=not reachable(name))
    except (OSError, ValueError) as error:
        raise _explained(name, error) from error


def read_processor(name: str | Path) -> Any:
    """Return the checkpoint's processor: images and texts to tensors."""
    transformers = require("transformers", extra="vlm", why="a vision-language model")
    try:
        found = transformers.AutoProcessor.from_pretrained(
            name, local_files_only=not reachable(name)
        )
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{name} has no processor that loads: {error} Save one beside the weights with "
            "processor.save_pretrained(FOLDER)."
        ) from error
    if not hasattr(found, "image_processor") or not hasattr(found, "tokenizer"):
        raise ValueError(
            f"the processor of {name} is a {type(found).__name__}: wanted one with an image "
            "processor and a tokenizer. Is preprocessor_config.json missing?"
        )
    return found


def read_model(
    name: str | Path,
    class_name: str,
    *,
    device: torch.device | str,
    dtype: torch.dtype | None,
) -> nn.Module:
    """Load all weights of a checkpoint into the named transformers class, on one device.

    `dtype` is bfloat16 on CUDA and float32 elsewhere unless given; a T4 wants float16.
    """
    transformers = require("transformers", extra="vlm", why="a vision-language model")
    device = pick_device(device) if isinstance(device, str) else device
    dtype = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
    model_class = getattr(transformers, class_name)
    require_memory(read_config(name), model_class, device=device, dtype=dtype)
    try:
        model, report = model_class.from_pretrained(
            name,
            dtype=dtype,
            device_map={"": device},
            output_loading_info=True,
            local_files_only=not reachable(name),
        )
    except (OSError, ValueError) as error:
        raise _explained(name, error) from error
    wrong = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if wrong:
        raise ValueError(
            f"{name} does not fill {class_name}: {len(wrong)} weights are missing or have another "
            f"shape, the first {wrong[0]}. They would stay random; use a complete checkpoint."
        )
    return model


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

    if constants.HF_HUB_OFFLINE or os.environ.get("TRANSFORMERS_OFFLINE", "0") == "1":
        return False
    if urllib.request.getproxies():
        return True
    try:
        return bool(socket.getaddrinfo(urlparse(constants.ENDPOINT).hostname, 443))
    except OSError:
        return False


def _require_model_folder(name: str | Path) -> None:
    folder = Path(name)
    if not folder.is_dir():
        if isinstance(name, Path) or name.startswith((".", "/", "~")):
            raise FileNotFoundError(f"no such folder: {name}. A hub name looks like owner/model.")
        return
    if (folder / "config.json").is_file():
        return
    if (folder / "adapter_config.json").is_file():
        raise ValueError(
            f"{folder} holds a LoRA adapter, not a model: load the base it names, then the adapter "
            "with vizer_core.vizer.load_adapter."
        )
    raise FileNotFoundError(f"{folder} holds no config.json: wanted a folder of save_pretrained")


def _explained(name: str | Path, error: Exception) -> Exception:
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
