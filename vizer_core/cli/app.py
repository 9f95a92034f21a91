"""What every command shares: the application, its logging, its errors, common options."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vizer_core import env

ROOT_OPTIONS = ("--verbose", "--debug", "--quiet", "--version")
RENAMED = {("enhance", "--images-at-once"): "--micro-batch-size"}  # by command, what was before


class RootOptionsAnywhere(TyperGroup):
    """Takes the options of `vizer` itself behind the name of a command too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move them to the front; what comes after `--` is no option. Name what was renamed."""
        end = args.index("--") if "--" in args else len(args)
        for (command, former), name in RENAMED.items():
            if command in args[:end] and former in {word.partition("=")[0] for word in args[:end]}:
                raise typer.BadParameter(f"vizer {command} {former} is called {name} now")
        own = [word for word in args[:end] if word in ROOT_OPTIONS]
        others = [word for word in args[:end] if word not in ROOT_OPTIONS]
        return super().parse_args(ctx, own + others + args[end:])


app = typer.Typer(
    cls=RootOptionsAnywhere,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The modality gap, text-only captioning and zero-label caption training.\n\n"
    "Nothing is downloaded for the drawn models. Start with: vizer lab, which checks them in "
    "three minutes, and vizer caption IMAGES --method maccap. Every command "
    "has a --help of its own.",
)
ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "vizer.json")
_QUIET = ContextVar("quiet", default=False)  # set anew by each command line
_TRACEBACKS = ContextVar("tracebacks", default=False)


def _show_version(asked: bool) -> bool:
    """Print the version and end, before a command is looked for."""
    if asked:
        import vizer_core

        with errors_as_exit_status():
            typer.echo(f"vizer {vizer_core.__version__}")
        raise typer.Exit
    return asked


@app.callback()
def main(
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say more, and show tracebacks.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, not one line.")
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", help="Say nothing on stderr but errors: no warnings, no progress."),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Set up logging to stderr; stdout is for results."""
    if verbose and quiet:
        raise typer.BadParameter("--quiet says less and --verbose says more: give one of them")
    level = logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(format="%(levelname)s: %(message)s", level=level)
    _QUIET.set(quiet)
    _TRACEBACKS.set(debug or verbose)
    if quiet:  # read by what draws progress bars, none of which is imported yet
        for variable in env.NO_PROGRESS:
            variable.set("1")


def is_quiet() -> bool:
    """Say whether this command line was given --quiet: then no progress is shown."""
    return _QUIET.get()


@contextmanager
def errors_as_exit_status(*read: Path | str | None, goes_on: bool = True) -> Iterator[None]:
    """Turn errors that speak of the input into one line on stderr and exit status 1.

    `read` are the models and files that the command reads: where one is broken, it is named.
    `goes_on` says whether the command saves its work on the way: that is told on a full disk.
    `vizer --debug` shows the traceback instead. A closed pipe, as in `vizer caption FOLDER --method
    clipre | head -3`, ends the command without a word: whoever closed it has what they wanted.
    """
    try:
        yield
    except BrokenPipeError as error:
        # what is still buffered goes nowhere, else Python complains of it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        from vizer_core.run_folder import Stopped

        if not isinstance(error, Stopped) or _TRACEBACKS.get():
            raise
        say(str(error), err=True)
        raise typer.Exit(130) from error
    except Exception as error:
        from vizer_core.cli.answers import answer_to

        said = answer_to(error, read, goes_on=goes_on)
        if said is None or _TRACEBACKS.get():
            raise
        typer.echo(f"error: {said}", err=True)
        raise typer.Exit(1) from error


def keep_inputs(
    out: Path | None, option: str, *inputs: Path | str | None, images: Sequence[Path] = ()
) -> None:
    """End with status 2 if an output would replace a file that the command reads.

    So are the manifest beside an input, all that lies in a model's folder, and the images in a
    folder of `images`. --overwrite changes none of this.
    """
    if out is None or not out.exists():
        return
    from vizer_core.data.images import IMAGE_SUFFIXES
    from vizer_core.files import find_manifest

    read = [Path(given) for given in (*inputs, *images) if given is not None]
    read += [beside for path in read if path.is_file() and (beside := find_manifest(path))]
    is_image = out.suffix.lower() in IMAGE_SUFFIXES
    for path in read:
        inside = path.is_dir() and path.resolve() in out.resolve().parents
        if path.resolve() == out.resolve() or (inside and (is_image or path not in images)):
            raise typer.BadParameter(f"{option} {out} is read by this command: name another file")


def keep_apart(images: Path, folder: Path) -> None:
    """End with status 2 if the images lie in a folder that the command writes to."""
    if folder.resolve() in (images.resolve(), *images.resolve().parents):
        raise typer.BadParameter(
            f"--images {images} lies in {folder}, where this command writes: name another --out"
        )


def keep_folders(out: Path, *read: Path | str) -> None:
    """End with status 2 if a folder to write to is, or lies in, one that the command reads."""
    for folder in map(Path, read):
        if folder.is_dir() and folder.resolve() in (out.resolve(), *out.resolve().parents):
            raise typer.BadParameter(
                f"--out {out} lies in {folder}, which this command reads: name another folder"
            )


