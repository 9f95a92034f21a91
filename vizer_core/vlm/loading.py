"""One door to every supported vision-language model: `FAMILIES` says which adapter reads which.

Another family is a file with its adapter, and `register` (CONTRIBUTING.md).
"""

from __future__ import annotations

import inspect
from pathlib import Path

import torch

from vizer_core.vlm.generation import CaptionGenerator
from vizer_core.vlm.pretrained import read_config
from vizer_core.vlm.qwen2vl import Qwen2Vl
from vizer_core.vlm.smolvlm import SmolVlm

FAMILIES: dict[str, type[CaptionGenerator]] = {}  # a checkpoint's own `model_type` -> its adapter
COMMON = {"self", "model", "processor", "name", "default_prompt"}  # what every constructor takes


def register(adapter: type[CaptionGenerator]) -> None:
    """Let `load_vlm` read the families of an adapter's `classes` with it."""
    FAMILIES.update(dict.fromkeys(adapter.classes, adapter))


for each in (SmolVlm, Qwen2Vl):
    register(each)


def load_vlm(
    name_or_path: str | Path,
    *,
    device: torch.device | str = "auto",
    dtype: torch.dtype | None = None,
    image_splitting: bool = False,
) -> CaptionGenerator:
    """Load a checkpoint of a supported family from the hub, the cache or a folder.

    The family is read from the checkpoint's own `model_type`, its adapter is that of `FAMILIES`.
    `image_splitting` shows SmolVLM the image in tiles (13 to 17 times the image tokens); Qwen2-VL
    reads any size as it is. Raises `ValueError` for an unknown family, and for `image_splitting`
    where the family has none.
    """
    family = read_config(name_or_path).model_type
    if family not in FAMILIES:
        raise ValueError(f"{name_or_path} is a {family!r}: wanted one of {sorted(FAMILIES)}")
    adapter = FAMILIES[family]
    if not image_splitting:
        return adapter.from_pretrained(name_or_path, device=device, dtype=dtype)
    options = inspect.signature(adapter.__init__).parameters
    if "image_splitting" not in options:
        own = ", ".join(name for name in options if name not in COMMON) or "no option of its own"
        raise ValueError(
            f"{name_or_path} is a {family}: it has no image splitting. "
            f"{adapter.__name__}.from_pretrained takes {own}"
        )
    return adapter.from_pretrained(
        name_or_path, device=device, dtype=dtype, image_splitting=image_splitting
    )
