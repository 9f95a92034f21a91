"""`vizer lab`: list and check the shipped models of the drawn world, or train them again.

The entry point `lab` of the group `vizer_core.commands` names `add_to`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vizer_lab.zoo.shipped_model import ShippedModel

EXAMPLES = ("vizer lab", "vizer lab --list", "vizer lab --only drawn-lm")


def add_to(app: typer.Typer) -> None:
    """Add the command `lab`, and the examples under its help, to the command line."""
    from vizer_core.cli.examples import EXAMPLES as BY_COMMAND

    BY_COMMAND["lab"] = EXAMPLES
    short = "Check the shipped models of the drawn world, or train them again."
    app.command(name="lab", short_help=short)(lab_command)


def listing(models: Iterable[ShippedModel], folder: Path | None = None) -> str:
    """Return a table of models: name, kind, size, minutes of training on a core, its files."""
    rows = [("name", "kind", "size", "training", "files")]
    for model in models:
        size, minutes = model.size(folder) / 1e6, model.cpu_seconds / 60
        found = model.fault(folder) or "as in the manifest"
        kind = model.kind.replace("_", " ")
        rows.append((model.name, kind, f"{size:.1f} MB", f"{minutes:.0f} min", found))
    return "\n".join(f"{a:<25} {b:<15} {c:>7} {d:>9}  {e}" for a, b, c, d, e in rows)


def lab_command(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Train the models again from nothing.")
    ] = False,
    list_: Annotated[
        bool,
        typer.Option("--list", help="Name, kind, size, cost and files of each; run none."),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="One model, such as drawn-lm; may be given several times."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the weights; default: the package's own.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; only for --rebuild.")] = "auto",
) -> None:
    """Check the drawn world and its shipped models, or train them again.

    A check draws 1,000 scenes and scores each model, three minutes in all: it fails when a score is
    not the one in the model's manifest. --list compares the files with their manifests and runs no
    model. --rebuild says its cost first; it can be stopped and started again. The VLMs are
    always trained on the CPU.
    """
    from vizer_core.cli.app import errors_as_exit_status, is_quiet, say

    with errors_as_exit_status():
        from vizer_core.runtime import pick_device
        from vizer_lab.zoo.registry import MODELS, shipped_model

        wanted = {shipped_model(name).name for name in only} if only else set(MODELS)
        models = [model for model in MODELS.values() if model.name in wanted]
        if list_:
            if rebuild:
                raise ValueError("--list trains nothing: give either it or --rebuild")
            typer.echo(listing(models, out))
            return
        if rebuild:
            place = str(pick_device(device))
            for model in models:
                say(model.cost, err=True)
            for model in models:
                model.build(folder=out, device=place, progress=not is_quiet())
        for model in models:
            scores = model.check(out)
            shown = "  ".join(f"{key} {value:.3f}" for key, value in scores.items())
            typer.echo(f"{model.name:<25} {shown}")
        say(f"{len(models)} models: every score is the one in its manifest", err=True)