def keep_manifest(out: Path | None) -> None:
    """End with status 2 if an output would replace the manifest of a tensor file."""
    from vizer_core.files import is_manifest, manifest_path

    if out is None or out.suffix != ".json":
        return
    named = out.with_name(out.name.removesuffix(".json"))
    former = out.with_suffix(".safetensors")
    is_former = out.exists() and former.is_file() and not manifest_path(former).exists()
    for tensors, is_its in (
        (named, named.suffix == ".safetensors" or is_manifest(out)),
        (former, is_former),
    ):
        if is_its and tensors.is_file():
            raise typer.BadParameter(f"{out} is the manifest of {tensors.name}: name another file")


def say(text: str, *, err: bool = False) -> None:
    """Print a line; of several processes, the first one does. --quiet keeps remarks off stderr."""
    from vizer_core.distributed import is_main_process

    if is_main_process() and not (err and is_quiet()):
        typer.echo(text, err=err)


def show_and_write(text: str, out: Path | None, content: Any) -> None:
    """Print a result, then write it as JSON where that was asked for; the first process does.

    A full disk costs no result that was computed, and a closed pipe no file.
    """
    from vizer_core.distributed import is_main_process
    from vizer_core.files import write_json

    try:
        say(text)
    finally:
        if out is not None and is_main_process():
            write_json(out, content)


def file_to_write(context: Any, path: Path | None) -> Path | None:
    """Return a path that a file can be written to, or end with status 2 before any work is done.

    What is there already is only replaced with --overwrite, and a manifest never is.
    """
    if path is not None:
        if path.is_dir():
            raise typer.BadParameter(f"{path} is a folder: wanted the name of a file")
        if path.exists() and not path.is_file():
            raise typer.BadParameter(f"{path} is a device or a pipe: wanted the name of a file")
        _require_place(path)
        keep_manifest(path)
        _require_new(context, path)
    return path


def new_file(context: Any, path: Path) -> Path:
    """Return the path of a tensor file to write, as `file_to_write` does for JSON."""
    from vizer_core.files import manifest_path

    if path.suffix == ".json":
        raise typer.BadParameter(f"{path} is to contain tensors, not JSON: end it in .safetensors")
    file_to_write(context, path)
    _require_new(context, manifest_path(path))
    return path


def _require_new(context: Any, path: Path) -> None:
    """End with status 2 if there is something at `path` and --overwrite was not given."""
    if path.exists() and not context.params.get("overwrite"):
        asked = any(option.name == "overwrite" for option in context.command.params)
        more = ", or give --overwrite" if asked else ""
        raise typer.BadParameter(
            f"{path} is there already: name another file, or delete it first{more}"
        )


def new_adapter_folder(path: Path) -> Path:
    """Return a folder to write an adapter to: one that can be made, or one without an adapter.

    An adapter beside the run that was writing it is no adapter yet: the command goes on.
    """
    from vizer_core.run_folder import JOB, RUN, is_unfinished

    if path.exists() and not path.is_dir():
        raise typer.BadParameter(f"{path} is a file: wanted a folder")
    if path.is_symlink() and not path.exists():
        raise typer.BadParameter(f"{path} is a link to nothing: wanted a folder")
    if (path / "config.json").exists():
        raise typer.BadParameter(
            f"{path} contains a model (config.json): name another folder, for an adapter's files "
            "would make another model of it"
        )
    written = [path / name for name in ADAPTER if (path / name).exists()]
    if written and not is_unfinished(path / RUN / JOB):
        named = ", ".join(file.name for file in written)
        raise typer.BadParameter(
            f"{path} contains an adapter already: name another folder, or delete its files first "
            f"({named})"
        )
    _require_place(path)
    return path


def _require_place(path: Path) -> None:
    """End with status 2 unless the nearest folder above `path` that exists can be written to.

    Links are followed: what they lead to is written, and that folder must be there.
    """
    link = next((p for p in (path, *path.parents) if p.is_symlink() and not p.exists()), None)
    if link is not None:
        target = Path(os.path.realpath(link))
        if target.is_symlink():
            raise typer.BadParameter(f"{path} cannot be written: {link} is a link to itself")
        if link != path or not target.parent.is_dir():
            gone = target if link != path else target.parent
            raise typer.BadParameter(
                f"{path} cannot be written: {link} is a link to {target}, and no folder {gone} is "
                "there: make it first"
            )
    path = Path(os.path.realpath(path))
    above = next(place for place in path.parents if place.exists())
    if not above.is_dir():
        raise typer.BadParameter(f"{path} cannot be written: {above} is a file, no folder")
    if not os.access(above, os.W_OK):
        raise typer.BadParameter(f"{path} cannot be written: no right to write in {above}")


JsonOut = Annotated[
    Path | None,
    typer.Option("--json", callback=file_to_write, help="Also write the result here."),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", is_eager=True, help="Replace the output if it is there already."),
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
