"""`vizer fit-mapper` and `vizer enhance`: ViZer's two phases on your model and your pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vizer_core.cli.app import Device, Seed, app, choice, errors_as_exit_status
from vizer_core.cli.models import read_pictures, vlm_of
from vizer_core.cli.outlook import forecast

OBJECTIVES = ("read_back", "straight_through", "image_context")

Model = Annotated[str, typer.Option(help="Hub id, folder, micro-vlm or micro-vlm-hard.")]
Pictures = Annotated[Path, typer.Option("--images", help="A folder of images; no label is read.")]


def _fit(vlm: Any, source: Any, objective: str, seed: int) -> Any:
    """Fit a mapper on the model's own captions: read as text, or in the context of their image."""
    from dataclasses import replace

    from vizer_core.runtime import seeded
    from vizer_core.vizer import MapperConfig, fit_mapper, generated_states, read_back_states
    from vizer_core.vizer.train_mapper import MAPPER_FIT

    if objective == "image_context":
        found = generated_states(vlm, source, progress=True)
    else:
        found = read_back_states(vlm, source, generator=seeded(seed), progress=True)
    count = len(found)
    if count < 20:
        raise ValueError(f"{count} pictures are too few to fit a mapper on: wanted at least 20")
    shape = MapperConfig(found.states.shape[1], found.image_features.shape[1], layer_norm=True)
    config = replace(MAPPER_FIT, held_out=max(2, min(500, count // 5)))
    return fit_mapper(
        found.states, found.image_features, shape=shape, config=config, generator=seeded(seed)
    )


def _say(fitted: Any) -> None:
    """Print the held-out cosine beside a constant answer's, and warn where it is no more."""
    look = fitted.history.held_out[-1]
    typer.echo(
        f"mapper: held-out cosine {look.cosine:.3f}, a constant answer {look.constant_cosine:.3f} "
        f"({look.n} pictures)"
    )
    if look.cosine <= look.constant_cosine:
        typer.echo(
            "warning: on pictures it has not seen, the mapper does no better than a constant: its "
            "targets may teach nothing. Give more pictures (the micro VLM wants 8,000 or so).",
            err=True,
        )


@app.command(name="fit-mapper")
def fit_mapper_command(
    images: Pictures,
    out: Annotated[Path, typer.Option(help="Where the mapper goes: a .safetensors file.")],
    model: Model = "micro-vlm",
    objective: Annotated[
        str, typer.Option(help=f"What the mapper is for: {', '.join(OBJECTIVES)}.")
    ] = "read_back",
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Fit ViZer's mapper (phase 1) on a model's own captions of unlabelled pictures.

    The model captions every picture once and is not changed; the mapper itself is seconds. Prints
    its cosine on held-out pictures beside what a constant answer scores.
    """
    choice("--objective", objective, OBJECTIVES)
    with errors_as_exit_status():
        from vizer_core.vizer import save_mapper
        from vizer_core.vizer.text_states import ImageSource

        vlm = vlm_of(model, device)
        _, pictures = read_pictures(images)
        fitted = _fit(vlm, ImageSource(vlm, pictures), objective, seed)
        save_mapper(out, fitted, vlm, made_by={"objective": objective, "pictures": len(pictures)})
        _say(fitted)
        typer.echo(f"wrote {out}")


@app.command(name="enhance")
def enhance_command(
    images: Pictures,
    out: Annotated[Path, typer.Option(help="Folder for the LoRA adapter.")],
    model: Model = "micro-vlm",
    mapper: Annotated[
        Path | None, typer.Option(help="From vizer fit-mapper; else fitted on the same pictures.")
    ] = None,
    objective: Annotated[
        str,
        typer.Option(
            help="read_back: reward of the words alone (default); image_context: the paper's loss."
        ),
    ] = "read_back",
    learning_rate: Annotated[float, typer.Option(min=0.0)] = 2e-4,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="The control: each picture gets another's target.")
    ] = False,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Train a LoRA adapter on unlabelled pictures (ViZer phase 2), and say what it did.

    Needs the model and a folder of pictures. On the micro VLM 1,000 pictures take about a minute of
    a CPU core; SmolVLM wants a GPU. A stopped run goes on when called again. At the end it prints
    how many captions changed, how far the model moved, and warnings in words. Run it once more
    with --shuffle before you believe a gain.
    """
    choice("--objective", objective, OBJECTIVES)
    with errors_as_exit_status():
        from vizer_core.runtime import seeded
        from vizer_core.vizer import add_lora, load_mapper, save_adapter, shuffled
        from vizer_core.vizer.diagnostics import warnings_of
        from vizer_core.vizer.drift import measure_drift
        from vizer_core.vizer.text_states import ImageSource
        from vizer_core.vizer.write_captions import write_captions

        vlm = vlm_of(model, device)
        _, pictures = read_pictures(images)
        source = ImageSource(vlm, pictures)
        fitted = load_mapper(mapper, vlm) if mapper else _fit(vlm, source, objective, seed)
        if fitted.history.held_out:
            _say(fitted)
        good, line = forecast(vlm, pictures, fitted, objective=objective, seed=seed)
        typer.echo(line, err=not good)
        looked_at = ImageSource(vlm, pictures[:200])
        before = write_captions(vlm, looked_at)
        add_lora(vlm, generator=seeded(seed))
        trained_on = shuffled(source, generator=seeded(seed + 1)) if shuffle else source
        state = out / "run.safetensors"
        curve, kl = _train(
            vlm, trained_on, fitted, (objective, learning_rate), generator=seeded(seed), state=state
        )
        save_adapter(vlm, out, made_by={"objective": objective, "pictures": len(pictures),
                                        "shuffled": shuffle, "seed": seed})  # fmt: skip
        for leftover in (state, state.with_suffix(".json")):
            leftover.unlink(missing_ok=True)
        drift = measure_drift(before, write_captions(vlm, looked_at), kl=kl)
        typer.echo(
            f"{drift.changed:.0%} of {drift.n} captions changed; length x {drift.longer:.2f}; "
            f"KL from the base {kl:.2f}; wrote {out}"
        )
        for warning in warnings_of((curve[0], curve[-1]), drift):
            typer.echo(f"warning: {warning}", err=True)


def _train(
    vlm: Any, source: Any, fitted: Any, how: tuple[str, float], *, generator: Any, state: Path
) -> tuple[list[float], float]:
    """Run phase 2; return the losses (1 - reward where there is one) and the last KL."""
    from dataclasses import replace

    from vizer_core.vizer import ImageContext, StraightThrough, train_zero_label
    from vizer_core.vizer.rewards import ReadBackReward
    from vizer_core.vizer.train_rl import RlConfig, train_rl
    from vizer_core.vizer.train_zero_label import VIZER_MICRO

    objective, rate = how
    if objective == "read_back":
        history = train_rl(
            vlm, source, ReadBackReward(vlm, fitted), RlConfig(learning_rate=rate),
            generator=generator, checkpoint=state, progress=True,
        )  # fmt: skip
        return [1 - reward for reward in history.reward], history.kl[-1]
    reading = ImageContext if objective == "image_context" else StraightThrough
    config = replace(VIZER_MICRO, learning_rate=rate)
    history = train_zero_label(
        vlm, source, config, objective=reading(fitted), generator=generator, checkpoint=state,
        progress=True,
    )  # fmt: skip
    measured = [value for value in history.kl if value is not None]
    return history.loss, measured[-1]
