"""Which CLIP the options --model and --pretrained mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def clip_encoder(model: str, pretrained: str | None, device: str, quick_gelu: bool) -> Any:
    """Make the encoder that --model and --pretrained name."""
    from vizer_core.runtime import pick_device

    place = pick_device(device)
    if model == "micro":
        from vizer_core.micro import load_micro_clip

        return load_micro_clip(pretrained or "micro-clip-100", str(place))
    from vizer_core.clip import OpenClipEncoder

    is_file = Path(pretrained).suffix in {".safetensors", ".pt", ".pth", ".bin"}
    if is_file or Path(pretrained).is_file():
        return OpenClipEncoder.from_checkpoint(
            model, Path(pretrained), quick_gelu=quick_gelu, device=place
        )
    return OpenClipEncoder.from_pretrained(model, pretrained, device=place)
