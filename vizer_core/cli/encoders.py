"""Which CLIP the options --model (or --clip) and --pretrained mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def clip_encoder(model: str, pretrained: str | None, device: str, quick_gelu: bool) -> Any:
    """Make the encoder that is named: the micro one, a folder, a tag, or a file of weights.

    Ends with status 2 where `quick_gelu` would change nothing: the micro CLIP has an activation of
    its own, and a tag says which one its weights were trained with.
    """
    from vizer_core.runtime import pick_device

    place = pick_device(device)
    if model == "micro":
        _require_own_activation(quick_gelu, "the micro CLIP has")
        from vizer_core.micro import load_micro_clip

        return load_micro_clip(pretrained or "micro-clip-100", str(place))
    from vizer_core.clip import OpenClipEncoder
    from vizer_core.clip.loading import require_plain_name

    if Path(model).is_dir():
        if pretrained is not None:
            raise ValueError(
                f"{model} is a folder with weights of its own: leave --pretrained {pretrained} out"
            )
        return OpenClipEncoder.from_folder(model, quick_gelu=quick_gelu, device=place)
    if model.startswith((".", "/", "~")):
        raise FileNotFoundError(f"no such folder: {model}. An open_clip name looks like ViT-B-32.")
    require_plain_name(model)
    if pretrained is None:
        raise ValueError(
            f"the CLIP {model!r} wants --pretrained TAG (such as openai) or a file of weights"
        )
    is_file = Path(pretrained).suffix in {".safetensors", ".pt", ".pth", ".bin"}
    if is_file or Path(pretrained).is_file():
        return OpenClipEncoder.from_checkpoint(
            model, Path(pretrained), quick_gelu=quick_gelu, device=place
        )
    _require_own_activation(quick_gelu, f"the tag {pretrained} says")
    return OpenClipEncoder.from_pretrained(model, pretrained, device=place)


def _require_own_activation(quick_gelu: bool, whose: str) -> None:
    if quick_gelu:
        raise typer.BadParameter(
            f"--quick-gelu is for weights in a file or a folder, {whose} which activation it is: "
            "leave it out"
        )
