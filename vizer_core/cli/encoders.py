"""Which CLIP the options --model (or --clip) and --pretrained mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def clip_encoder(model: str, pretrained: str | None, device: str, quick_gelu: bool) -> Any:
    """Make the encoder that is named: the micro one, a folder, a tag, or a file of weights."""
    from vizer_core.runtime import pick_device

    place = pick_device(device)
    if model == "micro":
        from vizer_core.micro import load_micro_clip

        return load_micro_clip(pretrained or "micro-clip-100", str(place))
    from vizer_core.clip import OpenClipEncoder

    if Path(model).is_dir():
        if pretrained is not None:
            raise ValueError(
                f"{model} is a folder with weights of its own: leave --pretrained {pretrained} out"
            )
        return OpenClipEncoder.from_folder(model, quick_gelu=quick_gelu, device=place)
    if model.startswith((".", "/", "~")):
        raise FileNotFoundError(f"no such folder: {model}. An open_clip name looks like ViT-B-32.")
    if pretrained is None:
        raise ValueError(
            f"the CLIP {model!r} wants --pretrained TAG (such as openai) or a file of weights"
        )
    is_file = Path(pretrained).suffix in {".safetensors", ".pt", ".pth", ".bin"}
    if is_file or Path(pretrained).is_file():
        return OpenClipEncoder.from_checkpoint(
            model, Path(pretrained), quick_gelu=quick_gelu, device=place
        )
    return OpenClipEncoder.from_pretrained(model, pretrained, device=place)
