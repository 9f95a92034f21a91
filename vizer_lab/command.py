"""`vizer lab`: check the micro world and its models, or train them again.

The entry point `lab` of the group `vizer_core.commands` names `add_to`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

EXAMPLES = ("vizer lab", "vizer lab --only micro-lm")


@dataclass(frozen=True)
class Family:
    """Shipped models of one kind: their names, and how they are priced, built and checked."""

    names: tuple[str, ...]
    cost: Callable[[Sequence[str]], str]
    build: Callable[..., Any]
    check: Callable[[Sequence[str], Path], dict[str, dict[str, float]]]
    folder: Path


def families(device: str) -> list[Family]:
    """Return CLIPs, language model, VLMs, adaptors and a LoRA adapter, in building order."""
    from functools import partial

    from vizer_lab.zoo import adapters, captioner, lab, lm_lab, vlm_lab

    return [
        Family(
            tuple(lab.RECIPES),
            lab.build_cost,
            partial(lab.build_micro_clip_weights, device=device),
            lab.check_lab,
            lab.WEIGHTS,
        ),
        Family(
            tuple(lm_lab.LM_RECIPES),
            lm_lab.lm_build_cost,
            partial(lm_lab.build_micro_lm_weights, device=device),
            lm_lab.check_lms,
            lm_lab.WEIGHTS,
        ),
        Family(
            tuple(vlm_lab.VLM_RECIPES),
            vlm_lab.vlm_build_cost,
            vlm_lab.build_micro_vlm_weights,
            vlm_lab.check_vlm_lab,
            lab.WEIGHTS,
        ),
        Family(
            tuple(captioner.RECIPES),
            captioner.adaptor_build_cost,
            partial(captioner.build_micro_adaptor, device=device),
            captioner.check_micro_adaptors,
            captioner.WEIGHTS,
        ),
        Family(
            tuple(adapters.ADAPTER_RECIPES),
            adapters.adapter_cost,
            adapters.build_adapter,
            adapters.check_adapters,
            adapters.FOLDER,
        ),
    ]


def _checked(family: Family, names: Sequence[str], out: Path | None) -> dict[str, dict]:
    return family.check(names, out or family.folder) if names else {}


def add_to(app: typer.Typer) -> None:
    """Add the command `lab`, and the examples under its help, to the command line."""
    from vizer_core.cli.examples import EXAMPLES as BY_COMMAND

    BY_COMMAND["lab"] = EXAMPLES
    short = "Check the shipped micro models, or train them again."
    app.command(name="lab", short_help=short)(lab_command)


def lab_command(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Train the models again from nothing.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="One model, such as micro-lm; may be given several times."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the weights; default: the package's own.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; only for --rebuild.")] = "auto",
) -> None:
    """Check the micro world and its shipped models, or train them again.

    A check draws 1,000 scenes and scores each model, a minute in all: it fails when a score is not
    the one in the model's manifest. --rebuild says its cost first; it can be stopped and started
    again. The micro VLMs are always trained on the CPU.
    """
    from vizer_core.cli.app import errors_as_exit_status, is_quiet, say

    with errors_as_exit_status():
        from vizer_core.runtime import pick_device

        place = str(pick_device(device)) if rebuild else "cpu"
        kinds = families(place)
        known = [name for family in kinds for name in family.names]
        if unknown := sorted(set(only or ()) - set(known)):
            raise ValueError(f"no micro model {unknown[0]!r}: wanted one of {sorted(known)}")
        wanted = [(f, [n for n in f.names if not only or n in only]) for f in kinds]
        for family, names in wanted:
            if rebuild and names:
                say(family.cost(names), err=True)
                for name in names:
                    family.build(name, folder=out or family.folder, progress=not is_quiet())
        count = 0
        for family, names in wanted:
            for name, scores in _checked(family, names, out).items():
                shown = "  ".join(f"{key} {value:.3f}" for key, value in scores.items())
                typer.echo(f"{name:<21} {shown}")
                count += 1
        say(f"{count} models: every score is the one in its manifest", err=True)
