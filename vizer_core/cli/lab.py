"""`vizer lab`: check the micro world and its models, or train them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from vizer_core.cli.app import app, errors_as_exit_status, is_quiet, say


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

    from vizer_core.captioners import micro_adaptor
    from vizer_core.micro import lab, lm_lab, vlm_lab
    from vizer_core.vizer import shipped

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
            tuple(micro_adaptor.RECIPES),
            micro_adaptor.adaptor_build_cost,
            partial(micro_adaptor.build_micro_adaptor, device=device),
            micro_adaptor.check_micro_adaptors,
            micro_adaptor.WEIGHTS,
        ),
        Family(
            tuple(shipped.ADAPTER_RECIPES),
            shipped.adapter_cost,
            shipped.build_adapter,
            shipped.check_adapters,
            shipped.FOLDER,
        ),
    ]


def _checked(family: Family, names: Sequence[str], out: Path | None) -> dict[str, dict]:
    return family.check(names, out or family.folder) if names else {}


@app.command(name="lab", short_help="Check the shipped micro models, or train them again.")
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
