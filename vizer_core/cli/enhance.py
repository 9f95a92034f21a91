"""`vizer fit-mapper` and `vizer enhance`: ViZer's two phases on your model and your images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vizer_core.cli.app import (
    Device,
    Dtype,
    Overwrite,
    ReportTo,
    Seed,
    app,
    choice,
    errors_as_exit_status,
    keep_apart,
    keep_folders,
    keep_inputs,
    new_adapter_folder,
    new_file,
    say,
)
from vizer_core.cli.merge import PushToHub, push
from vizer_core.cli.models import (
    PACKED,
    folder_of,
    read_images,
    require_there,
    say_prompt,
    vlm_of,
)
from vizer_core.cli.named_images import NamedImages, require_readable
from vizer_core.cli.objectives import OBJECTIVES, WEIGHED, WEIGHT, WITH_MAPPER
from vizer_core.cli.phase_two import enhance, require_images
from vizer_core.cli.reading_options import (
    Compile,
    FourBit,
    ImageSplitting,
    MaxPixels,
    reading_of,
)
from vizer_core.cli.step_memory import require_memory
from vizer_core.cli.training_options import (
    RECIPES,
    Alpha,
    Decay,
    Epochs,
    HeldOut,
    KlWeight,
    LearningRate,
    MaxKl,
    Patience,
    Rank,
    RecipeName,
    Samples,
    SaveEvery,
    Targets,
    TrainPrompt,
    TrainTokens,
    WarmUp,
    WatchEvery,
)
from vizer_core.run_folder import JOB, RUN, digest_of_files, require_ours, working_on
from vizer_core.shipped import shipped_names

Model = Annotated[str, typer.Option(help="Hub id, folder, or a shipped VLM (vizer lab --list).")]
Images = Annotated[
    Path,
    typer.Option(
        "--images", callback=folder_of, help=f"A folder of images; no label is read; {PACKED}."
    ),
]
MicroBatchSize = Annotated[
    int | None,
    typer.Option(min=1, help="Less memory: images that pass with gradient at once (accumulation)."),
]


def _images_of(vlm: Any, folder: Path) -> NamedImages:
    """Read the images, and have the model read those of the most unusual shapes."""
    names, images = read_images(folder)
    source = NamedImages(vlm, images, names)
    require_readable(source, folder)
    return source


def _record_of(out: Path, images: Path, model: str) -> Path:
    """Return where an adapter's run is recorded; end with status 2 if it lies in what is read."""
    keep_folders(out, images, *([] if model in shipped_names("vlm") else [model]))
    keep_apart(images, out)
    return out / RUN / JOB


