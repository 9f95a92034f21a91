"""One door to every supported vision-language model: `FAMILIES` says which adapter reads which.

Another family is a file with its adapter, and `register` (CONTRIBUTING.md).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    prompt: str | None = None,
    image_splitting: bool = False,
    max_pixels: int | None = None,
    four_bit: bool = False,
) -> CaptionGenerator:
    """Load a checkpoint of a supported family from the hub, the cache or a folder.

    The family is read from the checkpoint's own `model_type`, its adapter is that of `FAMILIES`.
    `prompt` is what the model is asked from here on, an instruct checkpoint in its chat template
    (`PromptSide.prompt_of`). `image_splitting` shows SmolVLM the image in tiles (13 to 17 times the
    image tokens); Qwen2-VL reads any size as it is, up to `max_pixels`. `four_bit` keeps its
    language layers in four bits (QLoRA; wants bitsandbytes). Raises `ValueError` for an unknown
    family, and for an option that the family has not.
    """
    family = read_config(name_or_path).model_type
    if family not in FAMILIES:
        raise ValueError(f"{name_or_path} is a {family!r}: wanted one of {sorted(FAMILIES)}")
    adapter = FAMILIES[family]
    given: dict[str, Any] = {"image_splitting": True} if image_splitting else {}
    given |= {} if max_pixels is None else {"max_pixels": max_pixels}
    known = inspect.signature(adapter.__init__).parameters
    for option in given:
        if option not in known:
            own = ", ".join(name for name in known if name not in COMMON) or "no option of its own"
            raise ValueError(
                f"{name_or_path} is a {family}: it has no {option.replace('_', ' ')}. "
                f"{adapter.__name__}.from_pretrained takes {own}"
            )
    found = adapter.from_pretrained(
        name_or_path, device=device, dtype=dtype, four_bit=four_bit, **given
    )
    found.default_prompt = found.prompt_of(prompt)
    found.reading = given | ({"four_bit": True} if four_bit else {})
    return found


def reading_words(reading: Mapping[str, Any]) -> str:
    """Return the options of a command that read a model so (`CaptionGenerator.reading`).

    >>> reading_words({"image_splitting": True, "max_pixels": 50176}), reading_words({})
    (' --image-splitting --max-pixels 50176', '')
    """
    words = []
    for name, value in reading.items():
        words.append(f" --{name.replace('_', '-')}" + ("" if value is True else f" {value}"))
    return "".join(words)
