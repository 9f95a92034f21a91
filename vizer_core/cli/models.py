"""Which model, and which images, the options of the captioning commands mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vizer_core.cli.app import DTYPES, choice, errors_as_exit_status, say

if TYPE_CHECKING:
    from PIL import Image

    from vizer_core.data.image_set import ImageSet

DRAWN_LM = "drawn-lm"
PACKED = "or hf:OWNER/DATASET:SPLIT[:1000], a Parquet or tar file"


def vlm_of(model: str, device: str, dtype: str = "auto", **options: Any) -> Any:
    """Load a vision-language model: a shipped one by name, others by hub id or folder.

    `options` are the prompt and how a checkpoint reads images, as `models.load_vlm` takes them.
    """
    from vizer_core.models import load_vlm

    return load_vlm(model, device=device, dtype=choice("--dtype", dtype, DTYPES), **options)


def say_prompt(vlm: Any, model: str) -> None:
    """Say on stderr what a checkpoint is asked: captions depend on it. Shipped models have one."""
    from vizer_core.shipped import shipped_names

    if model not in shipped_names("vlm"):
        say(f"prompt: {vlm.default_prompt!r}", err=True)


def language_model_of(
    model: str,
    device: str,
    dtype: str = "auto",
    *,
    start_token: str | None = None,
    sentences: bool | None = None,
) -> Any:
    """Load a causal language model: a shipped one by name, others by hub id or folder.

    `start_token` and `sentences` say how its texts begin and end; None is what is known of it. Ends
    with status 2 where they are given for a shipped model, whose form is its own.
    """
    from vizer_core.models import UnusedSettingError, load_lm

    exact = choice("--dtype", dtype, DTYPES)
    form = None
    if start_token is not None or sentences is not None:
        from vizer_core.language.text_form import form_of

        form = form_of(model)
        if start_token is not None:
            form = replace(form, start_mark=start_token)
        if sentences is not None:
            form = replace(form, sentences=sentences)
    try:
        return load_lm(model, device=device, dtype=exact, form=form)
    except UnusedSettingError as error:
        names = ("--lm-start-token", "--lm-sentences")
        given = [name for name, value in zip(names, (start_token, sentences)) if value is not None]
        raise typer.BadParameter(
            f"{model} is shipped with its form of texts: leave {' and '.join(given)} out"
        ) from error


def folder_of(images: Any) -> Any:
    """Lay a packed source of images (`data.packed`) out as a folder; other paths stay as they are.

    A callback for an option or an argument, of one path or of several.
    """
    if images is None:
        return None
    if isinstance(images, list | tuple):
        return [folder_of(path) for path in images]
    with errors_as_exit_status(images):
        from vizer_core.data.packed import laid_out

        return laid_out(images)


def require_there(images: Path) -> None:
    """Raise `FileNotFoundError` if there is nothing at a path, before a model is loaded."""
    from vizer_core.data.image_set import require_there

    require_there(images)


def image_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the images at `paths` by name: a file's own, or its place in the folder given."""
    from vizer_core.data.image_set import image_files

    return image_files(paths)


def read_images(*paths: Path) -> tuple[list[str], Sequence[Image.Image]]:
    """Read images and folders of images; what is no whole image is named, counted and left out."""
    found = read_images_with_skipped(*paths)
    return list(found.names), found.images


def read_images_with_skipped(*paths: Path) -> ImageSet:
    """Do what `read_images` does, and keep what was left out."""
    from vizer_core.data.image_set import open_images

    found = open_images(image_files(paths), whose=", ".join(map(str, paths)))
    for line in found.skipped_lines():
        say(line, err=True)
    return found
