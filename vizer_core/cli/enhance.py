"""`vizer fit-mapper` and `vizer enhance`: ViZer's two phases on your model and your pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vizer_core.cli.app import Device, Dtype, Seed, app, choice, errors_as_exit_status, say
from vizer_core.cli.models import read_pictures, vlm_of
from vizer_core.cli.outlook import forecast

OBJECTIVES = ("read_back", "straight_through", "image_context")

Model = Annotated[str, typer.Option(help="Hub id, folder, micro-vlm or micro-vlm-hard.")]
Pictures = Annotated[Path, typer.Option("--images", help="A folder of images; no label is read.")]


def _fit(
    vlm: Any, source: Any, names: list[str], *, objective: str, seed: int, folder: Path
) -> Any:
    """Fit a mapper on the model's own captions: read as text, or in the context of their image.

    Captions and states go to `folder` shard by shard, so that a stopped command goes on from there.
    """
    from dataclasses import replace
    from hashlib import sha256

    from vizer_core.decoding import Greedy, Sample
    from vizer_core.runtime import seeded
    from vizer_core.vizer import (
        MapperConfig,
        fit_mapper,
        generated_states,
        read_back_states,
        shared_work,
    )
    from vizer_core.vizer.train_mapper import MAPPER_FIT

    count = len(names)
    if count < 20:
        raise ValueError(f"{count} pictures are too few to fit a mapper on: wanted at least 20")
    in_context = objective == "image_context"
    read, rule = (generated_states, Greedy()) if in_context else (read_back_states, Sample())
    job = {"vlm": vlm.fingerprint, "read": read.__name__,
           "pictures": sha256("\n".join(names).encode()).hexdigest()[:16]}  # fmt: skip
    found = shared_work.states_in_shards(
        lambda part, generator: read(vlm, part, decoding=rule, generator=generator),
        source, folder, job=job, rule=rule, seed=seed, size=shared_work.SHARD,
    )  # fmt: skip
    shape = MapperConfig(found.states.shape[1], found.image_features.shape[1], layer_norm=True)
    config = replace(MAPPER_FIT, held_out=max(2, min(500, count // 5)))
    features = found.image_features.to(vlm.device)
    return fit_mapper(
        found.states.to(vlm.device), features, shape=shape, config=config, generator=seeded(seed)
    )


def _remove(folder: Path, run: Path | None = None) -> None:
    """Delete the states, and the run, that a finished command leaves behind."""
    from shutil import rmtree

    from vizer_core.processes import is_main_process, wait_for_everyone

    wait_for_everyone()
    if is_main_process():
        rmtree(folder, ignore_errors=True)
        if run is not None:
            run.unlink(missing_ok=True)


def _say(fitted: Any) -> None:
    """Print the held-out cosine beside a constant answer's, and warn where it is no more."""
    if not fitted.history.held_out:
        return
    look = fitted.history.held_out[-1]
    say(
        f"mapper: held-out cosine {look.cosine:.3f}, a constant answer {look.constant_cosine:.3f} "
        f"({look.n} pictures)"
    )
    if look.cosine <= look.constant_cosine:
        say(
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
    dtype: Dtype = "auto",
    seed: Seed = 0,
) -> None:
    """Fit ViZer's mapper (phase 1) on a model's own captions of unlabelled pictures.

    The model captions every picture once and is not changed; the mapper itself is seconds. Prints
    its cosine on held-out pictures beside what a constant answer scores. A stopped run goes on
    when called again; under torchrun the pictures are shared out.
    """
    choice("--objective", objective, OBJECTIVES)
    with errors_as_exit_status():
        from vizer_core.processes import is_main_process
        from vizer_core.vizer import save_mapper
        from vizer_core.vizer.text_states import ImageSource

        vlm = vlm_of(model, device, dtype)
        names, pictures = read_pictures(images)
        folder = out.with_suffix(".states")
        fitted = _fit(
            vlm, ImageSource(vlm, pictures), names, objective=objective, seed=seed, folder=folder
        )
        if is_main_process():
            made_by = {"objective": objective, "pictures": len(pictures)}
            save_mapper(out, fitted, vlm, made_by=made_by)
        _remove(folder)
        _say(fitted)
        say(f"wrote {out}")


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
    images_per_step: Annotated[int, typer.Option(min=1, help="Over all processes.")] = 32,
    images_at_once: Annotated[
        int | None,
        typer.Option(min=1, help="Less memory: a step's gradient comes in so many images' parts."),
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Less memory, more time: gradient checkpointing.")
    ] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
) -> None:
    """Train a LoRA adapter on unlabelled pictures (ViZer phase 2), and say what it did.

    Needs the model and a folder of pictures. On the micro VLM 1,000 pictures take about a minute of
    a CPU core; SmolVLM wants a GPU. A stopped run goes on when called again. At the end it prints
    how many captions changed, how far the model moved, and warnings in words. Run it once more
    with --shuffle before you believe a gain. Under torchrun the pictures of each step are shared
    out, and the result is that of one process.
    """
    choice("--objective", objective, OBJECTIVES)
    with errors_as_exit_status():
        from vizer_core.processes import is_main_process
        from vizer_core.runtime import seeded
        from vizer_core.vizer import add_lora, load_mapper, save_adapter, shuffled
        from vizer_core.vizer.shared_work import share_captions
        from vizer_core.vizer.text_states import ImageSource

        vlm = vlm_of(model, device, dtype)
        vlm.recompute = recompute
        _require_memory(vlm, images_per_step, images_at_once, 4 if objective == "read_back" else 1)
        names, pictures = read_pictures(images)
        source, states = ImageSource(vlm, pictures), out / "states"
        fitted = (
            load_mapper(mapper, vlm)
            if mapper
            else _fit(vlm, source, names, objective=objective, seed=seed, folder=states)
        )
        _say(fitted)
        good, line = forecast(vlm, pictures, fitted, objective=objective, seed=seed)
        say(line, err=not good)
        looked_at = ImageSource(vlm, pictures[:200])
        before = share_captions(vlm, looked_at)
        add_lora(vlm, generator=seeded(seed))
        trained_on = shuffled(source, generator=seeded(seed + 1)) if shuffle else source
        state = out / "run.safetensors"
        curve, kl = _train(
            vlm, trained_on, fitted, (objective, learning_rate), (images_per_step, images_at_once),
            generator=seeded(seed), state=state,
        )  # fmt: skip
        if is_main_process():
            save_adapter(vlm, out, made_by={"objective": objective, "pictures": len(pictures),
                                            "shuffled": shuffle, "seed": seed})  # fmt: skip
        _remove(states, state)
        _report(before, share_captions(vlm, looked_at), (curve, kl), out)


