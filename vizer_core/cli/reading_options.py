"""How a checkpoint is read: the options that `caption`, `fit-mapper`, `enhance`, `improve` share.

What is not given is None. An adapter remembers how its model was read while it was trained, and is
captioned with in the same way, unless an option says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

ImageSplitting = Annotated[
    bool | None,
    typer.Option(
        "--image-splitting/--no-image-splitting",
        help="SmolVLM reads tiles of the image too: finer detail, 13 to 17 times the image tokens. "
        "Default: none, or as the adapter was trained.",
        show_default=False,
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Qwen2-VL shrinks images to this. Default: 448 x 448, or as the adapter was trained.",
    ),
]
FourBit = Annotated[
    bool | None,
    typer.Option(
        "--four-bit/--no-four-bit",
        help="Keep the language model's layers in four bits (QLoRA): a quarter of their memory, "
        "slower. Wants bitsandbytes. Default: whole, or as the adapter was trained.",
        show_default=False,
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Launch a token's work at once: on a GPU a CUDA graph, elsewhere torch.compile, which "
        "wants a C++ compiler. Same captions but for rounding; not yet measured on a GPU.",
    ),
]
NAMES = ("image_splitting", "max_pixels", "four_bit", "compile")


def reading_of(
    image_splitting: bool | None, max_pixels: int | None, four_bit: bool | None
) -> dict[str, Any]:
    """Return what was given, as `load_vlm` takes it.

    >>> reading_of(False, None, None)
    {'image_splitting': False}
    """
    asked = {"image_splitting": image_splitting, "max_pixels": max_pixels, "four_bit": four_bit}
    return {name: value for name, value in asked.items() if value is not None}