@app.command(name="fit-mapper", short_help="ViZer phase 1: fit the mapper, without labels.")
def fit_mapper_command(
    images: Images,
    out: Annotated[
        Path, typer.Option(callback=new_file, help="Where the mapper goes: a .safetensors file.")
    ],
    model: Model = "drawn-vlm-web",
    objective: Annotated[
        str, typer.Option(help=f"What the mapper is for: {', '.join(WITH_MAPPER)}.")
    ] = "read_back",
    image_splitting: ImageSplitting = None,
    max_pixels: MaxPixels = None,
    four_bit: FourBit = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Fit ViZer's mapper (phase 1) on a model's own captions of unlabelled images.

    The model captions every image once and is not changed; fitting the mapper takes seconds. Prints
    its cosine on held-out images beside what a constant answer scores. A stopped run goes on
    when called again; under torchrun the images are shared out.
    """
    choice("--objective", objective, WITH_MAPPER)
    keep_inputs(out, "--out", model, images=[images])
    record = out.with_name(f"{out.name}.states") / JOB
    keep_apart(images, record.parent)
    with errors_as_exit_status(model):
        from vizer_core.adapter_job import tell_of_mapper
        from vizer_core.distributed import is_main_process
        from vizer_core.vizer import save_mapper
        from vizer_core.vizer.phase_two import fit_on_own_captions

        require_there(images)
        require_ours(record)
        vlm = vlm_of(model, device, dtype, **reading_of(image_splitting, max_pixels, four_bit))
        source = _images_of(vlm, images)
        job = {"model": vlm.fingerprint, "images": digest_of_files(images, source.names)}
        job |= dict(vlm.reading)
        job |= {"objective": objective, "seed": seed}
        with working_on(record, job, of=str(record.parent), tell=say):
            fitted = fit_on_own_captions(
                vlm, source, source.names, objective=objective, seed=seed, folder=record.parent
            )
            if is_main_process():
                metadata = {"objective": objective, "images": len(source)}
                save_mapper(out, fitted, vlm, metadata=metadata)
        tell_of_mapper(fitted, say)
        say(f"wrote {out}")


@app.command(name="enhance", short_help="ViZer phase 2: train a LoRA adapter, without labels.")
def enhance_command(
    images: Images,
    out: Annotated[
        Path, typer.Option(callback=new_adapter_folder, help="Folder for the LoRA adapter.")
    ],
    model: Model = "drawn-vlm-web",
    mapper: Annotated[
        Path | None, typer.Option(help="From vizer fit-mapper; else fitted on the same images.")
    ] = None,
    objective: Annotated[
        str,
        typer.Option(
            help="information: words that the image makes likelier, by the model's own "
            "judgement, no mapper; read_back: the mapper reads the words alone; "
            "straight_through, image_context: losses, the second is the paper's and the default; "
            "vizer improve finds out what helps. Without a mapper too: self_training: "
            "the model's own greedy captions; raft, dpo: the best (and worst) of four drawn ones."
        ),
    ] = "image_context",
    information_weight: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=2.0,
            help="Of --objective information, raft, dpo: what a caption's prior weighs: "
            f"lower says less and errs less, higher names more. Default {WEIGHT}.",
        ),
    ] = None,
    prompt: TrainPrompt = None,
    recipe: RecipeName = "auto",
    learning_rate: LearningRate = None,
    decay: Decay = None,
    warmup_steps: WarmUp = None,
    epochs: Epochs = None,
    samples: Samples = None,
    max_tokens: TrainTokens = None,
    max_kl: MaxKl = None,
    kl_weight: KlWeight = None,
    rank: Rank = None,
    alpha: Alpha = None,
    targets: Targets = None,
    image_splitting: ImageSplitting = None,
    max_pixels: MaxPixels = None,
    four_bit: FourBit = None,
    compile: Compile = False,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="The control: each image gets another's target.")
    ] = False,
    images_per_step: Annotated[int, typer.Option(min=1, help="Over all processes.")] = 32,
    micro_batch_size: MicroBatchSize = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Less memory, more time: gradient checkpointing.")
    ] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    watch_every: WatchEvery = 0,
    held_out: HeldOut = 0,
    patience: Patience = 0,
    save_adapter_every: SaveEvery = 0,
    report_to: ReportTo = None,
    push_to_hub: PushToHub = None,
) -> None:
    """Train a LoRA adapter on unlabelled images as ViZer's phase 2 does, and say what it did.

    Needs the model and a folder of images. On the drawn VLM 1,000 images take about a minute of
    a CPU core; SmolVLM wants a GPU. A stopped run goes on when called again. Before it starts it
    says whether training is likely to help; at the end how many captions changed, how far the model
    moved, and warnings in words. Run it once more with --shuffle before you believe a gain. Under
    torchrun or accelerate launch the images of each step are shared out, and the result is that
    of one process; with an FSDP configuration each process has a part of the model.

    With --objective information nothing is fitted first. The model draws four captions of an
    image and raises those that are likelier with the image than without it: log p(caption |
    image) - 0.7 log p(caption), both by the model before training.
    vizer caption --model MODEL --adapter ADAPTER captions with what was trained.
    """
    choice("--objective", objective, OBJECTIVES)
    choice("--recipe", recipe, RECIPES)
    changes = {
        "learning_rate": learning_rate,
        "decay": decay,
        "warmup_steps": warmup_steps,
        "epochs": epochs,
        "samples": samples,
        "max_tokens": max_tokens,
        "max_kl": max_kl,
        "kl_weight": kl_weight,
        "rank": rank,
        "alpha": alpha,
        "targets": tuple(targets.split(",")) if targets else None,
        "images_per_step": images_per_step,
        "micro_batch_size": micro_batch_size,
    }
    reading = reading_of(image_splitting, max_pixels, four_bit)
    weight = _weight(objective, mapper, information_weight)
    record = _record_of(out, images, model)
    with errors_as_exit_status(model, mapper):
        from vizer_core.adapter_job import AdapterJob
        from vizer_core.data.image_set import ImageSet
        from vizer_core.vizer.recipes import parameters_of, recipe_for
        from vizer_core.vizer.watch import WatchPlan

        watch = WatchPlan(watch_every, held_out, patience, save_adapter_every)

        require_there(images)
        require_ours(record)
        vlm = vlm_of(model, device, dtype, prompt=prompt, **reading)
        vlm.recompute, vlm.compiled = recompute, compile
        say_prompt(vlm, model)
        require_images(len(source := _images_of(vlm, images)), images)
        plan = recipe_for(
            objective,
            parameters=parameters_of(vlm),
            images=len(source) - held_out,
            name=recipe,
            changes=changes,
        )
        say(plan.say(), err=True)
        require_memory(vlm, plan.config, plan.lora, objective=objective)
        enhance(
            AdapterJob(
                vlm,
                ImageSet(tuple(source.names), source.images),
                objective,
                plan.config,
                seed=seed,
                shuffle=shuffle,
                weight=weight,
                mapper=mapper,
                source=source,
                lora=plan.lora,
                watch=watch,
            ),
            out,
            tracker=report_to,
        )
        push(out, push_to_hub)


def _weight(objective: str, mapper: Path | None, given: float | None) -> float | None:
    """Return the weight of an information reward, None of another; refuse what does not fit."""
    if objective not in WEIGHED and given is not None:
        raise typer.BadParameter(
            f"--information-weight {given:g} with --objective {objective}: it belongs to "
            "--objective information, raft and dpo"
        )
    if objective not in WITH_MAPPER and mapper is not None:
        raise typer.BadParameter(
            f"--mapper {mapper} with --objective {objective}: it uses no mapper; leave it out"
        )
    return (WEIGHT if given is None else given) if objective in WEIGHED else None
