"""`vizer lab`: check the micro world and its models, or train them again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vizer_core.cli.app import app, errors_as_exit_status


@app.command(name="lab")
def lab_command(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Train the models again from nothing.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="One model; may be given several times.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the weights; default: the package's own.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; only for --rebuild.")] = "auto",
) -> None:
    """Check the micro world and its shipped models, or train them again.

    A check draws 1,000 scenes and scores each model in seconds: it fails when a score is not the
    one in the model's manifest. --rebuild says its cost first; it can be stopped and started again.
    """
    with errors_as_exit_status():
        from vizer_core.micro import lab
        from vizer_core.runtime import pick_device

        folder, names = out or lab.WEIGHTS, only or list(lab.RECIPES)
        for name in names:
            lab.weights_path(name)  # an unknown name stops here, before any work
        if rebuild:
            place = str(pick_device(device))
            typer.echo(lab.build_cost(names), err=True)
            for name in names:
                lab.build_micro_clip_weights(name, folder=folder, device=place, progress=True)
        for name, scores in lab.check_lab(names, folder).items():
            shown = "  ".join(f"{key} {value:.3f}" for key, value in scores.items())
            typer.echo(f"{name:<16} {shown}")
