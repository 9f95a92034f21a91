"""The options that say how a caption is written, and the rule of decoding that they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vizer_core.decoding import Decoding

Prompt = Annotated[
    str | None,
    typer.Option(help="What --model is asked, or how zerocap begins. Default: their own."),
]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, help="At most so many tokens a caption. Default: the method's.")
]
Beams = Annotated[
    int | None, typer.Option(min=1, help="Keep so many beginnings; 1: greedy, the likeliest token.")
]
Temperature = Annotated[
    float | None,
    typer.Option(min=0.0, help="Draw each token at this temperature, by --seed; 0: greedy."),
]
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

    >>> from vizer_core.decoding import Beam, Greedy
    >>> decoding_of(Beam(4, max_tokens=16, length_penalty=0.5), max_tokens=8)
    Beam(width=4, max_tokens=8, length_penalty=0.5)
    >>> decoding_of(Greedy(), beams=3)
    Beam(width=3, max_tokens=24, length_penalty=1.0)
    >>> decoding_of(Beam(4), temperature=0.7)
    Sample(temperature=0.7, top_p=1.0, max_tokens=24)
    """
    from dataclasses import replace

    from vizer_core.decoding import Beam, Greedy, Sample

    limit = default.max_tokens if max_tokens is None else max_tokens
    wide, drawn = (beams or 1) > 1, (temperature or 0) > 0
    if wide and drawn:
        raise typer.BadParameter(
            f"--beams {beams} keeps the likeliest words and --temperature {temperature:g} draws "
            "them: give one of the two"
        )
    if wide:
        same = default if isinstance(default, Beam) else Beam()
        return replace(same, width=beams, max_tokens=limit)
    if drawn:
        same = default if isinstance(default, Sample) else Sample()
        return replace(same, temperature=temperature, max_tokens=limit)
    if beams is not None or temperature is not None:
        return Greedy(limit)
    return replace(default, max_tokens=limit)
