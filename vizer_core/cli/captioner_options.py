"""The options that `vizer train-captioner` and `vizer caption` share, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vizer_core.captioners.registry import METHODS, require_training

# those of `textonly.presets.TRAININGS`, which a test compares: help is shown without torch
TRAININGS = tuple(dict.fromkeys(name for row in METHODS.values() for name in row.trainings))
SHIPPED = ("drawn", "drawn-lm")  # models that a trained part is shipped for

Clip = Annotated[
    str, typer.Option("--clip", help="open_clip's name of a CLIP, its folder, or 'drawn'.")
]
Pretrained = Annotated[
    str | None, typer.Option(help="A tag, such as openai, or a .safetensors or .pt file.")
]
QuickGelu = Annotated[
    bool, typer.Option("--quick-gelu", help="For a file that descends from OpenAI's weights.")
]
LanguageModel = Annotated[
    str,
    typer.Option(help="A causal LM: hub id, folder, GGUF file, 'drawn-lm' or 'smollm2-135m'."),
]
StartToken = Annotated[
    str | None,
    typer.Option(
        "--lm-start-token",
        metavar="TOKEN",
        help="What begins a text of --language-model, such as <|endoftext|>. Default: its "
        "tokenizer's mark, or what is known of the model.",
    ),
]
Sentences = Annotated[
    bool | None,
    typer.Option(
        "--lm-sentences/--no-lm-sentences",
        help="Whether --language-model reads captions as sentences: with a full stop, which is "
        "removed from what it generates. Default: no, or what is known of the model.",
    ),
]
Corpus = Annotated[
    str,
    typer.Option(
        help="Captions, one per line, or a JSON list; COCO's, Flickr's or CC3M's file; a table "
        "with a header; a Parquet or tar file of images with captions; hf:OWNER/DATASET:SPLIT; "
        "'coco2014-train' or -val; 'drawn-home' or 'drawn-away'."
    ),
]


CaptionerFile = Annotated[
    Path | None,
    typer.Option(
        help="Trained file for --method, from vizer train-captioner. Default on the drawn models: "
        "the shipped one, for capdec and decap with maccap's decoder."
    ),
]
FormerName = Annotated[Path | None, typer.Option(hidden=True)]


def captioner_file(captioner: Path | None, adaptor: Path | None) -> Path | None:
    """Return what --captioner names; --adaptor is what the option was called before."""
    if captioner is not None and adaptor is not None:
        raise typer.BadParameter("--adaptor is another name of --captioner: give one of them")
    return captioner if adaptor is None else adaptor


def with_command(training: str) -> str:
    """Say how a captioner file is made by command.

    >>> with_command("decap")[:55]
    'with vizer train-captioner --method decap --out FILE an'
    """
    return (
        f"with vizer train-captioner --method {training} --out FILE and the same --clip, "
        "--pretrained and --language-model"
    )


def require_captioner(method: str, captioner: Path | None, *, models: tuple[str, str]) -> None:
    """Raise before any model is loaded if there is no captioner file, or it is another method's."""
    trainings = METHODS[method].trainings
    how = f"train one {with_command(trainings[0])}"
    if captioner is None:
        if models != SHIPPED:
            raise ValueError(
                f"--method {method} with {' and '.join(models)} wants --captioner FILE: {how}"
            )
        return
    if not captioner.is_file():
        raise FileNotFoundError(f"no captioner file {captioner}: {how}")
    require_training(captioner, METHODS[method])
