"""One door to every supported vision-language model."""

from __future__ import annotations

from pathlib import Path

import torch

from vizer_core.vlm.pretrained import read_config
from vizer_core.vlm.qwen2vl import QWEN_CLASSES, Qwen2Vl
from vizer_core.vlm.smolvlm import SMOL_CLASSES, SmolVlm


def load_vlm(
    name_or_path: str | Path,
    *,
    device: torch.device | str = "auto",
    dtype: torch.dtype | None = None,
    image_splitting: bool = False,
) -> SmolVlm | Qwen2Vl:
    """Load a checkpoint of a supported family from the hub, the cache or a folder.

    The family is read from the checkpoint's own `model_type`. `image_splitting` shows SmolVLM the
    picture in tiles (13 to 17 times the image tokens); Qwen2-VL reads any size as it is.
    """
    family = read_config(name_or_path).model_type
    if family in SMOL_CLASSES:
        return SmolVlm.from_pretrained(
            name_or_path, device=device, dtype=dtype, image_splitting=image_splitting
        )
    if family in QWEN_CLASSES:
        if image_splitting:
            raise ValueError(
                f"{name_or_path} is a {family}: it has no image splitting. Qwen2Vl.from_pretrained "
                "takes max_pixels instead."
            )
        return Qwen2Vl.from_pretrained(name_or_path, device=device, dtype=dtype)
    raise ValueError(
        f"{name_or_path} is a {family!r}: wanted one of {sorted({**SMOL_CLASSES, **QWEN_CLASSES})}"
    )
