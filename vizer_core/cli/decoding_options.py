"""The options that say how a caption is generated, and the rule of decoding that they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vizer_core.decoding import Decoding, Style

Prompt = Annotated[
    str | None,
    typer.Option(
        help="What --model is asked (instruct models in their chat template), or how zerocap and "
        "magic begin. Default: their own, an adapter's that of its training."
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(min=1, help="Most tokens of a caption. Default: the method's."),
]
Beams = Annotated[int | None, typer.Option(min=1, help="Number of beams; 1: greedy.")]
Temperature = Annotated[
    float | None,
    typer.Option(min=0.0, help="Sample tokens at this temperature, seeded by --seed; 0: greedy."),
]
# as in `vizer_core.vizer.decoders`, repeated here so that the help needs no torch
DECODER_NAMES = (
    *("guidance", "consensus", "information", "diverse"),
    *("fused", "checked", "contrasted"),
)
BatchSize = Annotated[int, typer.Option(min=1, help="Images in one pass.")]


def decoding_of(
    default: Decoding,
    *,
    max_tokens: int | None = None,
    beams: int | None = None,
    temperature: float | None = None,
) -> Decoding:
    """Return the rule that the options mean; what is not given is as in `default`.

    --beams asks for beams (of 1: greedy), --temperature for drawing (at 0: greedy). Both at once
    end the command with status 2, unless one of them is greedy.
    """
    from vizer_core.decoding import decoding_with

    if (beams or 1) > 1 and (temperature or 0) > 0:
        raise typer.BadParameter(
            f"--beams {beams} keeps the likeliest words and --temperature {temperature:g} draws "
            "them: give one of the two"
        )
    return decoding_with(default, max_tokens=max_tokens, beams=beams, temperature=temperature)


def style_of(
    prompt: str | None, max_tokens: int | None, beams: int | None, temperature: float | None
) -> Style:
    """Return how captions are to be generated; end with status 2 where options exclude others."""
    from vizer_core.decoding import Greedy, Style

    decoding_of(Greedy(), beams=beams, temperature=temperature)
    return Style(prompt, max_tokens, beams, temperature)


def require_decoder(
    decoder: str | None,
    beams: int | None,
    temperature: float | None,
    first_word: list[str] | None,
) -> None:
    """End with status 2 on an unknown decoder, or options that it decides itself or cannot use."""
    from vizer_core import env

    if decoder is None:
        return
    if decoder not in DECODER_NAMES:
        raise typer.BadParameter(
            f"no decoder {decoder!r}: give --decoder one of {', '.join(DECODER_NAMES)}"
        )
    if beams is not None or temperature is not None:
        raise typer.BadParameter(
            f"--decoder {decoder} has its own beams and temperature: leave --beams and "
            "--temperature out"
        )
    if len(first_word or ()) > 1:
        raise typer.BadParameter(
            f"--decoder {decoder} begins every caption with one word: give --first-word once"
        )
    if int(env.WORLD_SIZE.get()) > 1:
        raise typer.BadParameter(f"--decoder {decoder} runs in one process: leave torchrun out")
