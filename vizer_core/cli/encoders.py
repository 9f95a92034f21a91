"""Which CLIP the options --model (or --clip) and --pretrained mean."""

from __future__ import annotations

from typing import Any

import typer

from vizer_core.cli.answers import as_options


def clip_encoder(model: str, pretrained: str | None, device: str, quick_gelu: bool) -> Any:
    """Make the encoder that is named: the drawn one, a folder, a tag, or a file of weights.

    Ends with status 2 where an option would change nothing: the drawn CLIP has an activation of its
    own, a tag says which one its weights were trained with, and a shipped name says which weights.
    """
    from vizer_core.models import UnusedSettingError, load_clip

    try:
        return load_clip(model, pretrained=pretrained, quick_gelu=quick_gelu, device=device)
    except UnusedSettingError as error:
        said = as_options(str(error).replace("quick_gelu", "--quick-gelu"))
        raise typer.BadParameter(said) from error
