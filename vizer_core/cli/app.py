"""What every command shares: the application, its logging, its errors, common options."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The modality gap, text-only captioning and zero-label caption training.\n\n"
    "Nothing is downloaded for the micro models. Start with: vizer lab, which checks them in a "
    "minute, and vizer caption PICTURES --method maccap. Every command has a --help of its own.",
)


@app.callback()
def main(
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say more, and show tracebacks.")
    ] = False,
) -> None:
    """Set up logging to stderr; stdout is for results."""
    logging.basicConfig(
        format="%(levelname)s: %(message)s", level=logging.INFO if verbose else logging.WARNING
    )


@contextmanager
def errors_as_exit_status() -> Iterator[None]:
    """Turn the package's own errors into one line on stderr and exit status 1.

    A closed pipe, as in `vizer caption FOLDER --method clipre | head -3`, ends the command without
    a word: whoever closed it has what they wanted.
    """
    try:
        yield
    except BrokenPipeError as error:
        # what is still buffered goes nowhere, else Python complains of it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from error
    except Exception as error:
        if not _is_answer(error) or logging.getLogger().isEnabledFor(logging.INFO):
            raise
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(1) from error


def _is_answer(error: Exception) -> bool:
    """Say whether an error speaks of the input, and not of a fault in the code."""
    kinds: tuple[type[Exception], ...] = (ValueError, OSError, ImportError, RuntimeError)
    if "safetensors" in sys.modules:  # its error is none of these
        kinds += (sys.modules["safetensors"].SafetensorError,)
    return isinstance(error, kinds)


def keep_inputs(out: Path | None, option: str, *inputs: Path | str | None) -> None:
    """End with status 2 if an output would replace one of the files that the command reads.

    The manifest beside a `.safetensors` input is read too.
    """
    if out is None:
        return
    read = [Path(given) for given in inputs if given is not None]
    read += [path.with_suffix(".json") for path in read if path.suffix == ".safetensors"]
    for path in read:
        if path.exists() and path.resolve() == out.resolve():
            raise typer.BadParameter(f"{option} {out} is read by this command: name another file")


def keep_manifest(out: Path | None) -> None:
    """End with status 2 if a JSON output would replace the manifest of a tensor file."""
    is_json = out is not None and out.suffix == ".json" and out.exists()
    if is_json and out.with_suffix(".safetensors").exists():
        raise typer.BadParameter(
            f"{out} is the manifest of {out.with_suffix('.safetensors').name}: name another file"
        )


def say(text: str, *, err: bool = False) -> None:
    """Print a line; of several processes, the first one does."""
    from vizer_core.processes import is_main_process

    if is_main_process():
        typer.echo(text, err=err)


def file_to_write(path: Path | None) -> Path | None:
    """Return a path that a file can be written to, or end with status 2 before any work is done."""
    if path is not None:
        if path.is_dir():
            raise typer.BadParameter(f"{path} is a folder: wanted the name of a file")
        _require_place(path)
        keep_manifest(path)
    return path


def new_file(path: Path) -> Path:
    """Return a path where nothing is yet: what took hours is not written over."""
    file_to_write(path)
    if path.suffix == ".json":
        raise typer.BadParameter(f"{path} would be its own manifest: end its name in .safetensors")
    for file in (path, path.with_suffix(".json")):  # the second is its manifest
        if file.exists():
            raise typer.BadParameter(
                f"{file} is there already: name another file, or delete it first"
            )
    return path


def new_adapter_folder(path: Path) -> Path:
    """Return a folder to write an adapter to: one without an adapter, or one that can be made."""
    if path.exists() and not path.is_dir():
        raise typer.BadParameter(f"{path} is a file: wanted a folder")
    if (path / "adapter_config.json").exists():
        raise typer.BadParameter(
            f"{path} holds an adapter already: name another folder, or delete it first"
        )
    _require_place(path)
    return path


def _require_place(path: Path) -> None:
    """End with status 2 unless the nearest folder above `path` that exists can be written to."""
    above = next(place for place in path.absolute().parents if place.exists())
    if not above.is_dir():
        raise typer.BadParameter(f"{path} cannot be written: {above} is a file, no folder")
    if not os.access(above, os.W_OK):
        raise typer.BadParameter(f"{path} cannot be written: no right to write in {above}")


JsonOut = Annotated[
    Path | None,
    typer.Option("--json", callback=file_to_write, help="Also write the result here."),
]
Resamples = Annotated[int, typer.Option(min=1, help="Bootstrap resamples of the images.")]
Seed = Annotated[int, typer.Option(help="Seed of every random draw.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Dtype = Annotated[
    str,
    typer.Option(
        help="Precision of the model's weights: auto, float32, bfloat16, or float16 (a T4's)."
    ),
]


def _tracker(name: str | None) -> str | None:
    """Return the name of a tracker that can be used, or end with status 2."""
    if name is not None:
        from vizer_core.tracking import require_tracker

        try:
            require_tracker(name)
        except (ValueError, ImportError) as error:
            raise typer.BadParameter(str(error)) from error
    return name


ReportTo = Annotated[
    str | None,
    typer.Option(
        callback=_tracker,
        help="Also give the finished run to a tracker that Accelerate knows: trackio, wandb, "
        "tensorboard, ... Its package must be installed. Default: none.",
    ),
]
DTYPES = ("auto", "float32", "bfloat16", "float16")


def choice(option: str, given: str, choices: tuple[str, ...]) -> str:
    """Return `given`, or end with status 2 and name the choices."""
    if given not in choices:
        raise typer.BadParameter(f"{option} {given!r}: choose from {', '.join(choices)}")
    return given
