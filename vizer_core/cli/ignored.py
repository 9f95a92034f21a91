"""Options that `vizer caption` would ignore: refused, since one letter can change a result.

What counts is that an option was given, not its value: --corpus drawn-home is what the option is
without a word, and yet whoever writes it beside a method without a memory believes that it is used.

A few are remarked on and not refused: --seed where nothing is drawn, and what people give alike to
training and to every zero-shot method, --corpus, --language-model and --dtype. A method that has no
use for these writes what its name and its other options promise. Beside --model they are refused:
the captions would seem to be of something that they are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from vizer_core.captioners.registry import METHODS
from vizer_core.cli.app import say
from vizer_core.cli.reading_options import NAMES as READING

DECODING = {"prompt", "max_tokens", "beams", "temperature"}
OF_VLM = {"views", "first_word", "decoder", *READING}
# options that not every way of captioning uses; --adaptor is what --captioner was called before
OF_LM = ("language_model", "lm_start_token", "lm_sentences", "dtype")
ALIKE = ("corpus", *OF_LM)  # a remark, where another method uses them
PARTIAL = {
    *("adapter", "captioner", "clip", "pretrained", "quick_gelu", "corpus", "memory"),
    *OF_LM,
    *DECODING,
    *OF_VLM,
}


def used_by(method: str | None) -> set[str]:
    """Return which of the options in `PARTIAL` a method uses; of None, what --model does.

    >>> sorted(used_by(None) - DECODING - set(READING))
    ['adapter', 'decoder', 'dtype', 'first_word', 'views']
    >>> sorted(used_by("clipre"))
    ['clip', 'corpus', 'memory', 'pretrained', 'quick_gelu']
    """
    if method is None:
        return {"adapter", "dtype"} | DECODING | OF_VLM
    row = METHODS[method]
    used = {"clip", "pretrained", "quick_gelu", *row.style}
    if row.language_model:
        used |= set(OF_LM)
    if row.trainings:
        used.add("captioner")
    if row.memory:
        used |= {"corpus", "memory"}
    return used


def given_options() -> dict[str, Any]:
    """Return the options of the running command line that were given, whatever their values are."""
    try:
        from typer._click.globals import get_current_context  # newer ones bring their own click
    except ImportError:
        from click import get_current_context

    context = get_current_context()
    given = ("COMMANDLINE", "ENVIRONMENT", "PROMPT")
    return {
        name: value
        for name, value in context.params.items()
        if getattr(context.get_parameter_source(name), "name", None) in given
    }


def refuse_unused(method: str | None, given: Mapping[str, Any]) -> None:
    """End with status 2 where an option was given that the chosen way of captioning ignores.

    A seed where nothing is drawn, and `ALIKE` among the zero-shot methods, are remarked on instead.
    """
    given = dict(given)
    if "adaptor" in given:
        given["captioner"] = given.pop("adaptor")
    way = "--model" if method is None else f"--method {method}"
    for name in given:
        if name not in PARTIAL - used_by(method):
            continue
        users = ", ".join(other for other in METHODS if name in used_by(other))
        whose = f"--method {users}" if users else "--model"
        if users and name in used_by(None):
            whose += ", and to --model"
        said = f"--{name.replace('_', '-')} is not used by {way}, it belongs to {whose}"
        if method is None or name not in ALIKE:
            raise typer.BadParameter(f"{said}: leave it out")
        say(said, err=True)
    drawn = method is not None and METHODS[method].draws
    drawn |= "decoder" in given  # most of them draw captions
    if "seed" in given and not drawn and not given.get("temperature"):
        more = " without --temperature" if "temperature" in used_by(method) else ""
        say(f"--seed {given['seed']} changes nothing: {way}{more} draws nothing", err=True)
