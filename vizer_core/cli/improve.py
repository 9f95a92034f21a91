"""`vizer improve`: what unlabelled images buy, tried, measured and told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vizer_core.cli.app import (
    Device,
    Dtype,
    ReportTo,
    Seed,
    app,
    choice,
    errors_as_exit_status,
    keep_apart,
    keep_folders,
    new_adapter_folder,
    say,
)
from vizer_core.cli.models import PACKED, folder_of, require_there, vlm_of
from vizer_core.cli.named_images import NamedImages, require_readable
from vizer_core.cli.reading_options import (
    Compile,
    FourBit,
    ImageSplitting,
    MaxPixels,
    reading_of,
)
from vizer_core.cli.step_memory import require_memory
from vizer_core.run_folder import JOB, RUN, is_unfinished, require_ours
from vizer_core.shipped import shipped_names

TRAIN = ("auto", "always", "never")  # of improvement.job, which a test compares
REPORT = "report.json"


def new_report_folder(path: Path) -> Path:
    """Return a folder for an adapter and a report: one without either, or a stopped run."""
    path = new_adapter_folder(path)
    if (path / REPORT).exists() and not is_unfinished(path / RUN / JOB):
        raise typer.BadParameter(
            f"{path} contains a report already: name another folder, or delete its files first "
            f"({REPORT})"
        )
    return path


@app.command(name="improve", short_help="What a folder of images can do for captions.")
def improve_command(
    images: Annotated[
        Path,
        typer.Argument(callback=folder_of, help=f"A folder of images; no label is read; {PACKED}."),
    ],
    out: Annotated[
        Path,
        typer.Option(callback=new_report_folder, help="Folder for the report and the adapter."),
    ],
    model: Annotated[
        str, typer.Option(help="Hub id, folder, or a shipped VLM (vizer lab --list).")
    ] = "drawn-vlm-web",
    train: Annotated[
        str,
        typer.Option(help="auto: only where training is expected to add something; always; never."),
    ] = "auto",
    views: Annotated[
        int, typer.Option(min=1, max=5, help="Views of an image that are averaged; 1: none.")
    ] = 5,
    prompt: Annotated[
        list[str] | None, typer.Option(help="A prompt to try beside the model's own.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=0.0, help="Default: by the model's size, 5e-4 to 1e-4.")
    ] = None,
    max_kl: Annotated[
        float, typer.Option(min=0.0, help="Stop training this far from the model, nats per token.")
    ] = 1.5,
    images_per_step: Annotated[int, typer.Option(min=1, help="Over all processes.")] = 32,
    micro_batch_size: Annotated[
        int | None, typer.Option(min=1, help="Less memory: images with gradient at once.")
    ] = None,
    image_splitting: ImageSplitting = None,
    max_pixels: MaxPixels = None,
    four_bit: FourBit = None,
    compile: Compile = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    report_to: ReportTo = None,
) -> None:
    """Find out what a folder of unlabelled images can do for a vision-language model's captions.

    Tries first words, prompts and decoders on 64 of the images, all scored without a label: do
    captions hold when the image moves by less than a patch, and do they fit it better than other
    images? Then trains a LoRA adapter on the model's own captions by beam search of at most 2,560
    images, but only where those are clearly better than the model as it is. At the end it compares,
    on held-out images: the model as it is, the best first word or prompt, beam search, views, the
    adapter, with intervals. It names a dearer way only where that is clearly better than a cheaper
    one. OUT gets report.html (images with captions before and after, one file), report.json, and an
    adapter with its README.md where one was trained.

    It refuses a model with random weights and fewer than 24 images. Captions whose learning would
    be a collapse are not learned; with --train always that ends the command. A training step that
    does not fit the memory is refused before it begins. A file that is no whole image is named,
    counted and left out. A run that is stopped while it trains goes on when called again. On the
    drawn models it takes some minutes of a CPU core; SmolVLM wants a GPU.
    """
    choice("--train", train, TRAIN)
    keep_folders(out, images, *([] if model in shipped_names("vlm") else [model]))
    keep_apart(images, out)
    if learning_rate == 0 or max_kl == 0:
        raise typer.BadParameter("--learning-rate and --max-kl of 0 train nothing: --train never")
    with errors_as_exit_status(model):
        from vizer_core.cli.models import read_images_with_skipped
        from vizer_core.improvement.gate import require_enough
        from vizer_core.improvement.job import ImproveJob
        from vizer_core.improvement.training import NAME
        from vizer_core.tracking import curves_of, report_run
        from vizer_core.vizer.adapter_run import TrainHistory
        from vizer_core.vizer.lora import VIZER_LORA

        require_there(images)
        require_ours(out / RUN / JOB)
        found = read_images_with_skipped(images)
        require_enough(len(found), len(found.skipped))
        vlm = vlm_of(model, device, dtype, **reading_of(image_splitting, max_pixels, four_bit))
        vlm.compiled = compile
        require_readable(NamedImages(vlm, found.images, found.names), images)
        job = ImproveJob(
            vlm,
            found,
            train,
            views,
            tuple(prompt or ()),
            learning_rate,
            max_kl,
            images_per_step,
            micro_batch_size,
            seed,
        )
        if train != "never":
            require_memory(vlm, job.config, VIZER_LORA, objective=NAME)
        done = job.run(out, tell=say)
        say(f"wrote {out}")
        history = done.record["training"].get("history")
        report_run(
            {} if history is None else curves_of(TrainHistory(**history)),
            report_to,
            run=out.name,
            folder=out.parent / "logs",
            settings=done.record["job"],
        )