def _report(
    before: Sequence[str], after: Sequence[str], run: tuple[Sequence[float], float], out: Path
) -> None:
    """Say what a run did to the captions, with its warnings."""
    from vizer_core.vizer.diagnostics import warnings_of
    from vizer_core.vizer.drift import measure_drift

    curve, kl = run
    drift = measure_drift(before, after, kl=kl)
    say(
        f"{drift.changed:.0%} of {drift.n} captions changed; length x {drift.longer:.2f}; "
        f"KL from the base {kl:.2f}; wrote {out}"
    )
    for warning in warnings_of((curve[0], curve[-1]), drift):
        say(f"warning: {warning}", err=True)


def _require_memory(vlm: Any, per_step: int, at_once: int | None, samples: int) -> None:
    """Say before anything is trained that a step will not fit, and what would."""
    from vizer_core.hub import free_bytes
    from vizer_core.processes import process_rank
    from vizer_core.vlm import StepPlan, size_of
    from vizer_core.vlm.memory import require_step_memory
    from vizer_core.vlm.sizes import SIZED

    free = free_bytes(vlm.device)
    if free is None or vlm.base.config.model_type not in SIZED:
        return
    here = -(-per_step // process_rank()[1])
    plan = StepPlan(
        batch=min(here, at_once or here),
        samples=samples,
        checkpointing=vlm.recompute,
        model_bytes=next(vlm.base.parameters()).element_size(),
    )
    require_step_memory(size_of(vlm.base.config), plan, free)


def _train(
    vlm: Any, source: Any, fitted: Any, how: tuple[str, float], images: tuple[int, int | None],
    *, generator: Any, state: Path,
) -> tuple[list[float], float]:  # fmt: skip
    """Run phase 2; return the losses (1 - reward where there is one) and the last KL."""
    from dataclasses import replace

    from vizer_core.vizer import ImageContext, StraightThrough, train_zero_label
    from vizer_core.vizer.rewards import ReadBackReward
    from vizer_core.vizer.train_rl import RlConfig, train_rl
    from vizer_core.vizer.train_zero_label import VIZER_MICRO

    (objective, rate), (per_step, at_once) = how, images
    sizes = {"learning_rate": rate, "images_per_step": per_step, "images_at_once": at_once}
    if objective == "read_back":
        history = train_rl(
            vlm, source, ReadBackReward(vlm, fitted), RlConfig(**sizes),
            generator=generator, checkpoint=state, progress=True,
        )  # fmt: skip
        return [1 - reward for reward in history.reward], history.kl[-1]
    reading = ImageContext if objective == "image_context" else StraightThrough
    config = replace(VIZER_MICRO, **sizes)
    history = train_zero_label(
        vlm, source, config, objective=reading(fitted), generator=generator, checkpoint=state,
        progress=True,
    )  # fmt: skip
    measured = [value for value in history.kl if value is not None]
    return history.loss, measured[-1]
