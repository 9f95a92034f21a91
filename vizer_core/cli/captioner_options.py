"""The options that `vizer train-captioner` and `vizer caption` share, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# the names of `textonly.presets.TRAININGS`, which a test compares: help is shown without torch
TRAININGS = ("maccap", "capdec", "decap", "capdec_same_decoder", "decap_same_decoder")

Clip = Annotated[
    str, typer.Option("--clip", help="open_clip's name of a CLIP, its folder, or 'micro'.")
]
Pretrained = Annotated[
    str | None, typer.Option(help="A tag, such as openai, or a .safetensors or .pt file.")
]
QuickGelu = Annotated[
    bool, typer.Option("--quick-gelu", help="For a file that descends from OpenAI's weights.")
]
LanguageModel = Annotated[
    str,
    typer.Option(help="A causal LM: hub id, folder, GGUF file, 'micro-lm' or 'smollm2-135m'."),
]
Corpus = Annotated[
    str,
    typer.Option(
        help="Captions, one a line, or a JSON list; COCO's, Flickr's or CC3M's file; a table with "
        "a header; 'micro-home' or 'micro-away'."
    ),
]


CaptionerFile = Annotated[
    Path | None,
    typer.Option(
        help="Trained file for --method, from vizer train-captioner. Default on the micro models: "
        "the shipped one, for capdec and decap with maccap's decoder."
    ),
]
FormerName = Annotated[Path | None, typer.Option(hidden=True)]


def captioner_file(captioner: Path | None, adaptor: Path | None) -> Path | None:
    """Return what --captioner names; --adaptor is what the option was called before."""
    if captioner is not None and adaptor is not None:
        raise typer.BadParameter("--adaptor is another name of --captioner: give one of them")
    return captioner if adaptor is None else adaptor
